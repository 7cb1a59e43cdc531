//! Labels, annotations and other maps from text to text.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::read::Text;

/// Holds an object as it was applied, often larger than all the rest; nobody selects by it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A map from text to text, in order of key. Without the annotation in which kubectl keeps a copy of the object.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TextMap(Box<[(Arc<str>, Arc<str>)]>);

impl TextMap {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok().map(|at| &self.0[at].1)
    }

    /// Keys and values in order of key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for TextMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for TextMap {
    /// Later values win over earlier ones of the same key.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self::of(
            pairs.map(|(key, value)| (Text::shared(key.as_ref()), Text::shared(value.as_ref()))).collect(),
        )
    }
}

impl TextMap {
    fn of(mut pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        // Stable, so that of equal keys the last one stands last.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pairs.reverse();
        pairs.dedup_by(|(one, _), (other, _)| one == other);
        pairs.reverse();
        Self(pairs.into())
    }
}

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = TextMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_unit<E>(self) -> Result<TextMap, E> {
                Ok(TextMap::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or_default().min(64));
                while let Some(Text(key)) = map.next_key()? {
                    if &*key == LAST_APPLIED {
                        let IgnoredAny = map.next_value()?;
                    } else {
                        pairs.push((key, map.next_value::<Text>()?.0));
                    }
                }
                Ok(TextMap::of(pairs))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}
