//! Where a scrape is among the lines of the last good one.
//!
//! Expositions are stable in their order, so the next line is nearly always the one behind the last. Only
//! when a line is another one is the order written down anew.

use crate::keys::{KeyId, Keys, Print, Spelling};

/// How many lines are looked at behind the expected one before the text is looked up.
const LOOK_AHEAD: usize = 3;

/// A position among the lines of the last good scrape, and the new order once it differs.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    position: usize,
    order: Option<Vec<KeyId>>,
}

impl Walk {
    /// The key of the line that comes next if nothing has changed.
    #[inline]
    pub(crate) fn expected(&self, former: &[KeyId]) -> Option<KeyId> {
        former.get(self.position).copied()
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
    pub(crate) fn miss(&mut self, former: &[KeyId], key: KeyId) {
        let position = self.position;
        let order = self.order.get_or_insert_with(|| {
            let mut order = Vec::with_capacity(former.len() + 16);
            order.extend_from_slice(&former[..position]);
            order
        });
        order.push(key);
    }

    /// Looks for a line that is not the expected one: among those behind it, then everywhere. Goes on behind
    /// the place where it was, so that lines which vanished or moved in between cost nothing more.
    pub(crate) fn search(
        &mut self,
        former: &[KeyId],
        keys: &mut Keys,
        text: Print,
        spelling: Spelling,
    ) -> Option<KeyId> {
        let ahead = former.iter().enumerate().skip(self.position + 1).take(LOOK_AHEAD);
        let mut near = ahead.filter(|(_, id)| keys.is(**id, text, spelling));
        let (key, at) = match near.next() {
            Some((at, key)) => (*key, Some(at)),
            None => {
                let key = keys.find(text, spelling)?;
                (key, keys.position(key))
            }
        };
        self.miss(former, key);
        if let Some(at) = at {
            self.position = at + 1;
        }
        Some(key)
    }

    /// The new order, if it is another one.
    pub(crate) fn finish(self, former: &[KeyId]) -> Option<Vec<KeyId>> {
        match self.order {
            None if self.position == former.len() => None,
            None => Some(former[..self.position].to_vec()),
            changed => changed,
        }
    }
}
