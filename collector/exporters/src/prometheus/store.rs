//! The last value of every series, until it ends, is overtaken by its type, or was not updated for too long.
//!
//! As upstream's accumulator, except that one label set is one series here, whatever metric it came from: the first one keeps it.
//! Labels lie in a [`SeriesTable`], each distinct one once, so that a series costs less than 200 bytes. What ended is only marked;
//! it leaves the lists together with others ([`Store::purge`]), because taking one out of a long list costs as much as
//! taking out many.

mod family;
mod order;
mod pattern;
mod print;
mod repeats;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::Duration;

use exposition::MAX_LABELS_PER_SERIES;
use hashbrown::HashTable;
use model::{BucketCounts, Exemplar, Histogram, Kind, SeriesId, SeriesTable, Timestamp, is_stale};
use translate::{Exemplars, SeriesLabels, SeriesRef};

pub(super) use family::Conflict;
use family::{Families, exposed};
use order::Order;
use pattern::Pattern;
pub(super) use print::{Place, Printing};
pub(super) use repeats::Goal;
use repeats::Repeats;

/// Bytes that the labels of all series may take, counted as if nothing were stored once only.
const MAX_LABEL_BYTES: usize = 3 << 30;

/// What a label takes in the table beside its texts: their ends, the pair, its number.
const BYTES_BESIDE_A_LABEL: usize = 20;

/// Bytes that all native histograms may take.
const MAX_HISTOGRAM_BYTES: usize = 1 << 30;

/// Longest exemplar, in characters of its names and values; longer ones are left out, as OpenMetrics demands.
const MAX_EXEMPLAR_RUNES: usize = 128;

/// A time of arrival: tenths of a second since the exporter began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(pub(super) u32);

impl Tick {
    const PER_SECOND: u32 = 10;

    /// Of a series that has ended.
    const GONE: Self = Self(u32::MAX);

    /// As many ticks as there are in a time.
    pub(super) fn count(time: Duration) -> u32 {
        u32::try_from(time.as_millis() / u128::from(1000 / Self::PER_SECOND)).unwrap_or(u32::MAX)
    }

    pub(super) fn since(origin: tokio::time::Instant) -> Self {
        Self(Self::count(origin.elapsed()).min(Self::GONE.0 - 1))
    }
}

/// The last value of a series.
#[derive(Clone, Copy, Debug)]
struct Last {
    bits: u64,
    at: Timestamp,
    /// Since when it counts; [`NO_START`] where that is not known.
    start: Timestamp,
    /// When it was updated; [`Tick::GONE`] once it has ended.
    seen: Tick,
    family: u32,
}

const NO_START: Timestamp = Timestamp(i64::MIN);

/// Why a sample was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Untaken {
    /// Its family is known with another type.
    Conflict(Conflict),
    /// There is no room; the limit, by name.
    Full(String),
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Full(limit) => write!(f, "no room for another series: {limit}"),
        }
    }
}

/// The last value of every series.
#[derive(Debug)]
pub(super) struct Store {
    table: SeriesTable,
    /// Living series by the hash of their labels.
    index: HashTable<u32>,
    // Seeded: nobody can choose labels that collide.
    hasher: RandomState,
    /// By series id.
    last: Vec<Last>,
    /// The last exemplar of series that have one.
    exemplars: HashMap<u32, Box<Exemplar>>,
    /// Values of series that are native histograms.
    histograms: HashMap<u32, Box<Histogram>>,
    n_histogram_bytes: usize,
    families: Families,
    /// Series that have ended and are still in the list of their family.
    gone: Vec<u32>,
    /// Bytes of the labels of living series, and of all since labels were last compacted.
    n_living_bytes: usize,
    n_held_bytes: usize,
    max_series: usize,
    /// How long a series is kept without an update.
    expiration: u32,
    /// Whether a series came since memory was last given back.
    has_grown: bool,
    /// Series that have ended since the store was made.
    n_forgotten: u64,
    repeats: Repeats,
    /// The last page that can be written again with other values.
    pattern: Option<Pattern>,
}

impl Store {
    pub(super) fn new(max_series: usize, expiration: Duration) -> Self {
        Self {
            table: SeriesTable::new(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            last: Vec::new(),
            exemplars: HashMap::new(),
            histograms: HashMap::new(),
            n_histogram_bytes: 0,
            families: Families::default(),
            gone: Vec::new(),
            n_living_bytes: 0,
            n_held_bytes: 0,
            max_series,
            expiration: Tick::count(expiration),
            has_grown: false,
            n_forgotten: 0,
            repeats: Repeats::default(),
            pattern: None,
        }
    }

    /// Number of living series.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Takes a sample. One that is older than what is known changes nothing, one that ends its series removes it. Gives the place of one
    /// that was taken.
    pub(super) fn put(&mut self, series: &SeriesRef<'_>, now: Tick) -> Result<Option<Goal>, Untaken> {
        let hash = hash_of(&self.hasher, series.labels.iter());
        let (table, labels) = (&self.table, series.labels);
        let known = self.index.find(hash, |id| labels.iter().eq(table.labels(SeriesId(*id)))).copied();
        if let Some(histogram) = series.histogram {
            self.has_room_for(histogram)?;
        }
        let id = match (known, is_stale(series.bits)) {
            (Some(id), true) => {
                self.end(id);
                return Ok(None);
            }
            (None, true) => return Ok(None),
            (Some(id), false) => {
                let name = labels.value("__name__");
                let (_, kind) = exposed(name, &series.family, series.histogram);
                self.families.stay(self.last[id as usize].family, kind).map_err(Untaken::Conflict)?;
                if self.last[id as usize].at <= series.at {
                    self.update(id, series, now);
                }
                id
            }
            (None, false) => {
                let id = self.insert(hash, series)?;
                self.update(id, series, now);
                id
            }
        };
        Ok(Some(Goal { series: id, start: series.start.unwrap_or(NO_START) }))
    }

    fn insert(&mut self, hash: u64, series: &SeriesRef<'_>) -> Result<u32, Untaken> {
        self.make_room(series.labels)?;
        let name = series.labels.value("__name__");
        let family = self.families.join(name, &series.family, series.histogram).map_err(Untaken::Conflict)?;
        let SeriesId(id) = self.table.insert(series.labels.iter(), None);
        let last = Last { bits: 0, at: series.at, start: NO_START, seen: Tick::GONE, family };
        match self.last.get_mut(id as usize) {
            Some(place) => *place = last,
            None => self.last.push(last),
        }
        let (table, hasher) = (&self.table, &self.hasher);
        self.index.insert_unique(hash, id, |id| hash_of(hasher, table.labels(SeriesId(*id))));
        self.families.add(family, id);
        let n_bytes = label_bytes(self.table.labels(SeriesId(id)));
        self.n_living_bytes += n_bytes;
        self.n_held_bytes += n_bytes;
        self.has_grown = true;
        Ok(id)
    }

    /// Whether the limits allow one more series with these labels.
    fn make_room(&mut self, labels: SeriesLabels<'_>) -> Result<(), Untaken> {
        if self.len() >= self.max_series {
            return Err(Untaken::Full(format!("max_series: {} of {}", self.len(), self.max_series)));
        }
        let (n_labels, n_bytes) = (labels.iter().count(), label_bytes(labels.iter()));
        if n_labels > MAX_LABELS_PER_SERIES {
            let limit = format!("MAX_LABELS_PER_SERIES: {n_labels} of {MAX_LABELS_PER_SERIES}");
            return Err(Untaken::Full(limit));
        }
        if self.n_held_bytes.saturating_add(n_bytes) > MAX_LABEL_BYTES {
            self.purge();
            self.compact();
        }
        if self.n_held_bytes.saturating_add(n_bytes) > MAX_LABEL_BYTES {
            let limit = format!("MAX_LABEL_BYTES: {} of {MAX_LABEL_BYTES}", self.n_held_bytes);
            return Err(Untaken::Full(limit));
        }
        Ok(())
    }

    fn has_room_for(&self, histogram: &Histogram) -> Result<(), Untaken> {
        if self.n_histogram_bytes.saturating_add(bytes_of(histogram)) <= MAX_HISTOGRAM_BYTES {
            return Ok(());
        }
        let n_bytes = self.n_histogram_bytes;
        Err(Untaken::Full(format!("MAX_HISTOGRAM_BYTES: {n_bytes} of {MAX_HISTOGRAM_BYTES}")))
    }

    /// Sets or removes the native histogram of a series.
    fn set_histogram(&mut self, id: u32, histogram: Option<&Histogram>) {
        let old = match histogram {
            Some(histogram) => {
                self.n_histogram_bytes += bytes_of(histogram);
                self.histograms.insert(id, Box::new(histogram.clone()))
            }
            None => self.histograms.remove(&id),
        };
        self.n_histogram_bytes -= old.map_or(0, |old| bytes_of(&old));
    }

    fn update(&mut self, id: u32, series: &SeriesRef<'_>, now: Tick) {
        let last = &mut self.last[id as usize];
        last.bits = series.bits;
        last.at = series.at;
        last.start = series.start.unwrap_or(NO_START);
        last.seen = now;
        if series.histogram.is_some() || !self.histograms.is_empty() {
            self.set_histogram(id, series.histogram);
        }
        if !series.exemplars.is_empty() || !self.exemplars.is_empty() {
            let kind = self.families.kind(self.last[id as usize].family);
            match exemplar_of(kind, series.exemplars) {
                Some(exemplar) => drop(self.exemplars.insert(id, Box::new(exemplar.clone()))),
                None => drop(self.exemplars.remove(&id)),
            }
        }
    }

    /// Ends a series. The count of a histogram or summary ends all of it: who ends a point need not repeat its buckets.
    fn end(&mut self, id: u32) {
        for id in self.ending_with(id) {
            self.forget(id);
        }
        if self.gone.len() > 1024 + self.len() / 8 {
            self.purge();
        }
    }

    fn ending_with(&mut self, id: u32) -> Vec<u32> {
        let family = self.last[id as usize].family;
        let Some(known) = self.families.get_mut(family) else { return vec![id] };
        let name = known.name.clone();
        let order = Order::new(&self.table, &name, known.kind);
        if !order.is_count(id) {
            return vec![id];
        }
        known.sort(&order);
        let group = order.group_of(&known.series, id);
        let is_living = |id: &u32| self.last[*id as usize].seen != Tick::GONE;
        known.series[group].iter().copied().filter(is_living).collect()
    }

    /// Takes a series out of everything but the list of its family.
    fn forget(&mut self, id: u32) {
        let last = &mut self.last[id as usize];
        last.seen = Tick::GONE;
        self.n_forgotten += 1;
        self.families.note_gone(last.family);
        let hash = hash_of(&self.hasher, self.table.labels(SeriesId(id)));
        if let Ok(entry) = self.index.find_entry(hash, |known| *known == id) {
            entry.remove();
        }
        self.exemplars.remove(&id);
        self.set_histogram(id, None);
        self.gone.push(id);
    }

    /// Ends what was not updated for too long, and gives back memory.
    pub(super) fn expire(&mut self, now: Tick) {
        for id in 0..self.last.len() {
            let seen = self.last[id].seen;
            if seen != Tick::GONE && self.is_expired(seen, now) {
                self.forget(u32::try_from(id).expect("ids are 32 bits wide"));
            }
        }
        let expiration = self.expiration;
        self.repeats.expire(|seen| now.0.saturating_sub(seen.0) > expiration);
        self.forget_old_page();
        let had_gone = !self.gone.is_empty();
        self.purge();
        if self.table.wants_compaction() {
            self.compact();
        }
        // Not while series keep coming, which would copy everything each time.
        if had_gone || !std::mem::take(&mut self.has_grown) {
            self.shrink();
        }
    }

    fn is_expired(&self, seen: Tick, now: Tick) -> bool {
        now.0.saturating_sub(seen.0) > self.expiration
    }

    /// Whether a series is to be shown.
    fn is_shown(&self, id: u32, now: Tick) -> bool {
        let seen = self.last[id as usize].seen;
        seen != Tick::GONE && !self.is_expired(seen, now)
    }

    /// Takes series that have ended out of the lists; their places may be used again.
    fn purge(&mut self) {
        if self.gone.is_empty() {
            return;
        }
        let last = &self.last;
        self.families.purge(|id| last[id as usize].seen != Tick::GONE);
        for id in self.gone.drain(..).map(SeriesId) {
            self.n_living_bytes -= label_bytes(self.table.labels(id));
            self.table.remove(id);
        }
    }

    fn compact(&mut self) {
        self.table.compact();
        self.n_held_bytes = self.n_living_bytes;
    }

    fn shrink(&mut self) {
        self.table.shrink();
        self.last.shrink_to_fit();
        self.families.shrink();
        self.gone.shrink_to_fit();
        self.exemplars.shrink_to_fit();
        self.histograms.shrink_to_fit();
        let (table, hasher) = (&self.table, &self.hasher);
        self.index.shrink_to_fit(|id| hash_of(hasher, table.labels(SeriesId(*id))));
    }

    /// Heap bytes that are held, exemplars and native histograms apart.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
            + self.index.allocation_size()
            + self.last.capacity() * size_of::<Last>()
            + self.gone.capacity() * size_of::<u32>()
            + self.families.heap_bytes()
    }
}

/// Bytes that a histogram takes; of a list with room for more, only what is in it, because a copy has no more.
fn bytes_of(histogram: &Histogram) -> usize {
    let n_numbers = match &histogram.counts {
        BucketCounts::Integer { positive_deltas, negative_deltas, .. } => {
            positive_deltas.len() + negative_deltas.len()
        }
        BucketCounts::Float { positive, negative, .. } => positive.len() + negative.len(),
    };
    let n_spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    size_of::<Histogram>() + 8 * (n_numbers + n_spans + histogram.custom_values.len())
}

/// The exemplar to keep: the last one that may be shown.
fn exemplar_of(kind: Kind, exemplars: Exemplars<'_>) -> Option<&Exemplar> {
    let has_exemplars = matches!(kind, Kind::Counter | Kind::Histogram | Kind::GaugeHistogram);
    let n_runes = |exemplar: &Exemplar| -> usize {
        exemplar.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum()
    };
    exemplars.iter().filter(|exemplar| has_exemplars && n_runes(exemplar) <= MAX_EXEMPLAR_RUNES).last()
}

/// Bytes that labels take at most, each with what refers to it.
fn label_bytes<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    labels.map(|(name, value)| name.len() + value.len() + BYTES_BESIDE_A_LABEL).sum()
}

fn hash_of<'l>(hasher: &RandomState, labels: impl Iterator<Item = (&'l str, &'l str)>) -> u64 {
    let mut state = hasher.build_hasher();
    for label in labels {
        label.hash(&mut state);
    }
    state.finish()
}

#[cfg(test)]
mod tests;
