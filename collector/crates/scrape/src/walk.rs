//! Where a scrape is among the lines of the last good one.
//!
//! Expositions are stable in their order, so the next line is nearly always the one behind the last. Only
//! when a line is another one is the order written down anew.

use crate::keys::{KeyId, Keys, Print, Spelling};

/// How many lines are looked at behind the expected one before the text is looked up.
const LOOK_AHEAD: usize = 3;

/// The lines of a good scrape.
#[derive(Debug)]
pub(crate) enum Order {
    /// So many keys as they lie there: the usual case, which takes no memory.
    AsKeys(usize),
    Listed(Vec<KeyId>),
}

impl Default for Order {
    fn default() -> Self {
        Self::AsKeys(0)
    }
}

impl Order {
    pub(crate) fn of(keys: Vec<KeyId>) -> Self {
        if (0u32..).zip(&keys).all(|(place, key)| key.0 == place) {
            Self::AsKeys(keys.len())
        } else {
            Self::Listed(keys)
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::AsKeys(len) => *len,
            Self::Listed(keys) => keys.len(),
        }
    }

    #[inline]
    fn get(&self, position: usize) -> Option<KeyId> {
        match self {
            Self::AsKeys(len) => (position < *len).then_some(KeyId(position as u32)),
            Self::Listed(keys) => keys.get(position).copied(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = KeyId> {
        (0..self.len()).filter_map(|position| self.get(position))
    }

    /// Gives back memory that was reserved for growth.
    pub(crate) fn shrink(&mut self) {
        if let Self::Listed(keys) = self {
            keys.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::AsKeys(_) => 0,
            Self::Listed(keys) => keys.capacity() * size_of::<KeyId>(),
        }
    }
}

/// A position among the lines of the last good scrape, and the new order once it differs.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    position: usize,
    order: Option<Vec<KeyId>>,
}

impl Walk {
    /// The key of the line that comes next if nothing has changed.
    #[inline]
    pub(crate) fn expected(&self, former: &Order) -> Option<KeyId> {
        former.get(self.position)
    }

    /// The keys of the lines that come next if nothing has changed.
    #[inline]
    pub(crate) fn ahead(&self, former: &Order) -> impl Iterator<Item = KeyId> {
        let position = self.position;
        (position..former.len()).filter_map(|position| former.get(position))
    }

    /// The line is the expected one.
    #[inline]
    pub(crate) fn hit(&mut self, key: KeyId) {
        self.position += 1;
        if let Some(order) = &mut self.order {
            order.push(key);
        }
    }

    /// The line is a new one.
    pub(crate) fn miss(&mut self, former: &Order, key: KeyId) {
        let position = self.position;
        let order = self.order.get_or_insert_with(|| {
            let mut order = Vec::with_capacity(former.len() + 16);
            order.extend(former.iter().take(position));
            order
        });
        order.push(key);
    }

    /// Looks for a line that is not the expected one: among those behind it, then everywhere. Goes on behind
    /// the place where it was, so that lines which vanished or moved in between cost nothing more.
    pub(crate) fn search(
        &mut self,
        former: &Order,
        keys: &mut Keys,
        text: Print,
        spelling: Spelling,
    ) -> Option<KeyId> {
        let ahead = self.position + 1..=self.position + LOOK_AHEAD;
        let mut near = ahead.filter_map(|at| Some((former.get(at)?, Some(at))));
        let (key, at) = match near.find(|(id, _)| keys.is(*id, text, spelling)) {
            Some(found) => found,
            None => keys.find(text, spelling, former)?,
        };
        self.miss(former, key);
        if let Some(at) = at {
            self.position = at + 1;
        }
        Some(key)
    }

    /// The new order, if it is another one.
    pub(crate) fn finish(self, former: &Order) -> Option<Order> {
        match self.order {
            None if self.position == former.len() => None,
            None => Some(Order::of(former.iter().take(self.position).collect())),
            Some(changed) => Some(Order::of(changed)),
        }
    }
}
