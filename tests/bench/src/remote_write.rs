//! `remote-write`: what a sample costs on the wire, in CPU and, while the receiver is away, on the disk and in memory.
//!
//! Two tables. The first has each protocol that a program speaks, in steady state. The second takes each program through an outage, with its queue
//! where it has it by default; ours has it on the disk.

use std::time::Duration;

use anyhow::{Context, Result};
use world::gate::Gate;
use world::sink::Sink;

use crate::measure::{Figures, Setting, measure};
use crate::outage::{self, Receiver, Script};
use crate::table::{grouped, markdown};
use crate::{machine, print, programs, say, soak};

/// Programs and protocols of the first table. Debian's vmagent and Prometheus speak remote write 1.0 only.
const SENDERS: [&str; 5] = ["muster-1.0", "muster-2.0", "muster-zstd", "vmagent", "prometheus"];
/// Programs of the second table.
const SUFFERERS: [&str; 3] = ["muster-disk", "vmagent", "prometheus"];

const WIRE_HEAD: [&str; 8] = [
    "program",
    "samples",
    "of due",
    "bytes / sample sent",
    "ratio",
    "CPU s / million",
    "ratio",
    "samples / request",
];

const OUTAGE_HEAD: [&str; 11] = [
    "program",
    "lost",
    "unscraped",
    "duplicated",
    "out of order",
    "idle MiB",
    "outage MiB",
    "disk bytes / queued sample",
    "fresh after s",
    "all after s",
    "catch-up, times live",
];

/// Measures every sender, then takes every program through the outage, and prints both tables and the verdicts.
pub(crate) async fn run(setting: &Setting, script: &Script) -> Result<()> {
    let mut figures = Vec::new();
    for program in SENDERS {
        match sender(program, setting).await {
            Ok(measured) => figures.push(measured),
            Err(error) => print(&format!("{program} is missing: {error:#}\n"))?,
        }
    }
    print(&wire_table(setting, &figures))?;
    let mut survivors = Vec::new();
    for program in SUFFERERS {
        match sufferer(program, script).await {
            Ok(played) => survivors.push(played),
            Err(error) => print(&format!("{program} is missing: {error:#}\n"))?,
        }
    }
    print(&outage_table(script, &survivors))
}

async fn sender(program: &str, setting: &Setting) -> Result<Figures> {
    anyhow::ensure!(programs::is_there(program), "not installed");
    Ok(measure(program, setting).await?.0)
}

async fn sufferer(program: &str, script: &Script) -> Result<outage::Figures> {
    anyhow::ensure!(programs::is_there(program), "not installed");
    let sink = Sink::start().await?;
    let address = sink.url();
    let base = address.split_once("/api/").context("a sink has a path")?.0;
    let gate = Gate::start(base).await?;
    let figures = outage::play(program, script, &Receiver { gate: &gate, sink: &sink }).await?;
    say(&format!("outage: {program} {:?} after the end had everything there", figures.caught_up_after));
    Ok(figures)
}

fn wire_table(setting: &Setting, figures: &[Figures]) -> String {
    let head = format!(
        "### On the wire, {}\n\n{} targets every {:?}, measured for {:?} each; {}\n\n",
        setting.name(),
        grouped(setting.n_targets as u64),
        setting.interval,
        setting.measured,
        machine::describe()
    );
    let Some(first) = figures.first() else { return head + "nothing was measured\n" };
    let due = setting.n_scrapes() * f64::from(setting.n_series);
    let row = |of: &Figures| {
        vec![
            of.program.clone(),
            grouped(of.n_samples),
            format!("{:.0} %", of.n_samples as f64 * 100.0 / due),
            format!("{:.2}", of.bytes_per_sample()),
            format!("{:.2}", of.bytes_per_sample() / first.bytes_per_sample()),
            format!("{:.3}", of.cpu_per_million()),
            format!("{:.2}", of.cpu_per_million() / first.cpu_per_million()),
            grouped(of.n_samples / of.n_requests.max(1)),
        ]
    };
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    let late = figures.iter().filter(|of| !setting.is_kept_by(of));
    let late: String = late
        .map(|of| format!("\n{} did not deliver what was due: no verdict on it here\n", of.program))
        .collect();
    head + &markdown(&WIRE_HEAD, &rows) + &late
}

fn outage_table(script: &Script, survivors: &[outage::Figures]) -> String {
    let head = format!(
        "### {:?} without receiver, {} samples/s\n\n{} targets of {} series every {:?}; {}\n\n",
        script.outage,
        grouped(script.rate() as u64),
        grouped(script.n_targets as u64),
        grouped(u64::from(script.n_series)),
        script.interval,
        machine::describe()
    );
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let seconds = |time: Option<Duration>| {
        time.map_or_else(|| "never".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
    };
    let row = |of: &outage::Figures| {
        vec![
            of.program.clone(),
            grouped(of.verdict.lost),
            grouped(of.verdict.unscraped),
            grouped(of.verdict.duplicated),
            grouped(of.verdict.out_of_order),
            mib(of.idle_bytes),
            mib(of.outage_bytes),
            format!("{:.2}", of.disk_bytes as f64 / of.n_queued.max(1) as f64),
            seconds(of.fresh_after),
            seconds(of.caught_up_after),
            format!("{:.1}", of.catch_up_rate / script.rate()),
        ]
    };
    let rows: Vec<Vec<String>> = survivors.iter().map(row).collect();
    let ours = survivors.iter().find(|of| of.program.starts_with("muster"));
    let verdicts = ours.map(|of| soak::verdicts(script, of)).unwrap_or_default();
    head + &markdown(&OUTAGE_HEAD, &rows) + "\n" + &verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_compared_with_the_first_one() {
        let setting = Setting {
            n_targets: 10,
            n_series: 100,
            gzip: true,
            interval: Duration::from_secs(10),
            measured: Duration::from_secs(60),
            programs: Vec::new(),
        };
        let figures = |program: &str, wire_bytes, millis| Figures {
            program: program.to_owned(),
            n_samples: 6000,
            n_requests: 6,
            wire_bytes,
            cpu: Duration::from_millis(millis),
            ..Figures::default()
        };
        let text =
            wire_table(&setting, &[figures("muster-1.0", 96_000, 3), figures("muster-2.0", 48_000, 6)]);
        let row = "| muster-2.0 |   6,000 |  100 % |                8.00 |  0.50 |           1.000 |  2.00 |             1,000 |";
        assert!(text.contains(row), "{text}");
        let late = wire_table(&setting, &[Figures { n_samples: 3000, ..figures("muster-1.0", 96_000, 3) }]);
        assert!(late.contains("muster-1.0 did not deliver what was due"), "{late}");
    }

    #[test]
    fn what_never_came_is_told_as_never() {
        let script = Script {
            n_targets: 10,
            n_series: 100,
            interval: Duration::from_secs(1),
            before: Duration::ZERO,
            outage: Duration::from_secs(60),
            after: Duration::ZERO,
        };
        let lossy = outage::Figures { program: "vmagent".to_owned(), ..outage::Figures::default() };
        let text = outage_table(&script, &[lossy]);
        assert!(text.contains("| vmagent |") && text.contains("never"), "{text}");
        assert!(!text.contains("met"), "only our own program is judged: {text}");
    }
}
