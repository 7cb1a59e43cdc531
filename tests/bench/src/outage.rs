//! One program through an outage of its receiver: what it keeps, what that costs, how fast it catches up, what arrives.
//!
//! Program and receiver stand on either side of a gate. Before it closes the program runs undisturbed; while it is closed
//! connections are refused; after it opened again, the time is taken until the first sample arrives, until one that was scraped after the
//! opening arrives, and until nothing is missing. The ledger judges from the first delivery of all targets to the end.

use std::path::Path;
use std::process::Command;
use std::slice;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::{Instant, sleep};
use world::child::binary;
use world::fleet::Fleet;
use world::gate::{Gate, Passage};
use world::now_ms;
use world::sink::Sink;
use world::verdict::{Verdict, Window, verdict};

use crate::measure::{Setting, delivered_once};
use crate::programs::{self, Running, Task};
use crate::{fleet, say};

/// How often is looked whether something has arrived.
const LOOK: Duration = Duration::from_millis(100);
/// How often a reader of the terminal hears something.
const TELL: Duration = Duration::from_secs(10);
/// A program may take as long as the outage and this to catch up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a program may take to end.
const GRACE: Duration = Duration::from_secs(60);

/// What happens, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) n_targets: usize,
    pub(crate) n_series: u32,
    pub(crate) interval: Duration,
    pub(crate) before: Duration,
    pub(crate) outage: Duration,
    pub(crate) after: Duration,
}

impl Script {
    /// Samples a second that all targets expose.
    pub(crate) fn rate(&self) -> f64 {
        self.n_targets as f64 * f64::from(self.n_series) / self.interval.as_secs_f64()
    }

    /// The same fleet, measured for this long.
    pub(crate) fn setting(&self, measured: Duration) -> Setting {
        Setting {
            n_targets: self.n_targets,
            n_series: self.n_series,
            gzip: true,
            interval: self.interval,
            measured,
            programs: Vec::new(),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) program: String,
    pub(crate) verdict: Verdict,
    /// Resident memory at most before the outage, and in it.
    pub(crate) idle_bytes: u64,
    pub(crate) outage_bytes: u64,
    /// Samples that waited when the outage ended, and what they took on the disk: what the segments of our queue hold, which
    /// have their full size from the beginning on, and what the files of others have grown by.
    pub(crate) n_queued: u64,
    pub(crate) disk_bytes: u64,
    /// From the end of the outage to the first sample, to the first fresh one, to the last old one.
    pub(crate) first_after: Option<Duration>,
    pub(crate) fresh_after: Option<Duration>,
    pub(crate) caught_up_after: Option<Duration>,
    /// Samples a second that arrived between the first and the last of these.
    pub(crate) catch_up_rate: f64,
}

/// A receiver behind a gate.
pub(crate) struct Receiver<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) sink: &'a Sink,
}

/// A program that plays the script.
struct Stage<'a> {
    script: &'a Script,
    receiver: &'a Receiver<'a>,
    fleet: &'a Fleet,
    running: &'a Running,
    from: i64,
    began: Instant,
}

/// Runs a program through the script.
pub(crate) async fn play(program: &str, script: &Script, receiver: &Receiver<'_>) -> Result<Figures> {
    say(&format!("outage: {program} starts, {:.0} samples/s", script.rate()));
    let stand = fleet::start(script.n_targets, script.n_series, true).await?;
    let url = receiver.gate.url("/api/v1/write");
    let groups = stand.groups();
    let task = Task { groups: &groups, interval: script.interval, gzip: true, sink: &url };
    let mut running = programs::start(program, &task).await?;
    delivered_once(slice::from_ref(&running), receiver.sink, &script.setting(script.outage)).await?;
    let stage = Stage {
        script,
        receiver,
        fleet: &stand.fleet,
        running: &running,
        from: now_ms(),
        began: Instant::now(),
    };
    let mut figures = Figures { program: program.to_owned(), ..Figures::default() };
    figures.idle_bytes = stage.lasts("before", script.before).await?;
    let disk_before = disk_bytes(&running.data());
    receiver.gate.set(Passage::Refused).await;
    figures.outage_bytes = stage.lasts("outage", script.outage).await?;
    let reopened = now_ms();
    figures.n_queued = stage.verdict(reopened).lost;
    figures.disk_bytes = match program.starts_with("muster") {
        true => used_bytes(&running.data())?,
        false => disk_bytes(&running.data()).saturating_sub(disk_before),
    };
    receiver.gate.set(Passage::Open).await;
    stage.catches_up(reopened, &mut figures).await?;
    stage.lasts("after", script.after).await?;
    let to = now_ms();
    stage.complete(to).await?;
    let from = stage.from;
    running.end(GRACE).await?;
    figures.verdict =
        verdict(&stand.fleet, &receiver.sink.ledger(), Window { from, to, interval: script.interval });
    Ok(figures)
}

impl Stage<'_> {
    fn verdict(&self, to: i64) -> Verdict {
        let window = Window { from: self.from, to, interval: self.script.interval };
        verdict(self.fleet, &self.receiver.sink.ledger(), window)
    }

    /// Lets time pass; gives the largest resident memory meanwhile.
    async fn lasts(&self, phase: &str, time: Duration) -> Result<u64> {
        let (end, mut told, mut most) = (Instant::now() + time, Instant::now(), 0);
        loop {
            most = most.max(self.running.usage()?.rss_bytes);
            if told.elapsed() >= TELL {
                told = Instant::now();
                self.tell(phase);
            }
            let now = Instant::now();
            if now >= end {
                return Ok(most);
            }
            sleep((end - now).min(Duration::from_secs(1))).await;
        }
    }

    fn tell(&self, phase: &str) {
        let Verdict { delivered, lost, duplicated, .. } = self.verdict(now_ms());
        let rss = self.running.usage().map_or(0, |usage| usage.rss_bytes >> 20);
        let disk = disk_bytes(&self.running.data()) as f64 / f64::from(1 << 20);
        say(&format!(
            "{:>5.0} s  {phase:<8} {delivered:>10} arrived {lost:>10} waiting {duplicated:>6} twice  {rss:>5} MiB memory {disk:>7.1} MiB disk",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Waits until nothing that was scraped before the receiver came back is missing.
    async fn catches_up(&self, reopened: i64, figures: &mut Figures) -> Result<()> {
        let began = Instant::now();
        let n_before = self.receiver.sink.ledger().totals().delivered;
        let mut told = began;
        let mut n_first = n_before;
        loop {
            let n_arrived = self.receiver.sink.ledger().totals().delivered;
            if n_arrived > n_before && figures.first_after.is_none() {
                figures.first_after = Some(began.elapsed());
                n_first = n_arrived;
            }
            if figures.fresh_after.is_none() && self.has_fresh(reopened) {
                figures.fresh_after = Some(began.elapsed());
            }
            if self.verdict(reopened).lost == 0 {
                figures.caught_up_after = Some(began.elapsed());
                let time = began.elapsed().saturating_sub(figures.first_after.unwrap_or_default());
                // What arrived at the first look was sent within it.
                figures.catch_up_rate =
                    (n_arrived - n_first.min(n_arrived)) as f64 / time.max(LOOK).as_secs_f64();
                return Ok(());
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                self.tell("catch-up");
            }
            self.running.usage()?;
            if began.elapsed() > self.script.outage + PATIENCE {
                say("outage: not everything arrived; going on");
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    /// Whether something has arrived that was scraped after this time.
    fn has_fresh(&self, since: i64) -> bool {
        let ledger = self.receiver.sink.ledger();
        self.fleet.targets().iter().any(|target| {
            let known = ledger.target(&target.plan.job, &target.plan.instance);
            known.is_some_and(|known| known.ups.back().is_some_and(|up| up.at >= since))
        })
    }

    /// Waits a while until everything up to now has arrived.
    async fn complete(&self, to: i64) -> Result<()> {
        let deadline = Instant::now() + self.script.interval * 2 + Duration::from_secs(30);
        while self.verdict(to).lost > 0 && Instant::now() < deadline {
            self.running.usage()?;
            sleep(LOOK).await;
        }
        Ok(())
    }
}

/// What the segments of the queues in a data directory hold, as `muster debug queue` tells it.
fn used_bytes(data: &Path) -> Result<u64> {
    let mut command = Command::new(binary("muster")?);
    let output = command.args(["debug", "queue", "--json"]).arg(data).output()?;
    // What is being written at that moment may look unfinished; the numbers are printed all the same.
    queued_bytes(&String::from_utf8_lossy(&output.stdout))
}

/// The sum of `used_bytes` of all segments, from one JSON object a queue and line.
fn queued_bytes(lines: &str) -> Result<u64> {
    let mut all = 0;
    for line in lines.lines() {
        let queue: serde_json::Value =
            serde_json::from_str(line).context("reading what lies in the queue")?;
        let segments = queue["segments"].as_array().context("a queue without segments")?;
        all += segments.iter().filter_map(|segment| segment["used_bytes"].as_u64()).sum::<u64>();
    }
    Ok(all)
}

/// What the files below a folder take on the disk, sparse ones as they are.
fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of_entry = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.blocks() * 512,
        _ => 0,
    };
    entries.flatten().map(of_entry).sum()
}

/// What is asked of a program that is to pass: everything arrived, once, and scraping went on.
pub(crate) fn passes(figures: &Figures) -> Result<()> {
    let Verdict { expected, delivered, missing, lost, unscraped, duplicated, .. } = &figures.verdict;
    ensure!(*delivered > 0, "nothing arrived");
    if *missing > 0 || *duplicated > 0 {
        bail!(
            "of {expected} samples {missing} are missing ({lost} lost, {unscraped} never scraped), {duplicated} came twice:\n{}",
            figures.verdict.blemishes.join("\n")
        );
    }
    figures.caught_up_after.context("it did not catch up").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_segments_hold_is_added_up() {
        let lines = "{\"segments\": [{\"used_bytes\": 7}, {\"used_bytes\": 5}]}\n{\"segments\": []}\n";
        assert_eq!(queued_bytes(lines).unwrap(), 12);
        assert!(queued_bytes("Error: no queue").is_err());
    }

    #[test]
    fn files_of_subfolders_count_as_what_they_take() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/file"), vec![1; 100_000]).unwrap();
        let sparse = std::fs::File::create(folder.path().join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        assert!((100_000..1_000_000).contains(&disk_bytes(folder.path())));
        assert_eq!(disk_bytes(Path::new("/no/such/folder")), 0);
    }

    #[test]
    fn a_program_that_lost_or_doubled_one_sample_does_not_pass() {
        let verdict = Verdict { expected: 10, delivered: 10, ..Verdict::default() };
        let whole = Figures { verdict, caught_up_after: Some(Duration::from_secs(1)), ..Figures::default() };
        assert!(passes(&whole).is_ok());
        for (missing, duplicated) in [(1, 0), (0, 1)] {
            let verdict = Verdict { missing, duplicated, ..whole.verdict.clone() };
            assert!(passes(&Figures { verdict, ..whole.clone() }).is_err());
        }
        assert!(passes(&Figures { caught_up_after: None, ..whole }).is_err());
    }
}
