//! `scrape`: the same fleet, scraped and remote-written by each program in turn.
//!
//! One program runs at a time, beside the same fleet and a fresh sink. After one interval of warming up, CPU time (user
//! and system) and samples that the sink acknowledged are counted over the measured time; peak memory is that of the whole
//! run. The fleet answers gzip to those who ask for it. Every program runs with its defaults but for the sink's address.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use world::child::{Child, Usage, binary};
use world::fleet::Fleet;
use world::peers::{self, Mode, Peer};
use world::sink::Sink;

use crate::machine;

/// What is measured.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) n_targets: usize,
    pub(crate) n_series: u32,
    pub(crate) interval: Duration,
    pub(crate) measured: Duration,
    pub(crate) programs: Vec<String>,
}

/// One program's figures.
struct Figures {
    program: String,
    n_samples: u64,
    cpu: Duration,
    peak_rss_bytes: u64,
}

impl Figures {
    fn cpu_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.n_samples as f64
    }

    fn peak_mib(&self) -> f64 {
        self.peak_rss_bytes as f64 / f64::from(1 << 20)
    }
}

/// A program under measurement.
enum Running {
    Ours { child: Child, _folder: TempDir },
    Peer(Peer),
}

impl Running {
    fn usage(&self) -> Result<Usage> {
        let child = match self {
            Self::Ours { child, .. } => child,
            Self::Peer(peer) => &peer.child,
        };
        child.usage().with_context(|| format!("{} has ended: {}", child.name(), child.last_words()))
    }
}

/// Measures every program and gives the table.
pub(crate) async fn run(setting: &Setting) -> Result<String> {
    let mut all = Vec::new();
    let mut skipped = Vec::new();
    for program in &setting.programs {
        if program != "muster" && peers::find(program).is_none() {
            skipped.push(program.as_str());
            continue;
        }
        all.push(measure(program, setting).await.with_context(|| format!("measuring {program}"))?);
    }
    ensure!(!all.is_empty(), "nothing was measured");
    Ok(table(setting, &all, &skipped))
}

async fn measure(program: &str, setting: &Setting) -> Result<Figures> {
    let fleet = Fleet::start(world::fleet::even(setting.n_targets, setting.n_series)).await?;
    let sink = Sink::start().await?;
    let scrape = scrape_configs(&fleet, setting);
    let running = match program {
        "muster" => muster(&scrape, &sink.url())?,
        "vmagent" => Running::Peer(peers::vmagent(&scrape, &sink.url(), &[]).await?),
        "prometheus" => {
            let config = format!("{scrape}\nremote_write: [{{url: '{}'}}]\n", sink.url());
            Running::Peer(peers::prometheus(Mode::Agent, &config).await?)
        }
        other => bail!("unknown program `{other}`; known are muster, vmagent and prometheus"),
    };
    let expected = setting.n_targets as u64 * u64::from(setting.n_series);
    let deadline = tokio::time::Instant::now() + setting.interval * 4;
    while sink.ledger().totals().delivered < expected {
        ensure!(tokio::time::Instant::now() < deadline, "{program} delivered too little to begin with");
        running.usage()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (before, n_before) = (running.usage()?, sink.ledger().totals().delivered);
    tokio::time::sleep(setting.measured).await;
    let (after, n_after) = (running.usage()?, sink.ledger().totals().delivered);
    Ok(Figures {
        program: program.to_owned(),
        n_samples: n_after - n_before,
        cpu: after.cpu.saturating_sub(before.cpu),
        peak_rss_bytes: after.peak_rss_bytes,
    })
}

/// A Prometheus configuration that scrapes every target of the fleet.
fn scrape_configs(fleet: &Fleet, setting: &Setting) -> String {
    let targets: Vec<String> =
        (0..fleet.targets().len()).map(|index| format!("'{}'", fleet.address(index))).collect();
    let seconds = setting.interval.as_secs();
    format!(
        "global: {{scrape_interval: {seconds}s, scrape_timeout: {seconds}s}}\n\
         scrape_configs: [{{job_name: even, static_configs: [{{targets: [{}]}}]}}]",
        targets.join(", ")
    )
}

fn muster(scrape: &str, sink: &str) -> Result<Running> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let indented: Vec<String> = scrape.lines().map(|line| format!("      {line}")).collect();
    let config = format!(
        "receivers:\n  prometheus:\n    config:\n{}\n\
         exporters: {{prometheusremotewrite: {{endpoint: '{sink}'}}}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines: {{metrics: {{receivers: [prometheus], exporters: \
         [prometheusremotewrite]}}}}\n",
        indented.join("\n")
    );
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).context("writing the configuration")?;
    let mut command = Command::new(binary("muster")?);
    command.arg("--config").arg(&path).current_dir(folder.path());
    let child = Child::spawn("muster", &mut command, folder.path())?;
    Ok(Running::Ours { child, _folder: folder })
}

fn table(setting: &Setting, all: &[Figures], skipped: &[&str]) -> String {
    let mut text = format!(
        "{} targets x {} series, every {:?}, gzip, measured for {:?} each\n{}\n\n",
        setting.n_targets,
        setting.n_series,
        setting.interval,
        setting.measured,
        machine::describe()
    );
    let (own_cpu, own_peak) = (all[0].cpu_per_million(), all[0].peak_mib());
    // Writing to a string cannot fail.
    let _infallible = writeln!(
        text,
        "{:<12} {:>12} {:>9} {:>16} {:>7} {:>10} {:>7}",
        "program", "samples", "CPU s", "CPU s / million", "ratio", "peak MiB", "ratio"
    );
    for figures in all {
        let _infallible = writeln!(
            text,
            "{:<12} {:>12} {:>9.2} {:>16.3} {:>6.1}x {:>10.1} {:>6.1}x",
            figures.program,
            figures.n_samples,
            figures.cpu.as_secs_f64(),
            figures.cpu_per_million(),
            figures.cpu_per_million() / own_cpu,
            figures.peak_mib(),
            figures.peak_mib() / own_peak,
        );
    }
    for program in skipped {
        let _infallible = writeln!(text, "{program:<12} not installed: skipped");
    }
    text
}
