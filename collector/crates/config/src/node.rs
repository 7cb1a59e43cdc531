//! A YAML value that knows where it stands in the text.
//!
//! Numbers, booleans and null keep the text they were written as, because a value that came from `${env:X}` may still have to be
//! a string (`0123`), and because Prometheus, which reads YAML straight into Go strings, takes `version: 1.10` as `1.10`.

mod serde;

use std::fmt;

use crate::Place;

/// A value with its place. Equality looks at values and the order of keys, not at places or spelling.
#[derive(Clone)]
pub struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// How it was written, where `value` alone does not tell: numbers, booleans, null, and whatever came from `${...}`.
    pub(crate) text: Option<Box<str>>,
    /// The value came from `${...}` as a whole: `text` may stand for it where a string is wanted.
    pub(crate) expanded: bool,
}

/// The kinds of values.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: `null`, `~`, or a key without a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer between the least `i64` and the greatest `u64`.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// Keys and values in the order of the text; each key once.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key; keys are always text.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// The value.
    pub node: Node,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Seq(a), Self::Seq(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A value at a place.
    #[must_use]
    pub fn new(value: Value, place: Place) -> Self {
        Self { value, place, text: None, expanded: false }
    }

    /// Null, from nowhere.
    #[must_use]
    pub fn null() -> Self {
        Self::from(Value::Null)
    }

    /// An empty map, from nowhere.
    #[must_use]
    pub fn map() -> Self {
        Self::from(Value::Map(Vec::new()))
    }

    /// The value itself.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where the value stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The value of a key; `None` where the key is absent or this is no map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The value of a key, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
            }
            _ => None,
        }
    }

    /// The value below several keys.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Where a key of this map stands.
    #[must_use]
    pub fn key_place(&self, key: &str) -> Option<&Place> {
        self.entry(key).map(|entry| &entry.place)
    }

    /// The place of the value at `path` (keys and indexes joined by `::`), or of the nearest thing around it.
    #[must_use]
    pub fn place_of(&self, path: &str) -> &Place {
        let mut here = self;
        let mut place = &self.place;
        for step in path.split("::").filter(|step| !step.is_empty()) {
            if let Some(entry) = here.entry(step) {
                (here, place) = (&entry.node, &entry.place);
                continue;
            }
            match step.parse().ok().and_then(|index: usize| here.items().nth(index)) {
                Some(item) => (here, place) = (item, &item.place),
                None => break,
            }
        }
        place
    }

    /// Keys and values, in order; nothing where this is no map.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, &Node)> {
        self.map_entries().iter().map(|entry| (entry.key.as_str(), &entry.node))
    }

    /// Keys and values with the places of the keys; empty where this is no map.
    #[must_use]
    pub fn map_entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list, in order; nothing where this is no list.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &Node> {
        match &self.value {
            Value::Seq(items) => items.iter(),
            _ => [].iter(),
        }
    }

    /// Text, where this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, where this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, where this is an integer that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.value {
            Value::Int(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The number, where this is an integer that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self.value {
            Value::Int(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The number, where this is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        }
    }

    /// How a scalar was written: the text of a string, the digits of a number; for a value that came from `${...}` the
    /// text that stood there.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match (&self.value, &self.text) {
            (Value::Str(text), _) => Some(text),
            (_, text) => text.as_deref(),
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether this is a map.
    #[must_use]
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// Whether this is a list.
    #[must_use]
    pub fn is_seq(&self) -> bool {
        matches!(self.value, Value::Seq(_))
    }

    /// The kind in words, with its article: `a map`, `an integer`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Takes a key out of this map.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at).node)
    }

    /// Sets a key of this map and gives the former value back; null becomes a map, anything else is left alone.
    pub fn insert(&mut self, key: impl Into<String>, node: Node) -> Option<Node> {
        let place = node.place.clone();
        self.insert_entry(Entry { key: key.into(), place, node })
    }

    /// As [`Node::insert`], with the place of the key.
    pub fn insert_entry(&mut self, new: Entry) -> Option<Node> {
        if self.is_null() {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut self.value else { return None };
        match entries.iter_mut().find(|entry| entry.key == new.key) {
            Some(entry) => Some(std::mem::replace(entry, new).node),
            None => {
                entries.push(new);
                None
            }
        }
    }

    /// Sorts the keys of this map and of all maps below.
    pub fn sort_keys(&mut self) {
        match &mut self.value {
            Value::Map(entries) => {
                entries.sort_by(|a, b| a.key.cmp(&b.key));
                entries.iter_mut().for_each(|entry| entry.node.sort_keys());
            }
            Value::Seq(items) => items.iter_mut().for_each(Node::sort_keys),
            _ => {}
        }
    }

    /// The text that may stand for this value where a string is wanted: its own, or what came from `${...}`.
    pub(crate) fn stand_in(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ if self.expanded => self.text.as_deref(),
            _ => None,
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.map_entries().iter().find(|entry| entry.key == key)
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::null()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::Float(value) => value.fmt(f),
            Value::Str(text) => text.fmt(f),
            Value::Seq(items) => items.fmt(f),
            Value::Map(entries) => f.debug_map().entries(entries.iter().map(|e| (&e.key, &e.node))).finish(),
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self::new(value, Place::unknown())
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::from(Value::Str(text.to_owned()))
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::from(Value::Str(text))
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Self {
        Self::from(Value::Bool(value))
    }
}

impl From<i64> for Node {
    fn from(value: i64) -> Self {
        Self::from(Value::Int(value.into()))
    }
}

impl From<u64> for Node {
    fn from(value: u64) -> Self {
        Self::from(Value::Int(value.into()))
    }
}

impl From<f64> for Node {
    fn from(value: f64) -> Self {
        Self::from(Value::Float(value))
    }
}

impl From<Vec<Node>> for Node {
    fn from(items: Vec<Node>) -> Self {
        Self::from(Value::Seq(items))
    }
}

#[cfg(test)]
mod tests;
