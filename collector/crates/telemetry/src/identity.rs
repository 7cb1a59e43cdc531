//! Who is speaking.

use std::collections::BTreeMap;

/// The resource of our own telemetry: every log line carries it, and `target_info` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `service.name`.
    pub name: String,
    /// `service.version`.
    pub version: String,
    /// `service.instance.id`, unique among all running instances.
    pub instance_id: String,
    /// More attributes of `service.telemetry.resource`.
    pub others: BTreeMap<String, String>,
}

impl Identity {
    /// All attributes that are not empty, the three well-known ones first.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let known = [
            ("service.name", &self.name),
            ("service.version", &self.version),
            ("service.instance.id", &self.instance_id),
        ];
        let others = self.others.iter().map(|(key, value)| (key.as_str(), value));
        known
            .into_iter()
            .chain(others)
            .map(|(key, value)| (key, value.as_str()))
            .filter(|(_, value)| !value.is_empty())
    }
}
