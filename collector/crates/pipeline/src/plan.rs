//! From a configuration to a checked plan of what runs, with every problem found at once.
//!
//! Rules as the collector's `confmap` and `service` packages check them. On purpose different: all problems are reported
//! together, each with its place and the nearest known name, and a component that no pipeline uses earns a warning.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use config::{Node, Place, Problem};
use model::Signal;

use crate::checking::Checker;
use crate::entry::Built;
use crate::{ComponentId, ComponentKind, Entry, PipelineId, ServiceConfig, Site};

/// The components that a binary contains.
#[derive(Clone, Copy, Debug)]
pub struct Registry {
    /// THE list.
    pub entries: &'static [Entry],
    /// Version of the program.
    pub version: &'static str,
}

impl Registry {
    /// The component that a section's `word` asks for.
    #[must_use]
    pub fn find(&self, kind: ComponentKind, word: &str) -> Option<&'static Entry> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.is_called(word))
    }

    /// Types of a section.
    pub fn types(&self, kind: ComponentKind) -> impl Iterator<Item = &'static str> {
        self.entries.iter().filter(move |entry| entry.kind == kind).map(|entry| entry.component_type)
    }
}

/// A configured component.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) entry: &'static Entry,
    pub(crate) node: Arc<Node>,
    /// Where its id stands.
    pub(crate) place: Option<Place>,
    pub(crate) path: String,
}

/// A checked pipeline.
#[derive(Clone, Debug)]
pub(crate) struct PlannedPipeline {
    pub(crate) id: PipelineId,
    pub(crate) receivers: Vec<ComponentId>,
    /// Connectors that feed it.
    pub(crate) fed_by: Vec<ComponentId>,
    pub(crate) processors: Vec<ComponentId>,
    pub(crate) exporters: Vec<ComponentId>,
    /// Connectors that it feeds.
    pub(crate) feeds: Vec<ComponentId>,
}

/// What runs, checked: every reference resolves, every component can be built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `service` section.
    pub service: ServiceConfig,
    /// What a user should know though it works.
    pub warnings: Vec<Problem>,
    pub(crate) parts: BTreeMap<(ComponentKind, ComponentId), Part>,
    pub(crate) pipelines: Vec<PlannedPipeline>,
    pub(crate) extensions: Vec<ComponentId>,
    site: Site,
}

impl Plan {
    /// Checks a whole configuration. Opens nothing. Relative names of files start at `base_dir`; `data_dir` is where
    /// components keep what must survive a restart without being told where.
    ///
    /// # Errors
    /// Every problem that was found, warnings among them.
    pub fn build(
        root: &Node,
        registry: &Registry,
        base_dir: PathBuf,
        data_dir: Option<PathBuf>,
        gates: HashMap<String, bool>,
    ) -> Result<Self, Vec<Problem>> {
        let mut checker = Checker::new(registry);
        let (service, extensions, pipelines) = checker.run(root);
        let mut plan = Self {
            service,
            warnings: Vec::new(),
            parts: checker.parts,
            pipelines,
            extensions,
            site: Site {
                id: ComponentId { kind: String::new(), name: None },
                signal: None,
                base_dir,
                data_dir,
                storages: Arc::default(),
                gates: Arc::new(gates),
                version: registry.version,
            },
        };
        let mut problems = checker.problems;
        problems.extend(plan.try_components());
        if problems.iter().any(Problem::is_error) {
            return Err(problems);
        }
        plan.warnings = problems;
        Ok(plan)
    }

    /// Whether nobody but this process decides how much comes in and when: every receiver of every pipeline scrapes. Then one
    /// thread does all of it cheapest, because work never changes threads.
    #[must_use]
    pub fn sets_pace(&self) -> bool {
        self.pipelines.iter().flat_map(|pipeline| &pipeline.receivers).all(|id| {
            self.parts.get(&(ComponentKind::Receiver, id.clone())).is_none_or(|part| part.entry.sets_pace)
        })
    }

    /// Builds every configured component once and throws it away; storage directories are noted on the way.
    fn try_components(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut storages = HashMap::new();
        for id in &self.extensions {
            let Some(part) = self.parts.get(&(ComponentKind::Extension, id.clone())) else { continue };
            if let Ok(Built::Extension(extension)) = self.build_part(part, id, None) {
                storages.extend(extension.storage().map(|dir| (id.to_string(), dir)));
            }
        }
        self.site.storages = Arc::new(storages);
        for ((_, id), part) in &self.parts {
            let signal = part.entry.signals.iter().next();
            match self.build_part(part, id, signal) {
                Ok(_built) => problems.extend((part.entry.warnings)(&part.node, &part.path)),
                Err(found) => problems.extend(found),
            }
        }
        problems.into_iter().map(|problem| self.placed(problem)).collect()
    }

    pub(crate) fn build_part(
        &self,
        part: &Part,
        id: &ComponentId,
        signal: Option<Signal>,
    ) -> Result<Built, Vec<Problem>> {
        let site = Site { id: id.clone(), signal, ..self.site.clone() };
        (part.entry.build)(&part.node, &part.path, &site)
    }

    /// The configured component, with everything that has a default filled in, for `print-config`.
    ///
    /// # Errors
    /// When a component's keys cannot be read.
    pub fn resolved(&self, kind: ComponentKind) -> Result<Vec<(String, Node)>, Problem> {
        let of_kind = self.parts.iter().filter(|((part_kind, _), _)| *part_kind == kind);
        of_kind
            .map(|((_, id), part)| Ok((id.to_string(), (part.entry.resolve)(&part.node, &part.path)?)))
            .collect()
    }

    /// Gives a problem the place of the deepest node on its path.
    fn placed(&self, mut problem: Problem) -> Problem {
        if problem.place.is_some() {
            return problem;
        }
        let part = self.parts.values().find(|part| {
            problem
                .path
                .strip_prefix(&part.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        if let Some(part) = part {
            let rest = problem.path[part.path.len()..].trim_start_matches("::");
            problem.place = Some(part.node.place_of(rest).clone());
        }
        problem
    }

    pub(crate) fn part(&self, kind: ComponentKind, id: &ComponentId) -> Option<&Part> {
        self.parts.get(&(kind, id.clone()))
    }
}

/// Pipelines in an order in which each comes after those that feed it through connectors.
///
/// Pipelines that feed each other in a circle are left out.
pub(crate) fn downstream_order(pipelines: &[PlannedPipeline]) -> Vec<usize> {
    let feeds =
        |from: &PlannedPipeline, to: &PlannedPipeline| from.feeds.iter().any(|id| to.fed_by.contains(id));
    let mut order: Vec<usize> = Vec::new();
    loop {
        let next = (0..pipelines.len()).find(|candidate| {
            !order.contains(candidate)
                && (0..pipelines.len())
                    .all(|other| order.contains(&other) || !feeds(&pipelines[other], &pipelines[*candidate]))
        });
        match next {
            Some(index) => order.push(index),
            None => return order,
        }
    }
}
