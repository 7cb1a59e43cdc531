//! Typed values from the tree, by serde.
//!
//! Null fills maps, lists and structs with nothing (all defaults) and an `Option` with `None`; unknown keys are left to
//! [`crate::check`]. Texts of `serde`'s own errors are replaced, and never show the value: it may be a secret.

use std::cell::RefCell;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::node::Entry;
use crate::{Node, Place, Problem, Value, fit, nearest, schema_of};

/// Reads a value from the tree after [`crate::fit`]ting it to the type's schema. Unknown keys are passed over.
///
/// # Errors
/// The first value that does not fit, with its path below `path` and its place.
pub fn fill<T: DeserializeOwned + JsonSchema>(node: &Node, path: &str) -> Result<T, Problem> {
    as_it_is(&fit(node, &[&schema_of::<T>()]), path)
}

/// Reads a value from a tree that fits the type's schema.
pub(crate) fn as_it_is<T: DeserializeOwned>(node: &Node, path: &str) -> Result<T, Problem> {
    T::deserialize(NodeDeserializer { node }).map_err(|error| error.into_problem(path, node))
}

/// Name of the newtype by which a field asks for its [`Node`] as it is.
pub(crate) const WHOLE_NODE: &str = "$config::Node";

thread_local! {
    /// A node on its way from the deserializer to the visitor of `Node`, which serde has no channel for.
    static WHOLE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// The node that the deserializer has just handed over.
pub(crate) fn take_whole_node() -> Option<Node> {
    WHOLE.take()
}

#[derive(Debug)]
struct FillError {
    message: String,
    hint: Option<String>,
    /// Steps of the path, innermost first.
    steps: Vec<String>,
    place: Option<Place>,
}

impl FillError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, steps: Vec::new(), place: None }
    }

    fn at(mut self, node: &Node) -> Self {
        self.place.get_or_insert_with(|| node.place().clone());
        self
    }

    fn under(mut self, step: impl Into<String>) -> Self {
        self.steps.push(step.into());
        self
    }

    fn into_problem(mut self, path: &str, root: &Node) -> Problem {
        self.steps.reverse();
        let mut problem = Problem::error(self.steps.join("::"), self.message).under(path);
        problem.hint = self.hint;
        problem.with_place(self.place.as_ref().unwrap_or(root.place()))
    }
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FillError {}

impl de::Error for FillError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {}, found {}", wanted(expected), found(&unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = found(&unexpected);
        Self::new(format!("expected {}, found {found} out of its range", wanted(expected)))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {}, found {length} items", wanted(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::not_one_of(variant, expected, "word")
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::not_one_of(field, expected, "key")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing key `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("key `{field}` is given twice, perhaps under another of its names"))
    }
}

impl FillError {
    fn not_one_of(word: &str, known: &'static [&'static str], kind: &str) -> Self {
        let mut error = Self::new(format!("unknown {kind} `{word}`"));
        error.hint = match nearest(word, known.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => Some(format!("known: `{}`", known.join("`, `"))),
        };
        error
    }
}

fn wanted(expected: &dyn de::Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "bool" => "a boolean".to_owned(),
        "usize" | "u64" | "u32" | "u16" | "u8" => format!("an integer that fits {text}"),
        "isize" | "i64" | "i32" | "i16" | "i8" => format!("an integer that fits {text}"),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ if text.starts_with("struct ") => "a map".to_owned(),
        _ => text,
    }
}

fn found(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map | Unexpected::NewtypeStruct => "a map",
        _ => "something else",
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'de> {
    node: &'de Node,
}

impl<'de> NodeDeserializer<'de> {
    /// The integer, also where a float holds a whole number (`1e6`).
    fn integer(&self) -> Option<i128> {
        match self.node.value {
            Value::Int(value) => Some(value),
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(value as i128),
            _ => None,
        }
    }

    fn visit_number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        let Some(value) = self.integer() else { return self.deserialize_any(visitor) };
        match (u64::try_from(value), i64::try_from(value)) {
            (Ok(value), _) => visitor.visit_u64(value),
            (_, Ok(value)) => visitor.visit_i64(value),
            _ => visitor.visit_i128(value),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
            self.visit_number(visitor).map_err(|error: FillError| error.at(self.node))
        })*
    };
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = FillError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(_) => self.visit_number(visitor),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Str(text) => visitor.visit_borrowed_str(text),
            Value::Seq(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), current: None }),
        }
        .map_err(|error: FillError| error.at(self.node))
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        match self.node.as_f64() {
            Some(value) => visitor.visit_f64(value).map_err(|error: FillError| error.at(self.node)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        match self.node.stand_in() {
            Some(text) => visitor.visit_borrowed_str(text).map_err(|error: FillError| error.at(self.node)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FillError> {
        if self.node.map_entries().is_empty() && self.node.is_map() {
            return visitor.visit_unit();
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FillError> {
        if name == WHOLE_NODE {
            WHOLE.set(Some(self.node.clone()));
            return visitor.visit_unit();
        }
        visitor.visit_newtype_struct(self).map_err(|error: FillError| error.at(self.node))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        if self.node.is_null() {
            return visitor.visit_seq(Items { items: [].iter(), index: 0 });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        if self.node.is_seq() {
            // Serde would fill the fields of a struct in order.
            return Err(<FillError as de::Error>::invalid_type(Unexpected::Seq, &visitor).at(self.node));
        }
        if self.node.is_null() {
            let none = Entries { entries: [].iter(), current: None };
            return visitor.visit_map(none).map_err(|error: FillError| error.at(self.node));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FillError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FillError> {
        let choice = match (&self.node.value, self.node.stand_in()) {
            (_, Some(word)) => Choice { name: word, content: None },
            (Value::Map(entries), _) if entries.len() == 1 => {
                Choice { name: &entries[0].key, content: Some(&entries[0].node) }
            }
            (Value::Map(_), _) => return Err(FillError::new("expected a map with one key").at(self.node)),
            _ => {
                return Err(
                    FillError::new(format!("expected a word, found {}", self.node.kind())).at(self.node)
                );
            }
        };
        visitor.visit_enum(choice).map_err(|error: FillError| error.at(self.node))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FillError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bool bytes byte_buf unit tuple tuple_struct identifier }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = FillError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, FillError> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        let item = seed.deserialize(NodeDeserializer { node });
        item.map(Some).map_err(|error| error.at(node).under(index.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    current: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = FillError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FillError> {
        self.current = self.entries.next();
        let Some(entry) = self.current else { return Ok(None) };
        let key = seed.deserialize(StrDeserializer::<FillError>::new(&entry.key));
        key.map(Some).map_err(|mut error| {
            error.place.get_or_insert_with(|| entry.place.clone());
            error
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FillError> {
        let Some(entry) = self.current.take() else {
            return Err(FillError::new("a value was asked for before its key"));
        };
        let value = seed.deserialize(NodeDeserializer { node: &entry.node });
        value.map_err(|error| error.at(&entry.node).under(&entry.key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

struct Choice<'de> {
    name: &'de str,
    content: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = FillError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), FillError> {
        let variant = seed.deserialize(StrDeserializer::<FillError>::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'de> Choice<'de> {
    fn content(&self) -> Result<NodeDeserializer<'de>, FillError> {
        let missing = || FillError::new(format!("`{}` needs a section of its own", self.name));
        self.content.map(|node| NodeDeserializer { node }).ok_or_else(missing)
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = FillError;

    fn unit_variant(self) -> Result<(), FillError> {
        match self.content {
            Some(node) if !node.is_null() => {
                Err(FillError::new(format!("`{}` takes no section", self.name)).at(node))
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, FillError> {
        let content = self.content()?;
        seed.deserialize(content).map_err(|error| error.at(content.node).under(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, FillError> {
        let content = self.content()?;
        content.deserialize_seq(visitor).map_err(|error| error.at(content.node).under(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FillError> {
        let content = self.content()?;
        content.deserialize_map(visitor).map_err(|error| error.at(content.node).under(self.name))
    }
}

#[cfg(test)]
mod tests;
