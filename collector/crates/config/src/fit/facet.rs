//! One schema among those that a value must satisfy together, and what kinds of values it admits.

use std::ops::{BitAnd, BitOr};

use serde_json::{Map, Value as Json};

use crate::{Node, Value};

/// A schema and the document its `$ref`s point into.
#[derive(Clone, Copy)]
pub(super) struct Facet<'s> {
    root: &'s Json,
    schema: &'s Json,
    /// Its `anyOf` and `oneOf` have been dealt with.
    settled: bool,
}

/// Longest chain of `$ref`s and `allOf`s that is followed.
const MAX_HOPS: usize = 64;

impl<'s> Facet<'s> {
    /// A whole document.
    pub(super) fn root(schema: &'s Json) -> Self {
        Self { root: schema, schema, settled: false }
    }

    /// Another part of the same document.
    pub(super) fn sibling(self, schema: &'s Json) -> Self {
        Self { root: self.root, schema, settled: false }
    }

    /// A keyword of the schema; `$ref` is not followed here.
    pub(super) fn word(&self, name: &str) -> Option<&'s Json> {
        self.schema.get(name)
    }

    /// A keyword that is a list.
    pub(super) fn list(&self, name: &str) -> &'s [Json] {
        self.word(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }

    /// The declared keys of an object.
    pub(super) fn properties(&self) -> Option<&'s Map<String, Json>> {
        self.word("properties").and_then(Json::as_object)
    }

    /// The schema of keys that are not declared, where such keys are allowed.
    pub(super) fn additional(&self) -> Option<&'s Json> {
        let additional = self.word("additionalProperties").filter(|schema| **schema != Json::Bool(false));
        additional.or_else(|| self.word("patternProperties")?.as_object()?.values().next())
    }

    /// Whether the schema says anything about objects.
    pub(super) fn describes_objects(&self) -> bool {
        self.own_shapes().is_some_and(|shapes| shapes.admits(Shapes::OBJECT))
            || self.properties().is_some()
            || self.additional().is_some()
    }

    /// The branches of `anyOf` or `oneOf`.
    pub(super) fn branches(&self) -> Option<&'s [Json]> {
        let words = ["anyOf", "oneOf"].into_iter().filter(|_| !self.settled);
        words.map(|name| self.list(name)).find(|branches| !branches.is_empty())
    }

    /// What the schema says beside its branches, where that is more than annotations.
    ///
    /// The branches are settled by the caller; a schema with branches and keys of its own (an enum flattened into a struct)
    /// keeps applying.
    pub(super) fn without_branches(self) -> Option<Self> {
        (self.own_shapes().is_some() || self.properties().is_some()).then_some(Self { settled: true, ..self })
    }

    /// The words allowed by `enum` and `const`, where the schema is nothing but words, perhaps by `oneOf`.
    pub(super) fn words(&self) -> Option<Vec<&'s str>> {
        let values: Vec<&Json> = match (self.word("const"), self.word("enum")) {
            (Some(constant), _) => vec![constant],
            (_, Some(Json::Array(values))) => values.iter().collect(),
            _ => {
                let branches = self.branches()?.iter().map(|branch| self.sibling(branch));
                let words: Option<Vec<_>> =
                    branches.filter(|branch| !branch.is_null()).map(|b| b.words()).collect();
                return words.map(|words| words.concat()).filter(|words| !words.is_empty());
            }
        };
        values.into_iter().filter(|value| !value.is_null()).map(Json::as_str).collect()
    }

    /// The schema itself and all it refers to by `$ref` and `allOf`.
    pub(super) fn unfold(self) -> Vec<Self> {
        let mut found = vec![self];
        let mut next = 0;
        while next < found.len() && found.len() < MAX_HOPS {
            let facet = found[next];
            if let Some(target) = facet.word("$ref").and_then(Json::as_str) {
                found.extend(facet.resolve(target).map(|schema| facet.sibling(schema)));
            }
            found.extend(facet.list("allOf").iter().map(|part| facet.sibling(part)));
            next += 1;
        }
        found
    }

    /// The schema, all it refers to, and the alternatives among them.
    pub(super) fn with_branches(self) -> Vec<Self> {
        let facets = self.unfold();
        let branches =
            facets.iter().flat_map(|facet| facet.branches().unwrap_or(&[]).iter().map(|b| facet.sibling(b)));
        let branches: Vec<Self> = branches.flat_map(Self::unfold).collect();
        facets.into_iter().chain(branches).collect()
    }

    /// What the schema admits, branches and references included.
    pub(super) fn shapes(self) -> Shapes {
        self.shapes_below(0)
    }

    fn shapes_below(self, depth: usize) -> Shapes {
        if depth > MAX_HOPS || self.schema == &Json::Bool(true) {
            return Shapes::ANY;
        }
        if self.schema == &Json::Bool(false) {
            return Shapes::NONE;
        }
        self.unfold().into_iter().fold(Shapes::ANY, |all, facet| {
            let branches = facet.branches().map(|branches| {
                let shapes = branches.iter().map(|branch| facet.sibling(branch).shapes_below(depth + 1));
                shapes.fold(Shapes::NONE, |a, b| a | b)
            });
            all & facet.own_shapes().unwrap_or(Shapes::ANY) & branches.unwrap_or(Shapes::ANY)
        })
    }

    /// What `type`, `const` and `enum` of this very schema admit.
    pub(super) fn own_shapes(&self) -> Option<Shapes> {
        match self.word("type") {
            Some(Json::String(name)) => Some(Shapes::named(name)),
            Some(Json::Array(names)) => {
                let names = names.iter().filter_map(Json::as_str);
                Some(names.fold(Shapes::NONE, |all, name| all | Shapes::named(name)))
            }
            _ => self.word("const").map(Shapes::of_json).or_else(|| {
                let values = self.word("enum")?.as_array()?;
                Some(values.iter().fold(Shapes::NONE, |all, value| all | Shapes::of_json(value)))
            }),
        }
    }

    fn is_null(&self) -> bool {
        self.own_shapes() == Some(Shapes::NULL)
    }

    fn resolve(&self, target: &str) -> Option<&'s Json> {
        self.root.pointer(target.strip_prefix('#')?)
    }
}

/// A set of kinds of values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shapes(u8);

impl Shapes {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ANY: Self = Self(0x7f);
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const INTEGER: Self = Self(4);
    pub(super) const FRACTION: Self = Self(8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);

    /// Whether all of `shapes` are in this set.
    pub(super) fn admits(self, shapes: Self) -> bool {
        self.0 & shapes.0 == shapes.0
    }

    /// Whether a value is of one of these kinds as it is.
    pub(super) fn admit(self, node: &Node) -> bool {
        self.admits(match node.value() {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Int(_) => Self::INTEGER,
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                return self.admits(Self::INTEGER) || self.admits(Self::FRACTION);
            }
            Value::Float(_) => Self::FRACTION,
            Value::Str(_) => Self::STRING,
            Value::Seq(_) => Self::ARRAY,
            Value::Map(_) => Self::OBJECT,
        })
    }

    /// What is expected, in words: `an integer or a string`.
    pub(super) fn describe(self) -> String {
        const NAMES: [(Shapes, &str); 6] = [
            (Shapes::OBJECT, "a map"),
            (Shapes::ARRAY, "a list"),
            (Shapes::STRING, "a string"),
            (Shapes::FRACTION, "a number"),
            (Shapes::INTEGER, "an integer"),
            (Shapes::BOOLEAN, "a boolean"),
        ];
        let named = NAMES.iter().filter(|(shape, _)| self.admits(*shape));
        let covered = |shape: Shapes| shape == Shapes::INTEGER && self.admits(Shapes::FRACTION);
        let names: Vec<_> = named.filter(|(shape, _)| !covered(*shape)).map(|(_, name)| *name).collect();
        match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            Some((last, _)) => (*last).to_owned(),
            None => "nothing".to_owned(),
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::INTEGER | Self::FRACTION,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::NONE,
        }
    }

    fn of_json(value: &Json) -> Self {
        match value {
            Json::Null => Self::NULL,
            Json::Bool(_) => Self::BOOLEAN,
            Json::Number(number) if number.is_f64() => Self::FRACTION,
            Json::Number(_) => Self::INTEGER,
            Json::String(_) => Self::STRING,
            Json::Array(_) => Self::ARRAY,
            Json::Object(_) => Self::OBJECT,
        }
    }
}

impl BitOr for Shapes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Shapes {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
