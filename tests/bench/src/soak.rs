//! `soak outage`: a real Prometheus is away for a while, and afterwards nothing is missing and nothing came twice, by its own PromQL
//! and by the ledger.
//!
//! What Prometheus acknowledges is posted to a sink as well, which keeps the book: PromQL alone cannot see a sample that
//! was sent twice with the same timestamp.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;
use world::gate::Gate;
use world::peers::{self, Mode, promql};
use world::sink::Sink;
use world::verdict::Verdict;

use crate::outage::{self, Figures, Receiver, Script};
use crate::table::grouped;
use crate::verdict::word;
use crate::{machine, print, say};

/// A Prometheus that only takes what is written to it.
const PROMETHEUS: &str = "global:\n  scrape_interval: 1m\n";
/// How much further back than its start is asked.
const MARGIN: Duration = Duration::from_secs(30);
/// What catching up has to reach, as a multiple of the rate at which samples come in.
const CATCH_UP: f64 = 5.0;
/// Within this time fresh samples have to be there again.
const FRESH: Duration = Duration::from_secs(60);
/// What an outage may cost in memory.
const MEMORY: u64 = 64 << 20;
/// Bytes on the disk that a sample may take while it waits.
const DISK_BYTES: f64 = 2.5;

/// What PromQL says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stored {
    /// Targets of which there are samples.
    n_targets: u64,
    /// Samples of all series of the fleet.
    n_samples: u64,
    /// Scrapes that are missing between the first and the last one of a target, and those that are there twice.
    n_holes: u64,
    n_twice: u64,
    /// Samples that the series of a target lack, or have too many, compared with its scrapes.
    n_uneven: u64,
}

/// Runs the script against a real Prometheus, prints what came of it, and fails unless all of it arrived exactly once.
pub(crate) async fn outage(script: &Script) -> Result<()> {
    let began = Instant::now();
    let prometheus = peers::prometheus(Mode::Server, PROMETHEUS).await?;
    let sink = Sink::start().await?;
    let gate = Gate::copying(&prometheus.url, &sink.url()).await?;
    let figures = outage::play("muster-disk", script, &Receiver { gate: &gate, sink: &sink }).await?;
    say("soak: asking PromQL");
    let stored = ask(&prometheus.url, script, began.elapsed() + MARGIN).await?;
    print(&report(script, &figures, &stored))?;
    ensure!(gate.n_failed_copies() == 0, "the ledger missed {} requests", gate.n_failed_copies());
    outage::passes(&figures)?;
    let n_booked: u64 = {
        let ledger = sink.ledger();
        let scrapes = ledger.targets().iter().flat_map(|target| &target.arrived);
        scrapes.map(|(_, n_samples)| u64::from(*n_samples)).sum()
    };
    let expected = Stored { n_targets: script.n_targets as u64, n_samples: n_booked, ..Stored::default() };
    ensure!(stored == expected, "PromQL says {stored:?}, the ledger {n_booked} samples");
    Ok(())
}

/// Asks Prometheus what it has of the fleet, over a time that reaches back before the first sample.
async fn ask(url: &str, script: &Script, back: Duration) -> Result<Stored> {
    let range = format!("[{}s]", back.as_secs());
    let one = async |query: String| -> Result<u64> {
        let answer = promql(url, &query).await?;
        // A sum over nothing is no element.
        answer.first().map_or(Ok(0), |element| whole(element.value).with_context(|| query.clone()))
    };
    let over_time = |function: &str| format!("{function}_over_time(demo_scrape_sequence{range})");
    let (first, last, count) = (over_time("min"), over_time("max"), over_time("count"));
    let mut stored = Stored {
        n_targets: one(format!("count({count})")).await?,
        n_holes: one(format!("sum(clamp_min({last} - {first} + 1 - {count}, 0))")).await?,
        n_twice: one(format!("sum(clamp_min({count} - ({last} - {first} + 1), 0))")).await?,
        ..Stored::default()
    };
    // Counting drops names, and series of several names may have the same labels otherwise: one name at a time.
    let mut of_targets = BTreeMap::<String, u64>::new();
    let names = format!("count by (__name__) (last_over_time({{__name__=~\"demo_.+\"}}{range}))");
    for name in promql(url, &names).await?.iter().filter_map(|element| element.labels.get("__name__")) {
        for element in promql(url, &format!("sum by (instance) (count_over_time({name}{range}))")).await? {
            let instance = element.labels.get("instance").context("a target without instance")?;
            *of_targets.entry(instance.clone()).or_default() += whole(element.value)?;
        }
    }
    stored.n_samples = of_targets.values().sum();
    for element in promql(url, &format!("sum by (instance) ({count})")).await? {
        let instance = element.labels.get("instance").context("a target without instance")?;
        let expected = whole(element.value)? * u64::from(script.n_series);
        stored.n_uneven += of_targets.get(instance).map_or(expected, |have| have.abs_diff(expected));
    }
    Ok(stored)
}

fn whole(value: f64) -> Result<u64> {
    ensure!(value >= 0.0 && value.fract() == 0.0 && value < 1e15, "{value} is no number of samples");
    Ok(value as u64)
}

fn report(script: &Script, figures: &Figures, stored: &Stored) -> String {
    let Script { n_targets, n_series, interval, before, outage, after } = script;
    let Verdict { expected, delivered, lost, unscraped, duplicated, out_of_order, .. } = &figures.verdict;
    let head = format!(
        "### {outage:?} without receiver, {} samples/s\n\n{n_targets} targets of {n_series} series every {interval:?}, {before:?} before and \
         {after:?} after; {}\n\n",
        grouped(script.rate() as u64),
        machine::describe()
    );
    let by_ledger = format!(
        "- by the ledger: {} samples expected, {} arrived, {lost} lost, {unscraped} unscraped, {duplicated} duplicated, {out_of_order} \
         out of order\n",
        grouped(*expected),
        grouped(*delivered),
    );
    let Stored { n_targets, n_samples, n_holes, n_twice, n_uneven } = stored;
    let by_promql = format!(
        "- by PromQL: {} samples of {n_targets} targets, {n_holes} scrapes missing, {n_twice} twice, {n_uneven} samples uneven\n",
        grouped(*n_samples)
    );
    head + &by_ledger + &by_promql + &verdicts(script, figures)
}

/// What was promised of an outage, and whether it is kept.
pub(crate) fn verdicts(script: &Script, figures: &Figures) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let grown = figures.outage_bytes.saturating_sub(figures.idle_bytes);
    let bytes_a_sample = figures.disk_bytes as f64 / figures.n_queued.max(1) as f64;
    let multiple = figures.catch_up_rate / script.rate();
    let seconds = |time: Option<Duration>| {
        time.map_or_else(|| "never".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
    };
    format!(
        "- catch-up at {CATCH_UP} times the live rate or more: {} ({multiple:.1} times, {} samples/s; all there after {})\n\
         - fresh samples within {FRESH:?}: {} ({})\n\
         - memory in the outage at most idle + {:.0} MiB: {} ({:.1} MiB, idle {:.1} MiB)\n\
         - disk at most {DISK_BYTES} bytes a queued sample: {} ({bytes_a_sample:.2}; {} samples queued, {:.1} MiB)\n",
        word(multiple >= CATCH_UP),
        grouped(figures.catch_up_rate as u64),
        seconds(figures.caught_up_after),
        word(figures.fresh_after.is_some_and(|time| time <= FRESH)),
        seconds(figures.fresh_after),
        mib(MEMORY),
        word(grown <= MEMORY),
        mib(figures.outage_bytes),
        mib(figures.idle_bytes),
        word(figures.disk_bytes > 0 && bytes_a_sample <= DISK_BYTES),
        grouped(figures.n_queued),
        mib(figures.disk_bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: Script = Script {
        n_targets: 10,
        n_series: 100,
        interval: Duration::from_secs(1),
        before: Duration::ZERO,
        outage: Duration::from_secs(60),
        after: Duration::ZERO,
    };

    #[test]
    fn each_promise_is_met_or_not_met_on_its_own() {
        let seconds = |n| Some(Duration::from_secs(n));
        let kept = Figures {
            idle_bytes: 30 << 20,
            outage_bytes: 94 << 20,
            n_queued: 60_000,
            disk_bytes: 150_000,
            fresh_after: seconds(60),
            caught_up_after: seconds(12),
            catch_up_rate: 5000.0,
            ..Figures::default()
        };
        let lines = verdicts(&SCRIPT, &kept);
        assert_eq!((lines.matches(": met").count(), lines.matches("NOT MET").count()), (4, 0), "{lines}");
        for broken in [
            Figures { outage_bytes: 95 << 20, ..kept.clone() },
            Figures { disk_bytes: 150_001, ..kept.clone() },
            Figures { disk_bytes: 0, ..kept.clone() },
            Figures { fresh_after: None, ..kept.clone() },
            Figures { catch_up_rate: 4999.0, ..kept.clone() },
        ] {
            let lines = verdicts(&SCRIPT, &broken);
            assert_eq!(lines.matches("NOT MET").count(), 1, "{lines}");
        }
    }

    #[test]
    fn only_whole_numbers_are_counts() {
        assert_eq!(whole(3.0).unwrap(), 3);
        for value in [-1.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(whole(value).is_err(), "{value}");
        }
    }
}
