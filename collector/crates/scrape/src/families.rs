//! TYPE, HELP and UNIT of a target, and which series they speak of.
//!
//! As the metadata cache of Prometheus `scrape`, with the lookup of the collector's Prometheus receiver: a
//! series belongs to the family of exactly its name, else to the one of its name without suffix, if that
//! family is of a kind that has such series. Metadata is forgotten ten scrapes after it was last seen.
//!
//! Different on purpose: a series that `metric_relabel_configs` renamed keeps its type; its family is renamed
//! with it.

use std::sync::Arc;

use hashbrown::HashTable;
use model::{Family, Kind, SeriesTable};

use crate::keys::{Keys, Spelling, Verdict, table_hash};
use crate::store::Store;

/// How many scrapes metadata outlives its last sighting.
const KEPT_ROUNDS: u32 = 10;

/// Suffixes of series, and the kinds of families that have them.
const SUFFIXES: [(&str, &[Kind]); 8] = [
    ("_bucket", &[Kind::Histogram, Kind::GaugeHistogram]),
    ("_count", &[Kind::Histogram, Kind::Summary, Kind::GaugeHistogram]),
    ("_sum", &[Kind::Histogram, Kind::Summary, Kind::GaugeHistogram]),
    ("_gcount", &[Kind::GaugeHistogram]),
    ("_gsum", &[Kind::GaugeHistogram]),
    ("_total", &[Kind::Counter]),
    ("_info", &[Kind::Info]),
    ("_created", &[Kind::Counter, Kind::Histogram, Kind::Summary, Kind::GaugeHistogram]),
];

#[derive(Debug)]
struct Known {
    family: Arc<Family>,
    /// Its place in the series table, once a series of it was there.
    index: Option<u32>,
    /// The last scrape that mentioned it.
    round: u32,
}

/// What is known of a target's families.
#[derive(Debug, Default)]
pub(crate) struct Families {
    known: Vec<Known>,
    /// Only there while families come, or lines stand where they did not.
    by_name: Option<HashTable<usize>>,
    /// The family of the last line; the next line usually speaks of it, of the one behind it or of the first.
    last: usize,
    /// Whether a family appeared or changed in a way that may move series between families.
    is_changed: bool,
}

impl Families {
    /// Notes a TYPE line.
    pub(crate) fn kind(&mut self, name: &str, kind: Kind, round: u32, table: &mut Arc<SeriesTable>) {
        let at = self.mention(name, round);
        if self.known[at].family.kind != kind {
            Arc::make_mut(&mut self.known[at].family).kind = kind;
            self.is_changed = true;
            self.publish(at, table);
        }
    }

    /// Notes a HELP line.
    pub(crate) fn help(&mut self, name: &str, help: &str, round: u32, table: &mut Arc<SeriesTable>) {
        let at = self.mention(name, round);
        if *self.known[at].family.help != *help {
            Arc::make_mut(&mut self.known[at].family).help = help.into();
            self.publish(at, table);
        }
    }

    /// Notes a UNIT line.
    pub(crate) fn unit(&mut self, name: &str, unit: &str, round: u32, table: &mut Arc<SeriesTable>) {
        let at = self.mention(name, round);
        if *self.known[at].family.unit != *unit {
            Arc::make_mut(&mut self.known[at].family).unit = unit.into();
            self.publish(at, table);
        }
    }

    /// The family of a series in the table. `exposed` is the name that the target uses, `name` the one after
    /// relabelling; `is_native` says that its samples are native histograms.
    pub(crate) fn of(
        &mut self,
        exposed: &str,
        name: &str,
        is_native: bool,
        table: &mut SeriesTable,
    ) -> Option<u32> {
        let at = self.find(exposed, is_native)?;
        if exposed == name {
            return Some(self.index(at, table));
        }
        let family = &self.known[at].family;
        let suffix = exposed.strip_prefix(&*family.name)?;
        let renamed = name.strip_suffix(suffix).filter(|renamed| !renamed.is_empty())?;
        // What the target itself says of that name is not overwritten.
        let family = Family { name: renamed.into(), ..(**family).clone() };
        match self.named(renamed) {
            Some(own) => Some(self.index(own, table)),
            None => Some(table.family_index(family)),
        }
    }

    /// Puts every series under its family.
    pub(crate) fn sort(&mut self, keys: &Keys, store: &mut Store) {
        for (exposed, spelling, verdict) in keys.iter() {
            let Verdict::Series(id) = verdict else { continue };
            if store.state(id).is_report {
                continue;
            }
            let table = Arc::make_mut(store.table_mut());
            let known_as =
                table.labels(id).find(|(label, _)| *label == "__name__").map(|(_, name)| name.to_owned());
            let family = self.of(exposed, &known_as.unwrap_or_default(), spelling == Spelling::Native, table);
            table.set_family(id, family);
        }
    }

    /// Whether series must be sorted into families anew; asked once after each scrape.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Forgets families that were not mentioned for long, and says how many there were.
    pub(crate) fn forget_old(&mut self, round: u32) -> usize {
        let n_before = self.known.len();
        self.known.retain(|known| round.wrapping_sub(known.round) <= KEPT_ROUNDS);
        if self.known.len() < n_before {
            (self.by_name, self.last) = (None, 0);
            self.is_changed = true;
        }
        n_before - self.known.len()
    }

    /// Nothing has come or gone for long: what only serves that is given back.
    pub(crate) fn rest(&mut self) {
        self.by_name = None;
        self.known.shrink_to_fit();
    }

    /// Forgets the places in a table that is no longer used.
    pub(crate) fn leave_table(&mut self) {
        self.known.iter_mut().for_each(|known| known.index = None);
    }

    /// The family of exactly this name.
    fn named(&mut self, name: &str) -> Option<usize> {
        let by_name = self.by_name.take().unwrap_or_else(|| self.make_index());
        let is_it = |at: &usize| *self.known[*at].family.name == *name;
        let found = by_name.find(table_hash(name.as_bytes()), is_it).copied();
        self.by_name = Some(by_name);
        found
    }

    fn make_index(&self) -> HashTable<usize> {
        let mut by_name = HashTable::with_capacity(self.known.len());
        for at in 0..self.known.len() {
            by_name.insert_unique(self.hash_of(at), at, |at| self.hash_of(*at));
        }
        by_name
    }

    fn hash_of(&self, at: usize) -> u64 {
        table_hash(self.known[at].family.name.as_bytes())
    }

    fn find(&mut self, name: &str, is_native: bool) -> Option<usize> {
        if let Some(at) = self.named(name) {
            let kind = self.known[at].family.kind;
            // A classic histogram has no series of its bare name, a native one no other.
            return (is_native == matches!(kind, Kind::Histogram | Kind::GaugeHistogram)).then_some(at);
        }
        SUFFIXES.iter().find_map(|(suffix, kinds)| {
            let at = self.named(name.strip_suffix(suffix)?)?;
            kinds.contains(&self.known[at].family.kind).then_some(at)
        })
    }

    fn index(&mut self, at: usize, table: &mut SeriesTable) -> u32 {
        let known = &mut self.known[at];
        *known.index.get_or_insert_with(|| table.family_index(Arc::clone(&known.family)))
    }

    /// The family of this name, mentioned just now.
    fn mention(&mut self, name: &str, round: u32) -> usize {
        let is = |at: &usize| self.known.get(*at).is_some_and(|known| *known.family.name == *name);
        // The first line of a page comes behind the last one of the page before.
        let near = [self.last, self.last + 1, 0].into_iter().find(is);
        let at = match near.or_else(|| self.named(name)) {
            Some(at) => at,
            None => self.add(name, round),
        };
        self.known[at].round = round;
        self.last = at;
        at
    }

    fn add(&mut self, name: &str, round: u32) -> usize {
        let at = self.known.len();
        let mut by_name = self.by_name.take().unwrap_or_else(|| self.make_index());
        let family = Arc::new(Family { name: name.into(), ..Family::default() });
        self.known.push(Known { family, index: None, round });
        by_name.insert_unique(self.hash_of(at), at, |at| self.hash_of(*at));
        (self.by_name, self.is_changed) = (Some(by_name), true);
        at
    }

    /// Brings a family that the table holds up to date.
    fn publish(&mut self, at: usize, table: &mut Arc<SeriesTable>) {
        let known = &self.known[at];
        if known.index.is_some() {
            Arc::make_mut(table).family_index(Arc::clone(&known.family));
        }
    }
}
