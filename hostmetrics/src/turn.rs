//! What every scraper is given for one scrape.

use std::io;

use model::Timestamp;

use crate::failure::Failures;
use crate::files::{Files, malformed};
use crate::out::Out;
use crate::processes::Tally;
use crate::root::Root;
use crate::text;

/// What reads one part of the host.
pub(crate) trait Scraper: std::fmt::Debug + Send {
    /// Reads it once, and hands out what was found.
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out);

    /// Whether it asks nothing but tables that the kernel has in memory, as far as the last scrape tells.
    fn is_quick(&self) -> bool {
        true
    }
}

/// One scrape, as far as all scrapers share it.
pub(crate) struct Turn<'a> {
    pub(crate) root: &'a Root,
    pub(crate) files: &'a mut Files,
    pub(crate) failures: &'a mut Failures,
    pub(crate) now: Timestamp,
    /// When the host was started, in nanoseconds since the epoch; zero if unknown.
    pub(crate) boot: u64,
    /// Whether values that are wrong upstream are wrong here, too.
    pub(crate) has_upstream_values: bool,
    /// Processes by state, once one scraper has looked at all of them.
    pub(crate) tally: Option<Tally>,
}

impl Turn<'_> {
    /// The time of the points, in nanoseconds since the epoch.
    pub(crate) fn now_nanos(&self) -> u64 {
        self.now.unix_nanos()
    }
}

/// When the host was started, in nanoseconds since the epoch.
pub(crate) fn boot_time(root: &Root, files: &mut Files) -> Result<u64, (String, io::Error)> {
    const NANOS: u64 = 1_000_000_000;
    let path = root.proc("stat");
    let text = files.read(&path).map_err(|error| (path.clone(), error))?;
    let seconds = text::lines(text).find_map(|line| text::number(text::after(line, "btime ")?));
    seconds
        .map(|seconds| seconds.saturating_mul(NANOS))
        .ok_or_else(|| (path, malformed("there is no line `btime SECONDS`")))
}
