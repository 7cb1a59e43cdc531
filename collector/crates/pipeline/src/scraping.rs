//! The loop around a [`Scraper`]: interval, first delay, timeout, counting.

use std::time::{Duration, SystemTime};

use config::{Period, Timeout};
use futures_util::future::poll_immediate;
use model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{debug, error};

use crate::metrics::ScraperCounters;
use crate::ticks::Ticks;
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

/// What went wrong last, so that a lasting error is said once and counted each time.
#[derive(Default)]
struct LastError(String);

impl LastError {
    fn say(&mut self, life: &Life, text: &str) {
        if self.is_new(text) {
            error!(component = %life.id(), error = text, "Error scraping metrics");
        } else {
            debug!(component = %life.id(), error = text, "Error scraping metrics, as before");
        }
    }

    fn is_new(&mut self, text: &str) -> bool {
        let is_new = self.0 != text;
        if is_new {
            text.clone_into(&mut self.0);
        }
        is_new
    }
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
    let delay = settings.initial_delay.as_duration().unwrap_or(Duration::ZERO);
    let counters = ScraperCounters::new(life.telemetry(), life.id(), S::TYPE);
    let mut last_error = LastError::default();
    let mut ticks = Ticks::new(delay, every);
    // Waits once for the whole life: a scrape costs as little as what is done around it.
    let mut stopped = std::pin::pin!(life.stopped());
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return Ok(()),
            () = ticks.next() => {}
        }
        let mut scrape = std::pin::pin!(scraper.scrape(Timestamp::from(SystemTime::now())));
        let answer = match poll_immediate(&mut scrape).await {
            // Most need not wait for anything, nor for a timer.
            Some(answer) => Ok(answer),
            None => tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                answer = tokio::time::timeout(limit, scrape) => answer,
            },
        };
        let batch = match answer {
            Ok(Ok(batch)) => {
                last_error.0.clear();
                Some(batch)
            }
            Ok(Err(failed)) => {
                last_error.say(&life, &telemetry::error_chain(&failed));
                counters.errored(failed.n_errors.max(1));
                failed.partial.map(|partial| *partial)
            }
            Err(_elapsed) => {
                last_error.say(&life, &format!("no answer within the timeout ({limit:?})"));
                counters.errored(1);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use model::{Batch, Frames, Signal, Signals};

    use super::*;
    use crate::{Component, ScrapeError, Site, Stop};

    /// Answers at once, with nothing.
    struct Empty(Arc<AtomicUsize>);

    impl Component for Empty {
        const TYPE: &'static str = "empty";
        const SIGNALS: Signals = Signals::METRICS;
        type Config = ();

        fn build((): (), _site: &Site) -> Result<Self, Vec<config::Problem>> {
            Ok(Self(Arc::default()))
        }
    }

    impl Scraper for Empty {
        const EVERY: Period = Period::from_secs(1);

        async fn scrape(&mut self, _now: Timestamp) -> Result<Batch, ScrapeError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Batch::from_frames(Signal::Metrics, Frames::default()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_takes_one_turn_of_its_task_and_a_stop_another() {
        let (stop, n_scrapes) = (Stop::new(), Arc::new(AtomicUsize::new(0)));
        let life = Life::for_test("empty", &stop);
        let out = Outlets::for_test(&life, |_batch| Ok(()));
        let settings = ScraperConfig {
            collection_interval: None,
            initial_delay: Timeout::from_secs(1),
            timeout: Timeout::NONE,
        };
        let mut running = Box::pin(run(Empty(Arc::clone(&n_scrapes)), settings, out, life));
        let n_turns = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_turns);
        let task = tokio::spawn(std::future::poll_fn(move |cx| {
            counter.fetch_add(1, Ordering::Relaxed);
            running.as_mut().poll(cx)
        }));
        tokio::time::sleep(Duration::from_millis(10_500)).await;
        let counts = || (n_scrapes.load(Ordering::Relaxed), n_turns.load(Ordering::Relaxed));
        assert_eq!(counts(), (10, 1 + 10));
        stop.raise();
        task.await.unwrap().unwrap();
        assert_eq!(counts(), (10, 1 + 10 + 1));
    }

    #[test]
    fn a_lasting_error_is_said_once_and_again_when_it_changes() {
        let mut last = LastError::default();
        let said = ["a", "a", "b", "b", "a"].map(|text| last.is_new(text));
        assert_eq!(said, [true, false, true, false, true]);
    }
}
