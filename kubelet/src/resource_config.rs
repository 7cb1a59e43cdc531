//! `resource_attributes`: switches of resource attributes, and filters on their values.

use std::borrow::Cow;

use config::Problem;
use relabel::Search;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::ByName;
use crate::resource::RESOURCE_ATTRIBUTES;

/// Switches and filters by name of the attribute. Its schema knows the names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ResourceAttributesConfig(ByName<ResourceAttributeConfig>);

/// The keys of one attribute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ResourceAttributeConfig {
    /// Whether it is sent; each attribute has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where any is given: resources whose value matches none of them are not sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics_include: Vec<FilterConfig>,
    /// Resources whose value matches one of them are not sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics_exclude: Vec<FilterConfig>,
}

/// One filter: a text, or a regular expression.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct FilterConfig {
    /// The value is this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<String>,
    /// This regular expression (RE2) is found anywhere in the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
}

impl ResourceAttributesConfig {
    pub(crate) fn of(&self, name: &str) -> ResourceAttributeConfig {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Filters that cannot be.
    pub(crate) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, config) in &self.0 {
            let lists =
                [("metrics_include", &config.metrics_include), ("metrics_exclude", &config.metrics_exclude)];
            for (key, filters) in lists {
                for (index, filter) in filters.iter().enumerate() {
                    if let Err(message) = Filter::build(filter) {
                        let at = format!("resource_attributes::{name}::{key}::{index}");
                        problems.push(Problem::at(at, message));
                    }
                }
            }
        }
        problems
    }
}

impl JsonSchema for ResourceAttributesConfig {
    fn schema_name() -> Cow<'static, str> {
        "ResourceAttributesConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<ResourceAttributeConfig>();
        let attributes: Map<String, Value> = RESOURCE_ATTRIBUTES
            .iter()
            .map(|row| {
                let text = format!("{} Default: {}.", row.description, row.is_on);
                (row.name.to_owned(), json!({ "description": text, "allOf": [one] }))
            })
            .collect();
        json_schema!({ "type": "object", "properties": attributes, "additionalProperties": false })
    }
}

/// A filter, ready to use.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Strict(String),
    Regexp(Search),
}

impl Filter {
    pub(crate) fn build(config: &FilterConfig) -> Result<Self, String> {
        match (&config.strict, &config.regexp) {
            (Some(text), None) => Ok(Self::Strict(text.clone())),
            (None, Some(regexp)) => Search::build(regexp)
                .map(Self::Regexp)
                .map_err(|error| format!("not a regular expression: {error}")),
            _ => Err("needs `strict` or `regexp`, one of them".to_owned()),
        }
    }

    pub(crate) fn is_match(&self, value: &str) -> bool {
        match self {
            Self::Strict(text) => text == value,
            Self::Regexp(search) => search.is_match(value),
        }
    }
}
