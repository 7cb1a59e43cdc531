//! `schema`: the JSON Schema of a whole configuration, made from the structs that read it.

use pipeline::{ComponentKind, ServiceConfig};
use serde_json::{Map, Value, json};

use crate::components::REGISTRY;

/// The schema as indented JSON with a final newline.
pub(crate) fn text() -> String {
    let mut defs = Map::new();
    let mut sections = Map::new();
    for kind in ComponentKind::ALL {
        let mut patterns = Map::new();
        for entry in REGISTRY.entries.iter().filter(|entry| entry.kind == kind) {
            let parts = (entry.schemas)();
            let name = format!("{}.{}", kind.noun(), entry.component_type);
            let refs: Vec<Value> =
                (0..parts.len()).map(|index| json!({ "$ref": format!("#/$defs/{name}.{index}") })).collect();
            for (index, part) in parts.into_iter().enumerate() {
                lift(part, &format!("{name}.{index}"), &mut defs);
            }
            let words: Vec<&str> =
                std::iter::once(entry.component_type).chain(entry.aliases.iter().copied()).collect();
            let pattern = format!("^({})(/.+)?$", words.join("|"));
            let section = json!({ "anyOf": [{ "type": "null" }, { "allOf": refs }] });
            patterns.insert(pattern, section);
        }
        let section = json!({ "type": ["object", "null"], "patternProperties": patterns, "additionalProperties": false });
        sections.insert(kind.section().to_owned(), section);
    }
    lift(config::schema_of::<ServiceConfig>(), "service", &mut defs);
    sections.insert("service".to_owned(), json!({ "$ref": "#/$defs/service" }));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Muster collector configuration",
        "type": "object",
        "properties": sections,
        "required": ["receivers", "exporters", "service"],
        "additionalProperties": false,
        "$defs": defs,
    });
    let mut text = serde_json::to_string_pretty(&schema).expect("a JSON value can always be printed");
    text.push('\n');
    text
}

/// Moves a schema under `$defs/name`, and its own definitions to `$defs/name.Definition`.
fn lift(mut schema: Value, name: &str, defs: &mut Map<String, Value>) {
    let own = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
    }
    rename_refs(&mut schema, name);
    if let Some(Value::Object(own)) = own {
        for (definition, mut value) in own {
            rename_refs(&mut value, name);
            defs.insert(format!("{name}.{definition}"), value);
        }
    }
    defs.insert(name.to_owned(), schema);
}

fn rename_refs(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref")
                && let Some(definition) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/$defs/{name}.{definition}");
            }
            map.values_mut().for_each(|value| rename_refs(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename_refs(value, name)),
        _ => {}
    }
}
