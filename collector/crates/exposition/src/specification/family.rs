//! A family from its first line to its last.

use std::collections::HashSet;

use model::{Kind, Timestamp};

use super::histogram::Shape;
use super::sample::{self, Read};
use crate::event::{Bad, Event};

/// What was seen of a family.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) name: String,
    kind: Option<Kind>,
    unit: Option<String>,
    has_help: bool,
    has_samples: bool,
    first_at: usize,
    last_at: usize,
    group: Option<Group>,
    /// The groups in front of this one.
    done: HashSet<Vec<(String, String)>>,
}

/// Samples of the same labels, as far as they do not tell the series of a group apart.
#[derive(Debug)]
struct Group {
    labels: Vec<(String, String)>,
    timestamp: Option<Timestamp>,
    shape: Shape,
}

impl Family {
    /// A family whose first line begins at `at`.
    pub(super) fn new(name: &str, at: usize) -> Self {
        Self { name: name.to_owned(), first_at: at, last_at: at, ..Self::default() }
    }

    fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Unknown)
    }

    /// Whether a sample of this name belongs to the family.
    pub(super) fn has(&self, sample: &str) -> bool {
        let suffix = sample.strip_prefix(&*self.name).filter(|_| !self.name.is_empty());
        suffix.is_some_and(|suffix| sample::suffixes(self.kind()).contains(&suffix))
    }

    /// A line of metadata.
    pub(super) fn metadata(&mut self, event: &Event<'_>) -> Result<(), String> {
        if self.has_samples {
            return Err(format!("metadata of {:?} must stand in front of its samples", self.name));
        }
        let is_again = match event {
            Event::Type { kind, .. } => self.kind.replace(*kind).is_some(),
            Event::Unit { unit, .. } => self.unit.replace(unit.to_string()).is_some(),
            _ => std::mem::replace(&mut self.has_help, true),
        };
        if is_again {
            return Err(format!("metadata of {:?} is repeated", self.name));
        }
        let has_unit = self.unit.as_ref().is_some_and(|unit| !unit.is_empty());
        match self.kind() {
            Kind::Info | Kind::StateSet if has_unit => Err(format!("{:?} must not have a unit", self.name)),
            _ => Ok(()),
        }
    }

    /// A sample of the family, whose line begins at `at`.
    pub(super) fn sample(&mut self, sample: &Read<'_>, at: usize) -> Result<(), Bad> {
        let broken = |reason: String| Bad { at, reason };
        let suffix = &sample.name()[self.name.len()..];
        sample::check(self.kind(), &self.name, suffix, sample).map_err(broken)?;
        self.has_samples = true;
        self.group(suffix, sample, at)?;
        self.last_at = at;
        let group = self.group.as_mut().expect("a sample is in a group");
        match suffix {
            "_bucket" => {
                let bound = sample::bound(sample).map_err(broken)?;
                group.shape.bucket(bound, sample.value).map_err(broken)
            }
            suffix => {
                group.shape.total(suffix, sample.value);
                Ok(())
            }
        }
    }

    /// Goes to the group of a sample.
    fn group(&mut self, suffix: &str, sample: &Read<'_>, at: usize) -> Result<(), Bad> {
        let broken = |reason: &str| Err(Bad::new(at, reason));
        let labels = match (self.kind(), suffix) {
            // Nothing tells the groups of an info apart.
            (Kind::Info, _) => Vec::new(),
            (Kind::StateSet, _) => sample.group(&self.name),
            (Kind::Summary, "") => sample.group("quantile"),
            (_, "_bucket") => sample.group("le"),
            _ => sample.group(""),
        };
        let timestamp = sample.timestamp;
        if let Some(group) = self.group.as_ref().filter(|group| group.labels == labels) {
            if group.timestamp.is_some() != timestamp.is_some() {
                return broken("within a group all samples have timestamps, or none has");
            }
            if group.timestamp > timestamp && self.kind() != Kind::Info {
                return broken("within a group timestamps must not go backwards");
            }
            if group.timestamp == timestamp {
                return Ok(());
            }
        }
        self.finish_group()?;
        if let Some(last) = self.group.take()
            && last.labels != labels
        {
            self.done.insert(last.labels);
        }
        if self.done.contains(&labels) {
            return broken("the samples of a group must stand together");
        }
        self.group = Some(Group { labels, timestamp, shape: Shape::default() });
        Ok(())
    }

    fn finish_group(&self) -> Result<(), Bad> {
        match &self.group {
            Some(group) if matches!(self.kind(), Kind::Histogram | Kind::GaugeHistogram) => {
                group.shape.finish().map_err(|reason| Bad::new(self.last_at, reason))
            }
            _ => Ok(()),
        }
    }

    /// The family ends: its names must be its own.
    pub(super) fn finish(self, names: &mut HashSet<String>) -> Result<(), Bad> {
        if self.name.is_empty() {
            return Ok(());
        }
        self.finish_group()?;
        let suffixes = sample::suffixes(self.kind()).iter().filter(|suffix| !suffix.is_empty());
        for suffix in std::iter::once(&"").chain(suffixes) {
            let name = format!("{}{suffix}", self.name);
            if names.contains(&name) {
                return Err(Bad::new(
                    self.first_at,
                    format!("the name {name:?} clashes with another family"),
                ));
            }
            names.insert(name);
        }
        Ok(())
    }
}
