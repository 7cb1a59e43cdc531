//! The loop around a [`Scraper`]: interval, first delay, timeout, counting.

use std::time::{Duration, SystemTime};

use config::{Period, Timeout};
use model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::error;

use crate::metrics::ScraperCounters;
use crate::{Fatal, Life, Outlets, Scraper};

/// The keys that every scraping receiver has.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ScraperConfig {
    /// Time from one scrape to the next; each receiver has its own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_interval: Option<Period>,
    /// Wait before the first scrape.
    #[serde(default = "config::timeout_secs::<1>")]
    pub initial_delay: Timeout,
    /// Longest time of one scrape; 0 means the interval.
    #[serde(default = "config::timeout_secs::<0>")]
    pub timeout: Timeout,
}

/// Scrapes until `life` ends. A tick that comes while a scrape is still running is skipped.
pub(crate) async fn run<S: Scraper>(
    mut scraper: S,
    settings: ScraperConfig,
    out: Outlets,
    life: Life,
) -> Result<(), Fatal> {
    let every = settings.collection_interval.unwrap_or(S::EVERY).as_duration();
    let limit = settings.timeout.as_duration().unwrap_or(every);
    let first = Instant::now() + settings.initial_delay.as_duration().unwrap_or(Duration::ZERO);
    let counters = ScraperCounters::new(life.telemetry(), life.id(), S::TYPE);
    let mut ticks = tokio::time::interval_at(first, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _at = ticks.tick() => {}
            () = life.stopped() => return Ok(()),
        }
        let answer = tokio::select! {
            answer = tokio::time::timeout(limit, scraper.scrape(Timestamp::from(SystemTime::now()))) => answer,
            () = life.stopped() => return Ok(()),
        };
        let batch = match answer {
            Ok(Ok(batch)) => Some(batch),
            Ok(Err(failed)) => {
                error!(component = %life.id(), error = telemetry::error_chain(&failed), "Error scraping metrics");
                counters.errored();
                failed.partial.map(|partial| *partial)
            }
            Err(_elapsed) => {
                error!(component = %life.id(), timeout = ?limit, "Error scraping metrics: no answer within the timeout");
                counters.errored();
                None
            }
        };
        if let Some(batch) = batch {
            counters.scraped(batch.n_items());
            if let Err(refused) = out.send(batch).await {
                error!(component = %life.id(), error = %refused, "scraped points were refused");
            }
        }
    }
}
