//! What to say about a key that nobody knows.

use std::collections::{BTreeSet, VecDeque};

use super::facet::Facet;
use super::indentation_hint;
use crate::nearest;

/// What may help, and the known key that was meant, if one is near.
pub(super) struct Hint<'s> {
    pub(super) text: Option<String>,
    pub(super) meant: Option<&'s str>,
}

/// More known keys than this are not listed.
const MAX_KEYS_LISTED: usize = 12;

/// How far below the section the key is looked for, in sections and in keys.
const MAX_DEPTH_SEARCHED: usize = 3;
const MAX_KEYS_SEARCHED: usize = 1000;

/// In order of likelihood: a section that slipped to the right, a typing mistake, a key that belongs further below.
pub(super) fn hint<'s>(key: &str, facets: &[Facet<'s>], is_root: bool) -> Hint<'s> {
    if let Some(slipped) = indentation_hint(key).filter(|_| !is_root) {
        return Hint { text: Some(slipped), meant: None };
    }
    let properties = facets.iter().filter_map(Facet::properties);
    let known: BTreeSet<&'s str> = properties.flat_map(|keys| keys.keys()).map(String::as_str).collect();
    let meant = nearest(key, known.iter().copied());
    let text = match meant {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => match place_below(key, facets) {
            Some(path) => Some(format!("it belongs under `{path}`")),
            None if known.is_empty() => Some("this section has no keys".to_owned()),
            None if known.len() > MAX_KEYS_LISTED => None,
            None => Some(format!("known keys: {}", known.iter().copied().collect::<Vec<_>>().join(", "))),
        },
    };
    Hint { text, meant }
}

/// The nearest section below that knows the key.
fn place_below(key: &str, facets: &[Facet<'_>]) -> Option<String> {
    let mut sections = VecDeque::from([(Vec::new(), facets.to_vec())]);
    let mut n_keys = 0;
    while let Some((path, facets)) = sections.pop_front() {
        let properties: Vec<_> =
            facets.iter().filter_map(|facet| Some((facet, facet.properties()?))).collect();
        if !path.is_empty() && properties.iter().any(|(_, keys)| keys.contains_key(key)) {
            return Some(path.join("::"));
        }
        for (facet, (name, schema)) in
            properties.iter().flat_map(|(facet, keys)| keys.iter().map(move |k| (facet, k)))
        {
            n_keys += 1;
            if n_keys > MAX_KEYS_SEARCHED || path.len() == MAX_DEPTH_SEARCHED {
                break;
            }
            let path = path.iter().copied().chain([name.as_str()]).collect();
            sections.push_back((path, facet.sibling(schema).with_branches()));
        }
    }
    None
}
