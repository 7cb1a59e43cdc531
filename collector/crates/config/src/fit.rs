//! Trees against JSON schemas: what is wrong, and the tree in the exact kinds the schema names.
//!
//! As strict as the collector (`confmap` without weak typing): `"5"` is no integer and `5` no string. The exceptions are its decode
//! hooks: a value from `${...}` keeps its text where a string is wanted, and one string is taken for a list of strings, cut at
//! commas. Null is an absent value, and an empty section where a section is wanted. Beyond upstream: a whole number written as
//! a float (`1e6`) is an integer, and every mistake is told at once, with its place and the nearest known key.

mod facet;
mod fitter;
mod format;
mod known;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Node, Problem, Severity, fill, schema_of};
use fitter::{Fitter, Trail};

/// Everything that is wrong with a section: unknown keys, missing keys, wrong types, unknown words, malformed periods, addresses
/// and sizes. Several schemas count as one with the keys of all. Null is the empty section. Nothing is refused beyond
/// what the schemas say; values that satisfy no rule of a schema but serde's own are found by [`crate::fill`].
#[must_use]
pub fn check(node: &Node, path: &str, schemas: &[&serde_json::Value]) -> Vec<Problem> {
    Fitter { unknown_keys: Severity::Error }.root(node, path, schemas).1
}

/// The section in the exact kinds the schemas name, as far as it fits: texts of `${...}` as strings, lists cut from strings,
/// null as empty section or left out. What does not fit stays as it is.
#[must_use]
pub fn fit(node: &Node, schemas: &[&serde_json::Value]) -> Node {
    Fitter { unknown_keys: Severity::Warning }.root(node, "", schemas).0
}

/// Checks a section against the type's schema and reads it.
///
/// # Errors
/// Everything that [`check`] finds; if that is nothing, the first value that the type itself refuses.
pub fn read<T: DeserializeOwned + JsonSchema>(node: &Node, path: &str) -> Result<T, Vec<Problem>> {
    let (fitted, problems) = Fitter { unknown_keys: Severity::Error }.root(node, path, &[&schema_of::<T>()]);
    if !problems.is_empty() {
        return Err(problems);
    }
    fill::as_it_is(&fitted, path).map_err(|problem| vec![problem])
}

/// As [`read`], but unknown keys are warnings: for sections that another, perhaps newer, program has written.
///
/// # Errors
/// As [`read`], without unknown keys.
pub fn read_lenient<T: DeserializeOwned + JsonSchema>(
    node: &Node,
    path: &str,
) -> Result<(T, Vec<Problem>), Vec<Problem>> {
    read_lenient_with(node, path, &schema_of::<T>())
}

/// As [`read_lenient`], for who reads many sections of one type and keeps its schema, [`schema_of`].
///
/// # Errors
/// As [`read_lenient`].
pub fn read_lenient_with<T: DeserializeOwned>(
    node: &Node,
    path: &str,
    schema: &serde_json::Value,
) -> Result<(T, Vec<Problem>), Vec<Problem>> {
    let (fitted, problems) = Fitter { unknown_keys: Severity::Warning }.root(node, path, &[schema]);
    if problems.iter().any(Problem::is_error) {
        return Err(problems.into_iter().filter(Problem::is_error).collect());
    }
    let value = fill::as_it_is(&fitted, path).map_err(|problem| vec![problem])?;
    Ok((value, problems))
}

/// The sections at the top of a collector configuration.
const TOP_SECTIONS: [&str; 6] =
    ["receivers", "processors", "exporters", "connectors", "extensions", "service"];

/// What to say where a top-level section turns up below another one: it has slipped to the right.
#[must_use]
pub fn indentation_hint(key: &str) -> Option<String> {
    TOP_SECTIONS
        .contains(&key)
        .then(|| format!("`{key}` is a section of the top level: check the indentation"))
}

impl Fitter {
    fn root(&self, node: &Node, path: &str, schemas: &[&serde_json::Value]) -> (Node, Vec<Problem>) {
        let facets = schemas.iter().map(|schema| facet::Facet::root(schema)).collect();
        let mut fitted = self.fit(node, &Trail::root(path), facets, false);
        fitted.problems.sort_by(|a, b| a.place.cmp(&b.place));
        (fitted.node.unwrap_or_else(|| node.clone()), fitted.problems)
    }
}

#[cfg(test)]
mod tests;
