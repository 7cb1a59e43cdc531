//! Start times of OpenMetrics series: `_created` lines, looked up before they come.
//!
//! In effect as Prometheus `model/textparse/openmetricsparse.go` (`StartTimestamp`), which looks ahead anew from every
//! series. Here the series behind a TYPE line are looked through once, up to the next line of metadata, and their
//! `_created` lines are put into a table.
//!
//! Different on purpose: a `_created` line serves the series in front of it as well as those behind it, and the order
//! of labels does not matter.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::{memchr, memchr2};
use model::{Kind, Timestamp};

use crate::event::Event;
use crate::lines::{Lines, Syntax};
use crate::series::{Item, raw_text, walk};

const CREATED: &str = "_created";

/// The start times of the series that the parser is among.
#[derive(Clone, Debug)]
pub(crate) struct Starts<'a> {
    family: Cow<'a, str>,
    kind: Kind,
    /// Whether the series behind the last line of metadata were looked through.
    is_filled: bool,
    /// Labels to where `_created` lines stand and what they say, in order.
    found: HashMap<Vec<u8>, Vec<(usize, Timestamp)>>,
    labels: Vec<(&'a [u8], &'a [u8])>,
    key: Vec<u8>,
}

impl Default for Starts<'_> {
    fn default() -> Self {
        Self {
            family: Cow::Borrowed(""),
            kind: Kind::Unknown,
            is_filled: false,
            found: HashMap::new(),
            labels: Vec::new(),
            key: Vec::new(),
        }
    }
}

impl<'a> Starts<'a> {
    /// Gives a sample its start time, and says whether it is a start time itself. `at` is where its line begins.
    pub(crate) fn is_hidden(&mut self, event: &mut Event<'a>, body: &'a [u8], at: usize) -> bool {
        let sample = match event {
            Event::Sample(sample) => sample,
            Event::Type { family, kind } => {
                (self.family, self.kind) = (family.clone(), *kind);
                self.is_filled = false;
                return false;
            }
            _ => {
                self.is_filled = false;
                return false;
            }
        };
        if !matches!(self.kind, Kind::Counter | Kind::Histogram | Kind::Summary) {
            return false;
        }
        if !std::mem::replace(&mut self.is_filled, true) {
            self.fill(body, at);
        }
        if self.found.is_empty() && !is_candidate(sample.series) {
            return false;
        }
        let name = self.read(sample.series);
        if name.ends_with(CREATED) {
            return true;
        }
        sample.start = self.start(&name, at);
        false
    }

    /// The next start time behind a series of the family, or else the last one.
    fn start(&self, name: &str, at: usize) -> Option<Timestamp> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["", "_total"],
            Kind::Summary => &["", "_count", "_sum"],
            _ => &["_bucket", "_count", "_sum"],
        };
        let suffix = name.strip_prefix(&*self.family)?;
        if !suffixes.contains(&suffix) {
            return None;
        }
        let found = self.found.get(&self.key)?;
        let next = found.partition_point(|(created_at, _)| *created_at < at);
        found.get(next).or(found.last()).map(|(_, start)| *start)
    }

    /// Looks through the lines from `at` on, up to one that is no sample or no line at all.
    fn fill(&mut self, body: &'a [u8], mut at: usize) {
        self.found.clear();
        while !matches!(body.get(at), None | Some(b'#')) {
            let end = memchr(b'\n', &body[at..]).map_or(body.len(), |length| at + length + 1);
            if is_candidate(&body[at..end]) && self.remember(body, at).is_none() {
                return;
            }
            at = end;
        }
    }

    /// Remembers what a `_created` line says. Nothing if the line cannot be read: the parser will come to it.
    fn remember(&mut self, body: &'a [u8], at: usize) -> Option<()> {
        let end = walk(Syntax::OpenMetrics, body, at, |_| Ok(())).ok()?;
        let (seconds, ..) = Lines::new(Syntax::OpenMetrics, body).openmetrics_suffix(end).ok()?;
        let name = self.read(&body[at..end]);
        #[expect(clippy::cast_possible_truncation, reason = "cut to milliseconds, as timestamps are")]
        let millis = (seconds * 1000.0) as i64;
        if millis != 0 && seconds.is_finite() && name.strip_suffix(CREATED) == Some(&*self.family) {
            self.found.entry(self.key.clone()).or_default().push((at, Timestamp(millis)));
        }
        Some(())
    }

    /// Gives the name of a series and makes `key` of its labels, bounds left out.
    fn read(&mut self, series: &'a [u8]) -> Cow<'a, str> {
        let bound: &[u8] = match self.kind {
            Kind::Histogram => b"le",
            Kind::Summary => b"quantile",
            _ => b"",
        };
        let (labels, key) = (&mut self.labels, &mut self.key);
        let mut name = Cow::Borrowed("");
        labels.clear();
        let visited = walk(Syntax::OpenMetrics, series, 0, |item| {
            match item {
                Item::Name(raw) => name = raw_text(raw),
                Item::Label { name, .. } if name == bound => {}
                Item::Label { name, value } => labels.push((name, value)),
            }
            Ok(())
        });
        debug_assert!(visited.is_ok(), "the series was parsed before");
        labels.sort_unstable();
        key.clear();
        for (name, value) in labels {
            for piece in [name, value] {
                key.extend_from_slice(&piece.len().to_le_bytes());
                key.extend_from_slice(piece);
            }
        }
        name
    }
}

/// Whether the line may be one of a `_created` series: names in braces are not looked at.
fn is_candidate(line: &[u8]) -> bool {
    let end = memchr2(b'{', b' ', line).unwrap_or(line.len());
    end == 0 || line[..end].ends_with(CREATED.as_bytes())
}

#[cfg(test)]
mod tests;
