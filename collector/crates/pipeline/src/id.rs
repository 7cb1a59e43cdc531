//! Names of components and pipelines in a configuration.

use std::fmt;

use model::Signal;

/// `type` or `type/name`, as a key of `receivers`, `processors`, `exporters`, `connectors` or `extensions`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    /// The word before the slash, as written.
    pub kind: String,
    /// What follows the slash.
    pub name: Option<String>,
}

impl ComponentId {
    /// Reads an id.
    ///
    /// # Errors
    /// Says what is wrong with the text (collector configuration, component ids).
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = config::component_id(text)?;
        Ok(Self { kind: kind.to_owned(), name: name.map(str::to_owned) })
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

/// `metrics`, `logs` or `traces`, and an optional name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId {
    /// What flows through it.
    pub signal: Signal,
    /// What follows the slash.
    pub name: Option<String>,
}

impl PipelineId {
    /// Reads the key of a pipeline.
    ///
    /// # Errors
    /// Says what is wrong with the text: not an id, or not a signal.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (signal, name) = config::component_id(text)?;
        let signal = Signal::ALL.into_iter().find(|known| known.as_str() == signal).ok_or_else(|| {
            format!("unknown pipeline signal: `{signal}`; a pipeline is named metrics, logs or traces, and optionally /name")
        })?;
        Ok(Self { signal, name: name.map(str::to_owned) })
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.signal),
            None => self.signal.fmt(f),
        }
    }
}
