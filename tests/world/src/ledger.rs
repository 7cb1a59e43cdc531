//! What a sink received, series by series: how often, in which order, from whom.
//!
//! A series costs a hash and six words. For series of a [fleet](crate::fleet) the value tells the scrape it belongs
//! to, so that a sample that comes twice is known even when its timestamp differs, and a target's scrapes can be
//! counted sample by sample. Ownership is read from `up`: every scrape, failed ones too, writes it once, and the
//! header [`COLLECTOR_HEADER`] of the request tells which scraper did.
//!
//! The rules of order are those of a Prometheus receiver: a sample older than its series' newest one is out of order,
//! one with the same timestamp is a duplicate.

mod request;
pub mod request_v2;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};

use crate::fleet::{PREFIX, place_of};

pub use request::{Exemplar, Label, Metadata, Sample, TimeSeries, WriteRequest};
pub use request_v2::{Request as RequestV2, Told, Written};

/// The request header by which writers tell who they are.
pub const COLLECTOR_HEADER: &str = "x-muster-collector";
/// No more series than this are kept; samples of further ones are only counted, in [`Totals::beyond_limit`].
pub const MAX_SERIES: usize = 4_000_000;
/// How many scrapes of each target are remembered.
pub const HISTORY: usize = 4096;

const MAX_MOVES: usize = 1000;
const MAX_VIOLATIONS: usize = 20;
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Sums over everything that arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Requests that were read to the end.
    pub requests: u64,
    /// Samples that arrived for the first time, stale markers not included.
    pub delivered: u64,
    /// Samples that had arrived already, or whose series has another one with the same timestamp.
    pub duplicated: u64,
    /// Samples and stale markers older than the newest one of their series.
    pub out_of_order: u64,
    /// Stale markers.
    pub stale_markers: u64,
    /// Samples whose value belongs to another series.
    pub wrong_values: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// Metadata entries.
    pub metadata: u64,
    /// Samples of series beyond [`MAX_SERIES`].
    pub beyond_limit: u64,
    /// Breaches of the protocol; the first ones are in [`Ledger::violations`].
    pub violations: u64,
}

/// One scrape as `up` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Up {
    /// The scrape's timestamp in milliseconds.
    pub at: i64,
    /// Whose it was: an index into [`Ledger::collectors`].
    pub collector: u16,
    /// Whether it succeeded.
    pub good: bool,
}

/// A target that changed hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Counts all moves from 1.
    pub number: u64,
    /// Timestamp of the first scrape by the new owner.
    pub at: i64,
    /// Index of the target.
    pub target: usize,
    /// Index of the collector that had it.
    pub from: u16,
    /// Index of the collector that has it.
    pub to: u16,
}

/// What is known of one target, that is of one pair of `job` and `instance`.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its `job` label.
    pub job: String,
    /// Its `instance` label.
    pub instance: String,
    /// Its scrapes in order of timestamps, the newest [`HISTORY`] of them.
    pub ups: VecDeque<Up>,
    /// Scrape number and how many distinct samples of it arrived, in order of numbers.
    pub arrived: VecDeque<(u32, u32)>,
    /// Series whose last sample is no stale marker.
    pub live_series: u64,
    /// Its share of [`Totals::stale_markers`].
    pub stale_markers: u64,
    /// Its share of [`Totals::duplicated`].
    pub duplicated: u64,
    /// Its share of [`Totals::out_of_order`].
    pub out_of_order: u64,
}

impl Target {
    /// Who scraped it last.
    pub fn owner(&self) -> Option<u16> {
        self.ups.back().map(|up| up.collector)
    }
}

/// One series kept in full, see [`Ledger::remembering`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// All labels, the name included.
    pub labels: BTreeMap<String, String>,
    /// Timestamp in milliseconds and value, in order of arrival. Stale markers are NaN here.
    pub samples: Vec<(i64, f64)>,
    /// Labels, timestamp in milliseconds and value of its exemplars, in order of arrival.
    pub exemplars: Vec<(BTreeMap<String, String>, i64, f64)>,
    /// What remote write 2.0 said of it last.
    pub told: Option<Told>,
}

/// The book of one sink.
#[derive(Debug, Default)]
pub struct Ledger {
    series: HashMap<u64, Series>,
    targets: Vec<Target>,
    by_name: HashMap<(String, String), usize>,
    collectors: Vec<String>,
    moves: VecDeque<Move>,
    moved: u64,
    totals: Totals,
    violations: Vec<String>,
    remembered: HashMap<u64, Remembered>,
    remember: usize,
    largest_request: usize,
}

#[derive(Debug)]
struct Series {
    target: Option<u32>,
    /// Whether its values must tell place and sequence.
    of_fleet: bool,
    /// The series' place in its target's exposition, from its first value on.
    place: Option<u32>,
    last_at: i64,
    last_sequence: u32,
    /// Bit n: the sequence n below the last one has arrived.
    window: u64,
    live: bool,
}

impl Ledger {
    /// A ledger that also keeps labels and samples of the first `series` series in full: for small tests that look
    /// at values.
    pub fn remembering(series: usize) -> Ledger {
        Ledger { remember: series, ..Ledger::default() }
    }

    /// Sums since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Samples and histograms of the request that had most of them.
    pub fn largest_request(&self) -> usize {
        self.largest_request
    }

    /// How many different series ever arrived.
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// All targets ever seen, in order of appearance; indices stay valid.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The target with these labels.
    pub fn target(&self, job: &str, instance: &str) -> Option<&Target> {
        self.target_index(job, instance).map(|index| &self.targets[index])
    }

    /// Where [`Ledger::targets`] has the target with these labels.
    pub fn target_index(&self, job: &str, instance: &str) -> Option<usize> {
        self.by_name.get(&(job.to_owned(), instance.to_owned())).copied()
    }

    /// Every writer's name; requests without the header are by "".
    pub fn collectors(&self) -> &[String] {
        &self.collectors
    }

    /// The last thousand moves, oldest first.
    pub fn moves(&self) -> impl DoubleEndedIterator<Item = &Move> {
        self.moves.iter()
    }

    /// The first breaches of the protocol, in words.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The series kept in full that have this name.
    pub fn remembered(&self, name: &str) -> Vec<&Remembered> {
        let named = |series: &&Remembered| series.labels.get("__name__").is_some_and(|have| have == name);
        self.remembered.values().filter(named).collect()
    }

    /// Every series kept in full.
    pub fn all_remembered(&self) -> impl Iterator<Item = &Remembered> {
        self.remembered.values()
    }

    /// Writes down a breach of the protocol.
    pub fn violation(&mut self, what: String) {
        self.totals.violations += 1;
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(what);
        }
    }

    /// Takes a whole request in.
    pub fn take(&mut self, collector: &str, request: &WriteRequest) {
        let collector = self.collector(collector);
        self.totals.requests += 1;
        self.totals.metadata += request.metadata.len() as u64;
        let n_values =
            request.timeseries.iter().map(|series| series.samples.len() + series.histograms.len()).sum();
        self.largest_request = self.largest_request.max(n_values);
        for series in &request.timeseries {
            self.take_series(collector, series);
        }
    }

    /// Takes a whole request of 2.0 in.
    pub fn take_v2(&mut self, collector: &str, request: &WriteRequest, told: Vec<Told>) {
        self.take(collector, request);
        for (series, told) in request.timeseries.iter().zip(told) {
            self.totals.metadata +=
                u64::from(told.kind != 0 || !told.help.is_empty() || !told.unit.is_empty());
            if let Some(remembered) = self.remembered.get_mut(&key_of(series)) {
                remembered.told = Some(told);
            }
        }
    }

    fn collector(&mut self, name: &str) -> u16 {
        let index = self.collectors.iter().position(|known| known == name).unwrap_or_else(|| {
            self.collectors.push(name.to_owned());
            self.collectors.len() - 1
        });
        index as u16
    }

    fn take_series(&mut self, collector: u16, incoming: &TimeSeries) {
        if let Err(breach) = incoming.check() {
            self.violation(format!("{breach} in {incoming}"));
        }
        self.totals.exemplars += incoming.exemplars.len() as u64;
        let key = key_of(incoming);
        if !self.series.contains_key(&key) {
            if self.series.len() == MAX_SERIES {
                self.totals.beyond_limit += incoming.samples.len() as u64;
                return;
            }
            let series = self.new_series(incoming);
            self.series.insert(key, series);
        }
        self.remember(key, incoming);
        let is_up = incoming.name() == b"up";
        let series = self.series.get_mut(&key).expect("it was there or has just been put there");
        for sample in &incoming.samples {
            let target = series.target.map(|index| &mut self.targets[index as usize]);
            let mut entry = Entry { totals: &mut self.totals, target };
            entry.take(series, sample);
            if let Some(index) = series.target.filter(|_| is_up && sample.value.to_bits() != STALE) {
                let up = Up { at: sample.timestamp, collector, good: sample.value == 1.0 };
                self.moved += scraped(&mut self.targets[index as usize], up, |from, to| {
                    let (number, target) = (self.moved + 1, index as usize);
                    self.moves.push_back(Move { number, at: up.at, target, from, to });
                });
                if self.moves.len() > MAX_MOVES {
                    self.moves.pop_front();
                }
            }
        }
    }

    fn new_series(&mut self, incoming: &TimeSeries) -> Series {
        let (job, instance) = (incoming.label("job"), incoming.label("instance"));
        let target = job.zip(instance).map(|name| match self.by_name.get(&name) {
            Some(&index) => index as u32,
            None => {
                let (job, instance) = name.clone();
                self.targets.push(Target { job, instance, ..Target::default() });
                self.by_name.insert(name, self.targets.len() - 1);
                (self.targets.len() - 1) as u32
            }
        });
        let of_fleet = incoming.name().starts_with(PREFIX.as_bytes());
        Series { target, of_fleet, place: None, last_at: i64::MIN, last_sequence: 0, window: 0, live: false }
    }

    fn remember(&mut self, key: u64, incoming: &TimeSeries) {
        if self.remembered.len() >= self.remember && !self.remembered.contains_key(&key) {
            return;
        }
        let kept = self
            .remembered
            .entry(key)
            .or_insert_with(|| Remembered { labels: texts(&incoming.labels), ..Remembered::default() });
        kept.samples.extend(incoming.samples.iter().map(|sample| (sample.timestamp, sample.value)));
        let surplus = kept.samples.len().saturating_sub(HISTORY);
        kept.samples.drain(..surplus);
        let exemplars = incoming.exemplars.iter();
        kept.exemplars
            .extend(exemplars.map(|exemplar| (texts(&exemplar.labels), exemplar.timestamp, exemplar.value)));
        let surplus = kept.exemplars.len().saturating_sub(HISTORY);
        kept.exemplars.drain(..surplus);
    }
}

/// Where one sample is booked.
struct Entry<'a> {
    totals: &'a mut Totals,
    target: Option<&'a mut Target>,
}

impl Entry<'_> {
    fn take(&mut self, series: &mut Series, sample: &Sample) {
        let stale = sample.value.to_bits() == STALE;
        let sequence = if stale { None } else { series.sequence_of(sample.value) };
        if series.of_fleet && !stale && sequence.is_none() {
            self.totals.wrong_values += 1;
        }
        let again = sequence.is_some_and(|sequence| !series.first_time(sequence));
        if again || sample.timestamp == series.last_at {
            self.duplicated();
        } else if sample.timestamp < series.last_at {
            self.out_of_order();
        }
        if again {
            return;
        }
        let now_live = if sample.timestamp >= series.last_at { !stale } else { series.live };
        series.last_at = series.last_at.max(sample.timestamp);
        if let Some(target) = &mut self.target {
            target.live_series += u64::from(now_live && !series.live);
            target.live_series -= u64::from(!now_live && series.live);
        }
        series.live = now_live;
        if stale {
            self.totals.stale_markers += 1;
            self.target.iter_mut().for_each(|target| target.stale_markers += 1);
            return;
        }
        self.totals.delivered += 1;
        if let Some((target, sequence)) = self.target.as_mut().zip(sequence) {
            arrived(&mut target.arrived, sequence);
        }
    }

    fn duplicated(&mut self) {
        self.totals.duplicated += 1;
        self.target.iter_mut().for_each(|target| target.duplicated += 1);
    }

    fn out_of_order(&mut self) {
        self.totals.out_of_order += 1;
        self.target.iter_mut().for_each(|target| target.out_of_order += 1);
    }
}

impl Series {
    /// The scrape that a value belongs to; `None` for series of no fleet and for values of another series.
    fn sequence_of(&mut self, value: f64) -> Option<u32> {
        let (place, sequence) = place_of(value).filter(|_| self.of_fleet)?;
        (*self.place.get_or_insert(place) == place).then_some(sequence)
    }

    /// Notes a sequence number; false when it has been here. One that is older than the window counts as new.
    fn first_time(&mut self, sequence: u32) -> bool {
        if sequence > self.last_sequence {
            self.window = self.window.checked_shl(sequence - self.last_sequence).unwrap_or(0) | 1;
            self.last_sequence = sequence;
            return true;
        }
        let Some(bit) = 1u64.checked_shl(self.last_sequence - sequence) else { return true };
        let new = self.window & bit == 0;
        self.window |= bit;
        new
    }
}

/// Counts one more sample of a scrape.
fn arrived(scrapes: &mut VecDeque<(u32, u32)>, sequence: u32) {
    let newer = scrapes.iter().rev().take_while(|(have, _)| *have > sequence).count();
    let index = scrapes.len() - newer;
    if index > 0 && scrapes[index - 1].0 == sequence {
        scrapes[index - 1].1 += 1;
        return;
    }
    scrapes.insert(index, (sequence, 1));
    if scrapes.len() > HISTORY {
        scrapes.pop_front();
    }
}

/// Notes a scrape of a target; 1 when it is the first one of a new owner, of which `moved` is told.
fn scraped(target: &mut Target, up: Up, moved: impl FnOnce(u16, u16)) -> u64 {
    let owner = target.owner();
    let newer = target.ups.iter().rev().take_while(|have| have.at > up.at).count();
    let index = target.ups.len() - newer;
    if index > 0 && target.ups[index - 1] == up {
        return 0;
    }
    target.ups.insert(index, up);
    if target.ups.len() > HISTORY {
        target.ups.pop_front();
    }
    match owner {
        Some(from) if newer == 0 && from != up.collector => {
            moved(from, up.collector);
            1
        }
        _ => 0,
    }
}

fn texts(labels: &[Label]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    labels.iter().map(|label| (text(&label.name), text(&label.value))).collect()
}

/// Hash of the labels in their canonical order, whatever order they came in.
fn key_of(series: &TimeSeries) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |label: &Label| {
        hasher.write(&label.name);
        hasher.write_u8(0xff);
        hasher.write(&label.value);
        hasher.write_u8(0xff);
    };
    if series.labels.is_sorted_by(|a, b| a.name <= b.name) {
        series.labels.iter().for_each(add);
    } else {
        let mut sorted = series.labels.iter().collect::<Vec<_>>();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        sorted.into_iter().for_each(&mut add);
    }
    hasher.finish()
}
