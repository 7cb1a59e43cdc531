//! One scraper: its process and what has become of it.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use world::child::{Child, Signal, binary};

use super::{GRACE, LEAVING, ProcessView, SCRAPER_RESTART, is_up};

/// Where in its life a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It runs and is not ready.
    Starting,
    /// It is ready.
    Up,
    /// It is no longer wanted: the others take over at their turn while it still runs.
    Draining,
    /// It was told to end; when it has, it is no member any more.
    Leaving { since: Instant },
    /// It has ended and will be back.
    Down { since: Instant },
}

impl Phase {
    /// In a word, and when it comes back if it is down.
    pub(super) fn tell(self, restart: Duration) -> (&'static str, Option<u64>) {
        match self {
            Phase::Starting => ("starting", None),
            Phase::Up => ("up", None),
            Phase::Draining | Phase::Leaving { .. } => ("leaving", None),
            Phase::Down { since } => ("down", Some(restart.saturating_sub(since.elapsed()).as_secs())),
        }
    }
}

/// What a scraper is started with.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) text: String,
    pub(super) health: u16,
    pub(super) metrics: u16,
}

#[derive(Debug)]
pub(super) struct Scraper {
    pub(super) ordinal: usize,
    pub(super) id: String,
    pub(super) child: Child,
    pub(super) phase: Phase,
    /// Whether the allocator gives it targets.
    pub(super) member: bool,
    health: u16,
    metrics: u16,
    meter: Meter,
}

impl Scraper {
    pub(super) fn new(ordinal: usize, config: Config, folder: &TempDir) -> Result<Scraper> {
        let id = format!("s-{ordinal}");
        let child = start(&id, &config.text, folder)?;
        let Config { health, metrics, .. } = config;
        Ok(Scraper {
            ordinal,
            id,
            child,
            phase: Phase::Starting,
            member: false,
            health,
            metrics,
            meter: Meter::default(),
        })
    }

    /// Starts it again.
    pub(super) fn start(&mut self, config: Config, folder: &TempDir) -> Result<()> {
        self.child = start(&self.id, &config.text, folder)?;
        (self.health, self.metrics) = (config.health, config.metrics);
        self.phase = Phase::Starting;
        Ok(())
    }

    /// Takes note of what the process has done since the last look.
    pub(super) async fn look(&mut self) -> Result<()> {
        let ended = self.child.ended();
        match (self.phase, ended) {
            // Somebody took one of its ports in the moment before it did: the next start has others.
            (Phase::Starting, Some(_)) if self.child.last_words().contains("in use") => self.start_now(),
            (Phase::Starting, Some(status)) => {
                bail!("{} ended ({status}) before it was ready:\n{}", self.id, self.child.last_words());
            }
            (Phase::Starting, None) if is_up(&format!("http://127.0.0.1:{}/", self.health)).await => {
                self.phase = Phase::Up;
            }
            (Phase::Up, Some(_)) => self.phase = Phase::Down { since: Instant::now() },
            (Phase::Down { since }, _) if since.elapsed() > GRACE => self.member = false,
            (Phase::Draining | Phase::Leaving { .. }, Some(_)) => self.member = false,
            (Phase::Leaving { since }, None) if since.elapsed() > LEAVING => {
                self.child.kill().map(drop)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// kill -9.
    pub(super) fn kill(&mut self) -> Result<()> {
        if !self.is_leaving() {
            self.phase = Phase::Down { since: Instant::now() };
        }
        self.child.kill().map(drop)
    }

    /// Gives its targets away first and ends it then.
    pub(super) fn leave(&mut self) {
        self.phase = Phase::Draining;
    }

    /// Whether it still has targets that others are to take over.
    pub(super) fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// Ends it, now that it is drained.
    pub(super) fn end(&mut self) -> Result<()> {
        self.phase = Phase::Leaving { since: Instant::now() };
        self.child.signal(Signal::TERM)
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Leaving { .. })
    }

    /// Whether it has left for good.
    pub(super) fn is_gone(&mut self) -> bool {
        self.is_leaving() && self.child.ended().is_some()
    }

    /// Makes the time to start it again come now.
    pub(super) fn start_now(&mut self) {
        if matches!(self.phase, Phase::Down { .. } | Phase::Starting) && self.child.ended().is_some() {
            let long_ago = Instant::now().checked_sub(SCRAPER_RESTART);
            self.phase = Phase::Down { since: long_ago.unwrap_or_else(Instant::now) };
        }
    }

    /// Whether it has been down for long enough.
    pub(super) fn wants_start(&self) -> bool {
        matches!(self.phase, Phase::Down { since } if since.elapsed() >= SCRAPER_RESTART)
    }

    pub(super) fn describe(&mut self) -> ProcessView {
        let (phase, back_in_seconds) = self.phase.tell(SCRAPER_RESTART);
        let (cpu_percent, rss_bytes) = self.meter.read(&self.child);
        ProcessView {
            id: self.id.clone(),
            phase,
            pid: (phase != "down").then(|| self.child.id()),
            cpu_percent,
            rss_bytes,
            back_in_seconds,
            member: self.member,
            url: format!("http://127.0.0.1:{}/metrics", self.metrics),
        }
    }
}

fn start(id: &str, config: &str, folder: &TempDir) -> Result<Child> {
    let path = folder.path().join(format!("{id}.yaml"));
    fs::write(&path, config).with_context(|| format!("writing the configuration of {id}"))?;
    let mut command = Command::new(binary("muster")?);
    command.arg("--config").arg(path);
    Child::spawn(id, &mut command, folder.path())
}

/// Processor use of a process, smoothed over a few seconds.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pid: u32,
    last: Option<(Instant, Duration)>,
    percent: f64,
}

impl Meter {
    /// Percent of one processor, and resident bytes.
    pub(super) fn read(&mut self, child: &Child) -> (f64, u64) {
        let Some(usage) = child.usage() else { return (0.0, 0) };
        if self.pid != child.id() {
            *self = Meter { pid: child.id(), ..Meter::default() };
        }
        let (since, before) = *self.last.get_or_insert((Instant::now(), usage.cpu));
        // Processor time is counted in hundredths of a second: shorter spans would show noise.
        if since.elapsed() > Duration::from_secs(3) {
            let spent = usage.cpu.saturating_sub(before).as_secs_f64();
            self.percent = 100.0 * spent / since.elapsed().as_secs_f64();
            self.last = Some((Instant::now(), usage.cpu));
        }
        (self.percent, usage.rss_bytes)
    }
}
