//! Scrapes on their way into the pipelines, as they are or as OTLP.
//!
//! A scrape stays a scrape: exporters that can write it do so, others translate it. With the gate [`DIRECT_PATH`] off it
//! leaves the receiver as OTLP, as it leaves the Go collector's; what OTLP cannot tell is counted by reason and warned of
//! by name.

use std::time::Duration;

use futures_util::future::BoxFuture;
use model::{Batch, Metrics, Scrape};
use pipeline::{Life, Outlets};
use scrape::Sink;
use telemetry::{RateLimited, Scope};
use tracing::warn;
use translate::{Report, ToOtlp};

/// Feature gate, on by default: scrapes reach exporters without a detour through OTLP.
pub(super) const DIRECT_PATH: &str = "muster.directPath";

/// Where scrapes leave the receiver.
pub(super) struct IntoPipelines {
    out: Outlets,
    /// How they become OTLP; `None` leaves them as they are.
    into_otlp: Option<ToOtlp<'static>>,
    losses: Losses,
}

impl IntoPipelines {
    pub(super) fn new(out: Outlets, into_otlp: Option<ToOtlp<'static>>, life: &Life) -> Self {
        Self { out, into_otlp, losses: Losses::new(life) }
    }

    fn batch_of(&self, scrape: Scrape) -> Option<Batch> {
        let Some(into_otlp) = self.into_otlp else { return Some(Batch::from_scrape(scrape)) };
        let (frames, report) = into_otlp.scrape(&scrape);
        self.losses.tell(&report);
        (frames.n_items > 0).then_some(Batch::Metrics(Metrics::Otlp(frames)))
    }
}

impl Sink for IntoPipelines {
    fn append(&self, scrape: Scrape) -> BoxFuture<'_, Result<(), scrape::Refused>> {
        Box::pin(async move {
            let Some(batch) = self.batch_of(scrape) else { return Ok(()) };
            let outcome = self.out.send(batch).await;
            outcome.map_err(|refused| scrape::Refused { reason: refused.to_string() })
        })
    }
}

/// Account of what OTLP has no form for.
struct Losses {
    receiver: String,
    scope: Scope,
    warnings: RateLimited,
}

impl Losses {
    fn new(life: &Life) -> Self {
        Self {
            receiver: life.id().to_string(),
            scope: life.telemetry().scope(),
            warnings: RateLimited::every(Duration::from_secs(30)),
        }
    }

    fn tell(&self, report: &Report) {
        for dropped in &report.dropped {
            let help = "Scraped samples that have no form in OTLP.";
            let labels = [("receiver", &*self.receiver), ("reason", dropped.reason.as_str())];
            let counter = self.scope.counter("muster_scrape_untranslatable_samples_total", help, &labels);
            counter.inc_by(dropped.n_points as u64);
        }
        if report.dropped.is_empty() {
            return;
        }
        if let Some(n_suppressed) = self.warnings.pass() {
            for dropped in &report.dropped {
                warn!(receiver = self.receiver, suppressed = n_suppressed, "{dropped}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use model::{Family, Kind, Point, SeriesTable};
    use pipeline::Stop;
    use translate::ScopeInfo;

    use super::*;

    fn scrape(names: &[(&str, Kind)]) -> Scrape {
        let mut table = SeriesTable::new();
        let mut points = Vec::new();
        for (name, kind) in names {
            let family = Family { name: (*name).into(), kind: *kind, ..Family::default() };
            let family = table.family_index(family);
            points.push(Point { series: table.insert([("__name__", *name)], Some(family)), bits: 0 });
        }
        Scrape { table: Arc::new(table), points, ..Scrape::default() }
    }

    /// What a scrape becomes, and our own metrics afterwards.
    async fn sent(into_otlp: Option<ToOtlp<'static>>, scrape: Scrape) -> (Vec<Batch>, String) {
        let life = Life::for_test("prometheus", &Stop::new());
        let batches = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&batches);
        let out = Outlets::for_test(&life, move |batch| {
            kept.lock().unwrap().push(batch);
            Ok(())
        });
        let sink = IntoPipelines::new(out, into_otlp, &life);
        sink.append(scrape).await.unwrap();
        let text = life.telemetry().text();
        let batches = batches.lock().unwrap().clone();
        (batches, text)
    }

    #[tokio::test]
    async fn a_scrape_stays_a_scrape_unless_it_has_to_be_otlp() {
        let up = || scrape(&[("up", Kind::Gauge)]);
        let (direct, _) = sent(None, up()).await;
        assert!(matches!(direct[..], [Batch::Metrics(Metrics::Scrape(_))]));
        let (otlp, _) = sent(Some(ToOtlp::new(ScopeInfo::prometheus_receiver("1"))), up()).await;
        assert!(matches!(&otlp[..], [Batch::Metrics(Metrics::Otlp(frames))] if frames.n_items == 1));
    }

    #[tokio::test]
    async fn what_otlp_has_no_form_for_is_counted_and_nothing_empty_is_sent() {
        let into_otlp = Some(ToOtlp::new(ScopeInfo::prometheus_receiver("1")));
        let (batches, text) = sent(into_otlp, scrape(&[("sizes", Kind::GaugeHistogram)])).await;
        assert!(batches.is_empty());
        let counted = "muster_scrape_untranslatable_samples_total{reason=\"gauge_histogram\",receiver=\"prometheus\"} 1";
        assert!(text.contains(counted), "{text}");
    }
}
