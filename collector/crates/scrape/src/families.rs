//! TYPE, HELP and UNIT of a target, and which series they speak of.
//!
//! As the metadata cache of Prometheus `scrape`, with the lookup of the collector's Prometheus receiver: a
//! series belongs to the family of exactly its name, else to the one of its name without suffix, if that
//! family is of a kind that has such series. Metadata is forgotten ten scrapes after it was last seen.
//!
//! Different on purpose: a series that `metric_relabel_configs` renamed keeps its type; its family is renamed
//! with it.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Family, Kind, SeriesTable};

use crate::keys::{Keys, Spelling, Verdict};
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
    family: Family,
    /// Its place in the series table, once a series of it was there.
    index: Option<u32>,
    /// The last scrape that mentioned it.
    round: u32,
}

/// What is known of a target's families.
#[derive(Debug, Default)]
pub(crate) struct Families {
    known: Vec<Known>,
    by_name: HashMap<Box<str>, usize>,
    /// The family of the last line; the next line usually speaks of it or of the one behind it.
    last: usize,
    /// Whether a family appeared or changed in a way that may move series between families.
    is_changed: bool,
}

impl Families {
    /// Notes a TYPE line.
    pub(crate) fn kind(&mut self, name: &str, kind: Kind, round: u32, table: &mut Arc<SeriesTable>) {
        let at = self.mention(name, round);
        if self.known[at].family.kind != kind {
            self.known[at].family.kind = kind;
            self.is_changed = true;
            self.publish(at, table);
        }
    }

    /// Notes a HELP line.
    pub(crate) fn help(&mut self, name: &str, help: &str, round: u32, table: &mut Arc<SeriesTable>) {
        let at = self.mention(name, round);
        if *self.known[at].family.help != *help {
            self.known[at].family.help = help.into();
            self.publish(at, table);
        }
    }

    /// Notes a UNIT line.
    pub(crate) fn unit(&mut self, name: &str, unit: &str, round: u32, table: &mut Arc<SeriesTable>) {
        let at = self.mention(name, round);
        if *self.known[at].family.unit != *unit {
            self.known[at].family.unit = unit.into();
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
        if let Some(own) = self.by_name.get(renamed).copied() {
            return Some(self.index(own, table));
        }
        Some(table.family_index(Family { name: renamed.into(), ..family.clone() }))
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
            self.by_name =
                self.known.iter().enumerate().map(|(at, known)| (known.family.name.clone(), at)).collect();
            self.last = 0;
            self.is_changed = true;
        }
        n_before - self.known.len()
    }

    /// Forgets the places in a table that is no longer used.
    pub(crate) fn leave_table(&mut self) {
        self.known.iter_mut().for_each(|known| known.index = None);
    }

    fn find(&self, name: &str, is_native: bool) -> Option<usize> {
        if let Some(at) = self.by_name.get(name) {
            let kind = self.known[*at].family.kind;
            // A classic histogram has no series of its bare name, a native one no other.
            return (is_native == matches!(kind, Kind::Histogram | Kind::GaugeHistogram)).then_some(*at);
        }
        SUFFIXES.iter().find_map(|(suffix, kinds)| {
            let at = *self.by_name.get(name.strip_suffix(suffix)?)?;
            kinds.contains(&self.known[at].family.kind).then_some(at)
        })
    }

    fn index(&mut self, at: usize, table: &mut SeriesTable) -> u32 {
        let known = &mut self.known[at];
        *known.index.get_or_insert_with(|| table.family_index(known.family.clone()))
    }

    /// The family of this name, mentioned just now.
    fn mention(&mut self, name: &str, round: u32) -> usize {
        let is = |at: &usize| self.known.get(*at).is_some_and(|known| *known.family.name == *name);
        let near = [self.last, self.last + 1].into_iter().find(is);
        let at = match near.or_else(|| self.by_name.get(name).copied()) {
            Some(at) => at,
            None => {
                self.known.push(Known {
                    family: Family { name: name.into(), ..Family::default() },
                    index: None,
                    round,
                });
                self.by_name.insert(name.into(), self.known.len() - 1);
                self.is_changed = true;
                self.known.len() - 1
            }
        };
        self.known[at].round = round;
        self.last = at;
        at
    }

    /// Brings a family that the table holds up to date.
    fn publish(&mut self, at: usize, table: &mut Arc<SeriesTable>) {
        let known = &self.known[at];
        if known.index.is_some() {
            Arc::make_mut(table).family_index(known.family.clone());
        }
    }
}
