//! A set of labels, sorted by name.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh64::Xxh64;

/// Names and values, sorted by name, each name once, no empty value.
///
/// An empty value means "absent", as everywhere in Prometheus: setting a label to the empty string removes it.
/// Meant for targets, rules and new series, where a handful of labels is edited now and then; series that are merely
/// carried live in a [`crate::SeriesTable`]. Texts are shared: a copy of a set costs no text, and sets that discovery
/// makes of many objects have their names and most values in common.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Vec<(Arc<str>, Arc<str>)>);

impl Labels {
    /// No labels.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A set of texts that are shared with others. Later values win over earlier ones of the same name, also empty ones.
    #[must_use]
    pub fn from_shared(mut pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        // Stable, so that of equal names the last one stands last.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut behind = pairs.len();
        while behind > 1 {
            behind -= 1;
            if pairs[behind - 1].0 == pairs[behind].0 {
                drop(pairs.remove(behind - 1));
            }
        }
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.shrink_to_fit();
        Self(pairs)
    }

    /// The labels of several sets, those of later ones over those of earlier ones, with texts that are shared with them.
    #[must_use]
    pub fn layered(layers: &[&Self]) -> Self {
        Self::from_shared(layers.iter().flat_map(|labels| labels.0.iter().cloned()).collect())
    }

    /// The labels of this set with those of another over them, in order of name.
    pub fn overlaid<'a>(
        &'a self,
        over: &'a Self,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        let (mut under, mut over) = (self.iter().peekable(), over.iter().peekable());
        std::iter::from_fn(move || match (under.peek(), over.peek()) {
            (Some((below, _)), Some((above, _))) if below < above => under.next(),
            (below, Some((above, _))) => {
                let _replaced = below.filter(|(below, _)| below == above).is_some() && under.next().is_some();
                over.next()
            }
            (_, None) => under.next(),
        })
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, or the empty string where the label is absent.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The value where the label is present.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|at| &*self.0[at].1)
    }

    /// Whether the label is present.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        match (self.find(name), value.is_empty()) {
            (Ok(at), true) => drop(self.0.remove(at)),
            (Ok(at), false) => self.0[at].1 = value.into(),
            (Err(_), true) => {}
            (Err(at), false) => self.0.insert(at, (name.into(), value.into())),
        }
    }

    /// Sets a label only where it is absent.
    pub fn set_if_absent(&mut self, name: &str, value: &str) {
        if !self.contains(name) {
            self.set(name, value);
        }
    }

    /// Removes a label and gives its value back.
    pub fn remove(&mut self, name: &str) -> Option<Arc<str>> {
        self.find(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps the labels for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Gives back memory that was reserved for growth.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Names and values in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Names in order, to be shared.
    pub fn shared_names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> + Clone {
        self.0.iter().map(|(name, _)| name)
    }

    /// xxHash64 over `name 0xff value 0xff` of every label in order of name: equal sets have equal hashes on every
    /// machine and in every version, so it may decide who scrapes what.
    #[must_use]
    pub fn hash64(&self) -> u64 {
        Self::hash64_of(self.iter())
    }

    /// [`Self::hash64`] of names and values in order of name.
    #[must_use]
    pub fn hash64_of<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
        let mut hasher = Xxh64::new(0);
        for (name, value) in labels {
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.digest()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(candidate, _)| (**candidate).cmp(name))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    /// Later values win over earlier ones of the same name.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::new();
        for (name, value) in pairs {
            labels.set(name.as_ref(), value.as_ref());
        }
        labels
    }
}

impl fmt::Display for Labels {
    /// As in exposition text: `{a="1", b="2"}`, with `\`, `"` and newlines escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{comma}{name}=\"{value}\"")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_unique_and_never_empty() {
        let mut labels: Labels = [("b", "2"), ("a", "1"), ("c", ""), ("b", "3")].into_iter().collect();
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        labels.set("a", "");
        assert_eq!(labels.to_string(), r#"{b="3"}"#);
        assert_eq!(labels.value("a"), "");
    }

    #[test]
    fn the_hash_separates_names_from_values() {
        let one: Labels = [("ab", "c")].into_iter().collect();
        let two: Labels = [("a", "bc")].into_iter().collect();
        assert_ne!(one.hash64(), two.hash64());
    }

    proptest::proptest! {
        #[test]
        fn shared_and_overlaid_sets_are_what_setting_one_by_one_gives(
            under in proptest::collection::vec(("[a-d]", "[xy]?"), 0..8),
            over in proptest::collection::vec(("[a-d]", "[xy]?"), 0..8),
        ) {
            let shared = |pairs: &[(String, String)]| {
                let pairs = pairs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
                Labels::from_shared(pairs.collect())
            };
            let one_by_one: Labels = under.iter().cloned().collect();
            proptest::prop_assert_eq!(&shared(&under), &one_by_one);
            let over = shared(&over);
            proptest::prop_assert_eq!(&Labels::layered(&[&one_by_one, &over]), &one_by_one.overlaid(&over).collect());
            let mut expected = one_by_one.clone();
            over.iter().for_each(|(name, value)| expected.set(name, value));
            proptest::prop_assert!(one_by_one.overlaid(&over).eq(expected.iter()));
        }

        #[test]
        fn order_of_insertion_does_not_matter(pairs in proptest::collection::btree_map("[a-z]{1,4}", "[a-z]{1,4}", 0..12)) {
            let forward: Labels = pairs.iter().collect();
            let backward: Labels = pairs.iter().rev().collect();
            proptest::prop_assert_eq!(forward.hash64(), backward.hash64());
            proptest::prop_assert_eq!(forward, backward);
        }
    }
}
