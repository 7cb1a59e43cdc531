//! Texts that occur in many objects, kept once: namespaces, nodes, keys and values of labels.

use std::hash::BuildHasher as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Longer texts are rarely the same twice.
pub(crate) const MAX_INTERNED_BYTES: usize = 64;

/// Several pools, so that watches that parse at the same time seldom wait for each other.
const N_POOLS: usize = 16;

/// A pool with fewer texts is not swept.
const MIN_SWEPT: usize = 1024;

static HASHES: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

static POOLS: LazyLock<[Mutex<Pool>; N_POOLS]> = LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

#[derive(Default)]
struct Pool {
    texts: HashTable<Arc<str>>,
    /// At this size what nobody else holds is let go.
    sweep_at: usize,
}

/// The text, shared with everybody who interned the same one. Texts that nobody holds any more are let go.
#[must_use]
pub fn intern(text: &str) -> Arc<str> {
    let hash = HASHES.hash_one(text);
    // The table goes by the lowest and the highest bits. No code of others runs under the lock, so the pool is whole even if a
    // holder panicked.
    let pool = &POOLS[(hash >> 32) as usize % N_POOLS];
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = pool.texts.find(hash, |known| **known == *text) {
        return Arc::clone(known);
    }
    if pool.texts.len() >= pool.sweep_at {
        pool.texts.retain(|text| Arc::strong_count(text) > 1);
        pool.sweep_at = (2 * pool.texts.len()).max(MIN_SWEPT);
    }
    let fresh: Arc<str> = text.into();
    pool.texts.insert_unique(hash, Arc::clone(&fresh), |text| HASHES.hash_one(&**text));
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_unused_ones_are_let_go() {
        let held = intern("kept-while-it-is-held");
        for number in 0..200_000 {
            drop(intern(&format!("unused-{number}")));
        }
        assert!(Arc::ptr_eq(&held, &intern("kept-while-it-is-held")));
        let n_texts: usize = POOLS.iter().map(|pool| pool.lock().unwrap().texts.len()).sum();
        assert!(n_texts <= N_POOLS * 2 * MIN_SWEPT, "{n_texts} texts are held");
    }
}
