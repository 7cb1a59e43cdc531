//! The series of one target: who they are and when they were last there.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use model::{Labels, SeriesId, SeriesTable};

use crate::mark::Mark;

/// What is remembered of a series beside its labels.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    /// The last scrape that had a sample of it.
    pub(crate) seen: Mark,
    /// The last scrape after which its absence means its end: that had a sample without a time of its own.
    pub(crate) tracked: Mark,
    /// It is one of our own about the target.
    pub(crate) is_report: bool,
    /// Its absence in the next scrape means its end.
    is_live: bool,
    is_taken: bool,
}

/// The series table of a target, found by labels. Different texts of one series lead to one place here, so a
/// series is never counted twice.
#[derive(Debug, Default)]
pub(crate) struct Store {
    table: Arc<SeriesTable>,
    states: Vec<State>,
    /// By labels; only there while series come and go.
    by_labels: Option<HashTable<u32>>,
    // Seeded: a target cannot choose labels that collide.
    hasher: RandomState,
}

impl Store {
    pub(crate) fn table(&self) -> &Arc<SeriesTable> {
        &self.table
    }

    /// The table to be written to; copied first if somebody still reads an older state of it.
    pub(crate) fn table_mut(&mut self) -> &mut Arc<SeriesTable> {
        &mut self.table
    }

    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    #[inline]
    pub(crate) fn state(&self, id: SeriesId) -> &State {
        &self.states[id.0 as usize]
    }

    #[inline]
    pub(crate) fn state_mut(&mut self, id: SeriesId) -> &mut State {
        &mut self.states[id.0 as usize]
    }

    /// The series of these labels, made if it is not there; `is_plain` as the table remembers it.
    pub(crate) fn id_of(&mut self, labels: &Labels, is_plain: bool) -> SeriesId {
        let hash = hash_of(&self.hasher, labels.iter());
        let mut by_labels = self.by_labels.take().unwrap_or_else(|| self.make_index());
        let is_it = |id: &u32| self.table.labels(SeriesId(*id)).eq(labels.iter());
        if let Some(id) = by_labels.find(hash, is_it).copied() {
            self.by_labels = Some(by_labels);
            return SeriesId(id);
        }
        let table = Arc::make_mut(&mut self.table);
        let id = table.insert(labels.iter(), None);
        table.set_plain(id, is_plain);
        if self.states.len() <= id.0 as usize {
            self.states.resize(id.0 as usize + 1, State::default());
        }
        self.states[id.0 as usize] = State { is_taken: true, ..State::default() };
        let (table, hasher) = (&self.table, &self.hasher);
        let rehash = |id: &u32| hash_of(hasher, table.labels(SeriesId(*id)));
        by_labels.insert_unique(hash, id.0, rehash);
        self.by_labels = Some(by_labels);
        id
    }

    fn make_index(&self) -> HashTable<u32> {
        let mut by_labels = HashTable::with_capacity(self.len());
        let hash = |id: &u32| hash_of(&self.hasher, self.table.labels(SeriesId(*id)));
        for id in (0u32..).zip(&self.states).filter(|(_, state)| state.is_taken).map(|(id, _)| id) {
            by_labels.insert_unique(hash(&id), id, hash);
        }
        by_labels
    }

    /// Nothing has come or gone for long: what only serves that is given back.
    pub(crate) fn rest(&mut self) {
        self.by_labels = None;
        Arc::make_mut(&mut self.table).rest();
    }

    /// Marks begin anew.
    pub(crate) fn age(&mut self) {
        for state in &mut self.states {
            (state.seen, state.tracked) = (state.seen.aged(), state.tracked.aged());
        }
    }

    /// From now on those series are live that this scrape tracked, but for our own. Gives those that were live before and
    /// are no longer.
    pub(crate) fn ended_in(&mut self, now: Mark) -> impl Iterator<Item = SeriesId> {
        (0u32..).zip(&mut self.states).filter_map(move |(id, state)| {
            let is_live = state.tracked == now && !state.is_report;
            let was_live = std::mem::replace(&mut state.is_live, is_live);
            (was_live && !is_live).then_some(SeriesId(id))
        })
    }

    /// The series that end when the next scrape does not have them.
    #[cfg(test)]
    pub(crate) fn live(&self) -> Vec<SeriesId> {
        let live = (0u32..).zip(&self.states).filter(|(_, state)| state.is_live);
        live.map(|(id, _)| SeriesId(id)).collect()
    }

    /// Puts a series under a family of the table.
    pub(crate) fn set_family(&mut self, id: SeriesId, family: Option<u32>) {
        Arc::make_mut(&mut self.table).set_family(id, family);
    }

    pub(crate) fn remove(&mut self, id: SeriesId) {
        if let Some(by_labels) = &mut self.by_labels {
            let hash = hash_of(&self.hasher, self.table.labels(id));
            if let Ok(entry) = by_labels.find_entry(hash, |other| *other == id.0) {
                entry.remove();
            }
        }
        Arc::make_mut(&mut self.table).remove(id);
        self.states[id.0 as usize] = State::default();
    }

    /// Series that the scrape did not have, but for our own.
    pub(crate) fn unseen(&self, now: Mark) -> Vec<SeriesId> {
        let is_unseen = |state: &State| state.is_taken && !state.is_report && state.seen != now;
        let ids = self.states.iter().enumerate().filter(|(_, state)| is_unseen(state));
        ids.map(|(id, _)| SeriesId(u32::try_from(id).expect("ids are u32"))).collect()
    }

    /// Gives back memory that was reserved for growth.
    pub(crate) fn shrink(&mut self) {
        Arc::make_mut(&mut self.table).shrink();
        self.states.shrink_to_fit();
        let (table, hasher) = (&self.table, &self.hasher);
        if let Some(by_labels) = &mut self.by_labels {
            by_labels.shrink_to_fit(|id| hash_of(hasher, table.labels(SeriesId(*id))));
        }
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
            + self.states.capacity() * size_of::<State>()
            + self.by_labels.as_ref().map_or(0, HashTable::allocation_size)
    }

    /// Frees what removed series left behind, when it is worth it.
    pub(crate) fn tidy(&mut self) {
        if self.table.wants_compaction() {
            Arc::make_mut(&mut self.table).compact();
        }
    }

    /// A new table with the same series under the same ids and without any family: the way to get rid of old
    /// ones.
    pub(crate) fn rebuild(&mut self) {
        let mut table = SeriesTable::new();
        let mut holes = Vec::new();
        for (id, state) in self.states.iter().enumerate() {
            let id = SeriesId(u32::try_from(id).expect("ids are u32"));
            let same = table.insert(self.table.labels(id), None);
            table.set_plain(id, self.table.is_plain(id));
            debug_assert_eq!(same, id, "a table without free places counts upwards");
            if !state.is_taken {
                holes.push(id);
            }
        }
        holes.into_iter().for_each(|id| table.remove(id));
        self.table = Arc::new(table);
    }
}

fn hash_of<'a>(hasher: &RandomState, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hash = hasher.build_hasher();
    for label in labels {
        label.hash(&mut hash);
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Labels {
        [("__name__", name)].into_iter().collect()
    }

    #[test]
    fn a_series_is_found_by_its_labels_until_it_is_removed() {
        let mut store = Store::default();
        let (one, two) = (store.id_of(&labels("one"), false), store.id_of(&labels("two"), false));
        assert_eq!(store.id_of(&labels("one"), false), one);
        store.remove(one);
        assert_eq!((store.len(), store.id_of(&labels("two"), false)), (1, two));
        assert_eq!(store.id_of(&labels("three"), false), one, "the place is used again");
    }

    #[test]
    fn a_rebuilt_table_keeps_ids_and_loses_families() {
        let mut store = Store::default();
        let ids: Vec<SeriesId> = ["a", "b", "c"].map(|name| store.id_of(&labels(name), false)).into();
        let family = model::Family { name: "a".into(), ..model::Family::default() };
        let index = Arc::make_mut(store.table_mut()).family_index(family);
        store.set_family(ids[0], Some(index));
        store.remove(ids[1]);
        store.rebuild();
        assert_eq!((store.id_of(&labels("c"), false), store.len()), (ids[2], 2));
        assert_eq!(store.table().family(ids[0]), None);
        assert_eq!(store.id_of(&labels("new"), false), ids[1]);
    }
}
