//! Everything that can be wrong with a configuration as a whole, found at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Node, Place, Problem};
use model::Signal;

use crate::plan::{Part, PlannedPipeline, downstream_order};
use crate::{ComponentId, ComponentKind, PipelineConfig, PipelineId, Registry, ServiceConfig};

type Key = (ComponentKind, ComponentId);

const SECTIONS: [&str; 6] = ["receivers", "processors", "exporters", "connectors", "extensions", "service"];

pub(crate) struct Checker<'a> {
    registry: &'a Registry,
    pub(crate) problems: Vec<Problem>,
    pub(crate) parts: BTreeMap<Key, Part>,
    /// Components that are written down but unusable, so that references to them are not reported once more.
    failed: BTreeSet<Key>,
}

impl<'a> Checker<'a> {
    /// Checks everything and gives back what runs: the service section, its extensions, its pipelines.
    pub(crate) fn run(&mut self, root: &Node) -> (ServiceConfig, Vec<ComponentId>, Vec<PlannedPipeline>) {
        self.sections(root);
        let service = self.service(root);
        let extensions = self.extensions(root, &service);
        let pipelines = self.pipelines(root, &service);
        self.connectors(&pipelines);
        self.unused(&pipelines, &extensions);
        (service, extensions, pipelines)
    }

    pub(crate) fn new(registry: &'a Registry) -> Self {
        Self { registry, problems: Vec::new(), parts: BTreeMap::new(), failed: BTreeSet::new() }
    }

    fn error(
        &mut self,
        node: Option<&Node>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.error_at(node.map(Node::place), path, message)
    }

    fn error_at(
        &mut self,
        place: Option<&Place>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Problem {
        let mut problem = Problem::error(path, message);
        problem.place = place.cloned();
        self.problems.push(problem);
        self.problems.last_mut().expect("one was pushed just now")
    }

    fn sections(&mut self, root: &Node) {
        for (key, _) in root.entries() {
            if !SECTIONS.contains(&key) {
                let hint =
                    config::nearest(key, SECTIONS.into_iter()).map(|near| format!("did you mean `{near}`?"));
                self.error_at(root.key_place(key), key, format!("unknown section `{key}`")).hint = hint;
            }
        }
        for kind in ComponentKind::ALL {
            self.section(root, kind);
        }
        for kind in [ComponentKind::Receiver, ComponentKind::Exporter] {
            if root.get(kind.section()).is_none_or(|section| section.entries().next().is_none()) {
                let message = format!("no {} configuration specified in config", kind.noun());
                self.error(None, kind.section(), message);
            }
        }
    }

    fn section(&mut self, root: &Node, kind: ComponentKind) {
        let Some(section) = root.get(kind.section()) else { return };
        if !section.is_null() && !section.is_map() {
            let message = format!("expected a map of {}, got {}", kind.section(), section.kind());
            self.error(Some(section), kind.section(), message);
            return;
        }
        for (key, node) in section.entries() {
            let path = format!("{}::{key}", kind.section());
            match ComponentId::parse(key) {
                Ok(id) => self.component(kind, &id, node, section.key_place(key), path),
                Err(wrong) => drop(self.error_at(section.key_place(key), path, wrong)),
            }
        }
    }

    fn component(
        &mut self,
        kind: ComponentKind,
        id: &ComponentId,
        node: &Node,
        place: Option<&Place>,
        path: String,
    ) {
        let key = (kind, id.clone());
        let Some(entry) = self.registry.find(kind, &id.kind) else {
            let hint = self.unknown_type_hint(kind, &id.kind);
            let message = format!("unknown {kind} type `{}` for id `{id}`", id.kind);
            self.error_at(place, path, message).hint = Some(hint);
            self.failed.insert(key);
            return;
        };
        let schemas = (entry.schemas)();
        let found = config::check(node, &path, &schemas.iter().collect::<Vec<_>>());
        if found.iter().any(Problem::is_error) {
            self.failed.insert(key.clone());
        }
        let is_usable = !self.failed.contains(&key);
        self.problems.extend(found);
        if let Some(instead) = entry.deprecated {
            let mut problem =
                Problem::warning(path.clone(), format!("{kind} `{}` is deprecated: {instead}", id.kind));
            problem.place = place.cloned();
            self.problems.push(problem);
        }
        if is_usable {
            self.parts.insert(key, Part { entry, node: Arc::new(node.clone()), place: place.cloned(), path });
        }
    }

    fn unknown_type_hint(&self, kind: ComponentKind, word: &str) -> String {
        if SECTIONS.contains(&word) {
            return format!("`{word}` is a top-level section: check its indentation");
        }
        let known: Vec<&str> = self.registry.types(kind).collect();
        match config::nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("this program contains no {}", kind.section()),
            None => format!("this program contains: {}", known.join(", ")),
        }
    }

    fn service(&mut self, root: &Node) -> ServiceConfig {
        let Some(node) = root.get("service") else { return ServiceConfig::default() };
        match config::read::<ServiceConfig>(node, "service") {
            Ok(service) => {
                self.telemetry(node, &service);
                service
            }
            Err(found) => {
                self.problems.extend(found);
                ServiceConfig::default()
            }
        }
    }

    /// Rules of `service::telemetry` that types cannot hold, and what is old or missing in it.
    fn telemetry(&mut self, service: &Node, config: &ServiceConfig) {
        let Some(telemetry) = &config.telemetry else { return };
        let mut found = Vec::new();
        if let Some(logs) = &telemetry.logs {
            found.extend(
                logs.check()
                    .into_iter()
                    .map(|(key, message)| Problem::error(format!("telemetry::logs::{key}"), message)),
            );
        }
        if let Some(metrics) = &telemetry.metrics {
            if let Err((key, message)) = metrics.listen() {
                found.push(Problem::error(format!("telemetry::metrics::{key}"), message));
            }
            if metrics.address.is_some() {
                let message = "is deprecated: write `readers` with a pull reader and a prometheus exporter";
                found.push(Problem::warning("telemetry::metrics::address", message));
            }
        }
        if telemetry.traces.is_some() {
            found.push(Problem::warning(
                "telemetry::traces",
                "has no effect: there are no traces of our own yet",
            ));
        }
        self.problems.extend(found.into_iter().map(|problem| problem.within("service", service)));
    }

    fn extensions(&mut self, root: &Node, service: &ServiceConfig) -> Vec<ComponentId> {
        let at = root.at(&["service", "extensions"]);
        let words = service.extensions.clone().unwrap_or_default();
        words
            .iter()
            .filter_map(|word| self.reference(at, "service::extensions", word, &[ComponentKind::Extension]))
            .collect()
    }

    /// Resolves a name in a list to a component of one of the kinds.
    fn reference(
        &mut self,
        at: Option<&Node>,
        path: &str,
        word: &str,
        kinds: &[ComponentKind],
    ) -> Option<ComponentId> {
        let item = at.and_then(|list| list.items().find(|item| item.as_str() == Some(word))).or(at);
        let id = match ComponentId::parse(word) {
            Ok(id) => id,
            Err(wrong) => {
                self.error(item, path, wrong);
                return None;
            }
        };
        let is_known = |kind: &ComponentKind| {
            self.parts.contains_key(&(*kind, id.clone())) || self.failed.contains(&(*kind, id.clone()))
        };
        if kinds.iter().any(is_known) {
            return Some(id);
        }
        let noun = kinds[0].noun();
        let written = self.parts.keys().chain(&self.failed);
        let known: Vec<String> =
            written.filter(|(kind, _)| kinds.contains(kind)).map(|(_, id)| id.to_string()).collect();
        let hint = match config::nearest(word, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{word}` to the `{}` section", kinds[0].section()),
        };
        self.error(item, path, format!("references {noun} \"{word}\" which is not configured")).hint =
            Some(hint);
        None
    }

    fn pipelines(&mut self, root: &Node, service: &ServiceConfig) -> Vec<PlannedPipeline> {
        let section = root.at(&["service", "pipelines"]);
        let configured = service.pipelines.clone().unwrap_or_default();
        if configured.is_empty() {
            self.error(section, "service::pipelines", "service must have at least one pipeline");
        }
        let mut pipelines = Vec::new();
        for (key, pipeline) in &configured {
            let node = section.and_then(|section| section.get(key));
            match PipelineId::parse(key) {
                Ok(id) => pipelines.push(self.pipeline(id, key, &pipeline.clone().unwrap_or_default(), node)),
                Err(wrong) => {
                    let place = section.and_then(|section| section.key_place(key));
                    self.error_at(place, format!("service::pipelines::{key}"), wrong);
                }
            }
        }
        pipelines
    }

    fn pipeline(
        &mut self,
        id: PipelineId,
        key: &str,
        config: &PipelineConfig,
        node: Option<&Node>,
    ) -> PlannedPipeline {
        use ComponentKind::{Connector, Exporter, Processor, Receiver};
        let path = format!("service::pipelines::{key}");
        let mut resolve = |list: &Option<Vec<String>>,
                           name: &str,
                           kinds: &[ComponentKind],
                           is_required: bool| {
            let at = node.and_then(|node| node.get(name));
            let words = list.as_deref().unwrap_or_default();
            if is_required && words.is_empty() {
                self.error(at.or(node), path.clone(), format!("must have at least one {}", kinds[0].noun()));
            }
            let mut ids: Vec<ComponentId> = Vec::new();
            for word in words {
                let Some(found) = self.reference(at, &path, word, kinds) else { continue };
                self.signal(at, &path, &found, kinds, id.signal);
                if !ids.contains(&found) {
                    ids.push(found);
                } else if kinds[0] == Processor {
                    self.error(at, path.clone(), format!("references processor \"{word}\" multiple times"));
                }
            }
            ids
        };
        let receivers = resolve(&config.receivers, "receivers", &[Receiver, Connector], true);
        let processors = resolve(&config.processors, "processors", &[Processor], false);
        let exporters = resolve(&config.exporters, "exporters", &[Exporter, Connector], true);
        let is_connector = |id: &ComponentId| self.parts.contains_key(&(Connector, id.clone()));
        let (fed_by, receivers) = receivers.into_iter().partition(is_connector);
        let (feeds, exporters) = exporters.into_iter().partition(is_connector);
        PlannedPipeline { id, receivers, fed_by, processors, exporters, feeds }
    }

    fn signal(
        &mut self,
        at: Option<&Node>,
        path: &str,
        id: &ComponentId,
        kinds: &[ComponentKind],
        signal: Signal,
    ) {
        let part = kinds.iter().find_map(|kind| self.parts.get(&(*kind, id.clone())));
        let Some(part) = part else { return };
        if part.entry.kind == ComponentKind::Connector || part.entry.signals.has(signal) {
            return;
        }
        let offered: Vec<&str> = part.entry.signals.iter().map(Signal::as_str).collect();
        let message = format!(
            "{} `{id}` does not support {signal}; it supports {}",
            part.entry.kind,
            offered.join(", ")
        );
        self.error(at, path, message);
    }

    fn connectors(&mut self, pipelines: &[PlannedPipeline]) {
        let connectors: Vec<(ComponentId, Option<Place>)> = self
            .parts
            .iter()
            .filter(|((kind, _), _)| *kind == ComponentKind::Connector)
            .map(|((_, id), part)| (id.clone(), part.place.clone()))
            .collect();
        for (id, place) in &connectors {
            let place = place.as_ref();
            let path = format!("connectors::{id}");
            for kind in [ComponentKind::Receiver, ComponentKind::Exporter] {
                if self.parts.contains_key(&(kind, id.clone())) {
                    let message = format!(
                        "`{id}` is both a connector and {kind}; give one of them a name, as in `{id}/2`"
                    );
                    self.error_at(place, path.clone(), message);
                }
            }
            let feeds = pipelines.iter().any(|pipeline| pipeline.fed_by.contains(id));
            let is_fed = pipelines.iter().any(|pipeline| pipeline.feeds.contains(id));
            match (is_fed, feeds) {
                (true, false) => {
                    self.error_at(place, path, "used as exporter but not as receiver of any pipeline");
                }
                (false, true) => {
                    self.error_at(place, path, "used as receiver but not as exporter of any pipeline");
                }
                _ => {}
            }
        }
        if let Some(cycle) = cycle(pipelines) {
            self.error(None, "service::pipelines", format!("pipelines feed each other in a circle: {cycle}"));
        }
    }

    fn unused(&mut self, pipelines: &[PlannedPipeline], extensions: &[ComponentId]) {
        let mut unused = Vec::new();
        for ((kind, id), part) in &self.parts {
            let is_used = match kind {
                ComponentKind::Extension => extensions.contains(id),
                ComponentKind::Processor => pipelines.iter().any(|pipeline| pipeline.processors.contains(id)),
                ComponentKind::Receiver => pipelines.iter().any(|pipeline| pipeline.receivers.contains(id)),
                ComponentKind::Exporter => pipelines.iter().any(|pipeline| pipeline.exporters.contains(id)),
                ComponentKind::Connector => {
                    pipelines.iter().any(|p| p.feeds.contains(id) || p.fed_by.contains(id))
                }
            };
            if !is_used {
                let where_to =
                    if *kind == ComponentKind::Extension { "service::extensions" } else { "any pipeline" };
                let mut problem = Problem::warning(
                    part.path.clone(),
                    format!("{kind} `{id}` is not listed in {where_to} and does not run"),
                );
                problem.place.clone_from(&part.place);
                unused.push(problem);
            }
        }
        self.problems.extend(unused);
    }
}

fn cycle(pipelines: &[PlannedPipeline]) -> Option<String> {
    let order = downstream_order(pipelines);
    let stuck: Vec<String> = (0..pipelines.len())
        .filter(|index| !order.contains(index))
        .map(|index| pipelines[index].id.to_string())
        .collect();
    if stuck.is_empty() { None } else { Some(stuck.join(", ")) }
}
