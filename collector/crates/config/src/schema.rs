//! JSON schemas of configuration types, and the few words of them that this crate understands.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of a type, draft 2020-12, as it is read (not as it is written).
///
/// Beside the standard words, [`crate::check`] and [`crate::read`] understand two extensions, given by
/// `#[schemars(extend("x-..." = ...))]`:
///
/// - `x-null` = `"none"` on an optional section: null means "without it". Elsewhere null means "with all defaults", as the
///   collector has it for `grpc:` of the OTLP receiver.
/// - `x-scalars` = `"text"` on a type or field: from there down, numbers and booleans are taken as they were written where a
///   string is wanted. For what Prometheus reads straight into Go strings: `regex: true`, `version: 1.10`.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}
