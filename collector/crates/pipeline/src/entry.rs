//! How a trait becomes data: one [`Entry`] a component, made by a `const fn`, so that the list is a constant.

use std::fmt;
use std::path::PathBuf;

use config::{Node, Problem};
use futures_util::future::BoxFuture;
use model::{Batch, Signals};
use queue::Request;
use serde_json::Value;

use crate::scraping::{self, ScraperConfig};
use crate::{
    Bodies, Component, ExportError, Exporter, Extension, Fatal, Inlet, Life, Outlet, Outlets, Receiver,
    Refused, Scraper, Sealed, Sending, SendingConfig, Site, Stage, Transform,
};

/// The five sections of a configuration that hold components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ComponentKind {
    /// `receivers`.
    Receiver,
    /// `processors`.
    Processor,
    /// `exporters`.
    Exporter,
    /// `connectors`.
    Connector,
    /// `extensions`.
    Extension,
}

impl ComponentKind {
    /// All of them, in the order in which `components` lists them.
    pub const ALL: [Self; 5] =
        [Self::Receiver, Self::Processor, Self::Exporter, Self::Connector, Self::Extension];

    /// The name of the section.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Receiver => "receivers",
            Self::Processor => "processors",
            Self::Exporter => "exporters",
            Self::Connector => "connectors",
            Self::Extension => "extensions",
        }
    }

    /// The word for one of them.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Processor => "processor",
            Self::Exporter => "exporter",
            Self::Connector => "connector",
            Self::Extension => "extension",
        }
    }
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

type Build = fn(&Node, &str, &Site) -> Result<Built, Vec<Problem>>;
type Resolve = fn(&Node, &str) -> Result<Node, Problem>;

/// A component that this binary contains.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The section it belongs to.
    pub kind: ComponentKind,
    /// Its type.
    pub component_type: &'static str,
    /// Other spellings that load too.
    pub aliases: &'static [&'static str],
    /// What to use instead, where others have removed it.
    pub deprecated: Option<&'static str>,
    /// Signals it can serve.
    pub signals: Signals,
    /// JSON Schemas of its keys: its own, and those of its kind.
    pub schemas: fn() -> Vec<Value>,
    /// Of a receiver: whether it alone decides how much comes in and when.
    pub(crate) sets_pace: bool,
    pub(crate) build: Build,
    pub(crate) resolve: Resolve,
    pub(crate) warnings: fn(&Node, &str) -> Vec<Problem>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.component_type)
    }
}

impl Entry {
    const fn new<C: Component>(
        kind: ComponentKind,
        schemas: fn() -> Vec<Value>,
        build: Build,
        resolve: Resolve,
    ) -> Self {
        Self {
            kind,
            component_type: C::TYPE,
            aliases: C::ALIASES,
            deprecated: C::DEPRECATED,
            signals: C::SIGNALS,
            schemas,
            sets_pace: false,
            build,
            resolve,
            warnings: warnings_of::<C>,
        }
    }

    /// A receiver that runs by itself.
    #[must_use]
    pub const fn receiver<R: Receiver>() -> Self {
        let entry = Self::new::<R>(
            ComponentKind::Receiver,
            own_schema::<R>,
            |node, path, site| Ok(Built::Receiver(Box::new(build::<R>(node, path, site)?))),
            own_keys::<R>,
        );
        Self { sets_pace: R::SETS_PACE, ..entry }
    }

    /// A receiver that is asked on an interval.
    #[must_use]
    pub const fn scraper<S: Scraper>() -> Self {
        let entry = Self::new::<S>(
            ComponentKind::Receiver,
            || vec![config::schema_of::<S::Config>(), config::schema_of::<ScraperConfig>()],
            |node, path, site| {
                let settings = config::fill::<ScraperConfig>(node, path).map_err(|problem| vec![problem])?;
                Ok(Built::Receiver(Box::new(Scraping { scraper: build::<S>(node, path, site)?, settings })))
            },
            |node, path| both(&own_keys::<S>(node, path)?, &resolved::<ScraperConfig>(node, path)?),
        );
        Self { sets_pace: true, ..entry }
    }

    /// A processor without time.
    #[must_use]
    pub const fn transform<T: Transform>() -> Self {
        Self::new::<T>(
            ComponentKind::Processor,
            own_schema::<T>,
            |node, path, site| Ok(Built::Transform(Box::new(build::<T>(node, path, site)?))),
            own_keys::<T>,
        )
    }

    /// A processor that owns time or memory.
    #[must_use]
    pub const fn stage<S: Stage>() -> Self {
        Self::new::<S>(
            ComponentKind::Processor,
            own_schema::<S>,
            |node, path, site| Ok(Built::Stage(Box::new(build::<S>(node, path, site)?))),
            own_keys::<S>,
        )
    }

    /// A stage that stands in two pipelines: at the end of one, at the beginning of another.
    #[must_use]
    pub const fn connector<S: Stage>() -> Self {
        Self { kind: ComponentKind::Connector, ..Self::stage::<S>() }
    }

    /// An exporter.
    #[must_use]
    pub const fn exporter<E: Exporter>() -> Self {
        Self::new::<E>(
            ComponentKind::Exporter,
            || vec![config::schema_of::<E::Config>(), config::schema_of::<SendingConfig>()],
            |node, path, site| {
                let sending = sending_of::<E>(node, path, site).map_err(|problem| vec![problem])?;
                Ok(Built::Exporter(Box::new(build::<E>(node, path, site)?), Box::new(sending)))
            },
            |node, path| both(&own_keys::<E>(node, path)?, &resolved::<SendingConfig>(node, path)?),
        )
    }

    /// An extension.
    #[must_use]
    pub const fn extension<E: Extension>() -> Self {
        Self::new::<E>(
            ComponentKind::Extension,
            own_schema::<E>,
            |node, path, site| Ok(Built::Extension(Box::new(build::<E>(node, path, site)?))),
            own_keys::<E>,
        )
    }

    /// Whether this is what `word` asks for, by type or by another spelling.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        self.component_type == word || self.aliases.contains(&word)
    }
}

/// A component that was built and not yet started.
pub(crate) enum Built {
    Receiver(Box<dyn AnyReceiver>),
    Transform(Box<dyn AnyTransform>),
    Stage(Box<dyn AnyStage>),
    Exporter(Box<dyn AnyExporter>, Box<Sending>),
    Extension(Box<dyn AnyExtension>),
}

fn own_schema<C: Component>() -> Vec<Value> {
    vec![config::schema_of::<C::Config>()]
}

fn resolved<T: serde::de::DeserializeOwned + serde::Serialize + schemars::JsonSchema>(
    node: &Node,
    path: &str,
) -> Result<Node, Problem> {
    Ok(config::to_node(&config::fill::<T>(node, path)?))
}

fn own_keys<C: Component>(node: &Node, path: &str) -> Result<Node, Problem> {
    resolved::<C::Config>(node, path)
}

fn both(one: &Node, two: &Node) -> Result<Node, Problem> {
    let mut all = one.clone();
    for (key, value) in two.entries() {
        if all.get(key).is_none() {
            all.insert(key, value.clone());
        }
    }
    Ok(all)
}

fn build<C: Component>(node: &Node, path: &str, site: &Site) -> Result<C, Vec<Problem>> {
    let config = config::fill::<C::Config>(node, path).map_err(|problem| vec![problem])?;
    C::build(config, site)
        .map_err(|problems| problems.into_iter().map(|problem| problem.under(path)).collect())
}

fn warnings_of<C: Component>(node: &Node, path: &str) -> Vec<Problem> {
    match config::fill::<C::Config>(node, path) {
        Ok(config) => C::warnings(&config).into_iter().map(|problem| problem.under(path)).collect(),
        Err(_reported_by_build) => Vec::new(),
    }
}

fn sending_of<E: Exporter>(node: &Node, path: &str, site: &Site) -> Result<Sending, Problem> {
    let common = config::fill::<SendingConfig>(node, path)?;
    let own = config::fill::<E::Config>(node, path)?;
    let mut sending = E::sending(&own, &common);
    if node.get("sending_queue").is_some_and(Node::is_null) {
        sending.queue = None;
    }
    if sending.queue.is_some() {
        sending.directory = sending.storing.directory(site).map_err(|problem| problem.under(path))?;
    }
    if sending.directory.is_some() {
        sending.be_kept();
    }
    Ok(sending)
}

pub(crate) trait AnyReceiver: Send + Sync {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>>;
    fn run(self: Box<Self>, out: Outlets, life: Life) -> BoxFuture<'static, Result<(), Fatal>>;
}

impl<R: Receiver> AnyReceiver for R {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>> {
        Box::pin(Component::start(self, life))
    }
    fn run(self: Box<Self>, out: Outlets, life: Life) -> BoxFuture<'static, Result<(), Fatal>> {
        Box::pin(Receiver::run(*self, out, life))
    }
}

struct Scraping<S> {
    scraper: S,
    settings: ScraperConfig,
}

impl<S: Scraper> AnyReceiver for Scraping<S> {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>> {
        Box::pin(self.scraper.start(life))
    }
    fn run(self: Box<Self>, out: Outlets, life: Life) -> BoxFuture<'static, Result<(), Fatal>> {
        Box::pin(scraping::run(self.scraper, self.settings, out, life))
    }
}

pub(crate) trait AnyTransform: Send + Sync {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>>;
    fn apply(&self, batch: &mut Batch) -> Result<(), Refused>;
    fn attend(&self, life: Life) -> BoxFuture<'_, ()>;
}

impl<T: Transform> AnyTransform for T {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>> {
        Box::pin(Component::start(self, life))
    }
    fn apply(&self, batch: &mut Batch) -> Result<(), Refused> {
        Transform::apply(self, batch)
    }
    fn attend(&self, life: Life) -> BoxFuture<'_, ()> {
        Box::pin(Transform::attend(self, life))
    }
}

pub(crate) trait AnyStage: Send + Sync {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>>;
    fn run(self: Box<Self>, inlet: Inlet, out: Outlet, life: Life) -> BoxFuture<'static, ()>;
}

impl<S: Stage> AnyStage for S {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>> {
        Box::pin(Component::start(self, life))
    }
    fn run(self: Box<Self>, inlet: Inlet, out: Outlet, life: Life) -> BoxFuture<'static, ()> {
        Box::pin(Stage::run(*self, inlet, out, life))
    }
}

pub(crate) trait AnyExporter: Send + Sync {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>>;
    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused>;
    fn sends(&self) -> bool;
    fn seal(&self, body: &mut Vec<u8>) -> Sealed;
    fn send<'a>(&'a self, request: &'a Request, n_before: u32) -> BoxFuture<'a, Result<(), ExportError>>;
    fn split(&self, request: &Request) -> Result<Option<[Request; 2]>, ExportError>;
    fn make_room(&self) -> BoxFuture<'_, bool>;
}

impl<E: Exporter> AnyExporter for E {
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>> {
        Box::pin(Component::start(self, life))
    }
    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        Exporter::encode(self, batch, bodies)
    }
    fn sends(&self) -> bool {
        E::SENDS
    }
    fn seal(&self, body: &mut Vec<u8>) -> Sealed {
        Exporter::seal(self, body)
    }
    fn send<'a>(&'a self, request: &'a Request, n_before: u32) -> BoxFuture<'a, Result<(), ExportError>> {
        Box::pin(Exporter::send(self, request, n_before))
    }
    fn split(&self, request: &Request) -> Result<Option<[Request; 2]>, ExportError> {
        Exporter::split(self, request)
    }
    fn make_room(&self) -> BoxFuture<'_, bool> {
        Box::pin(Exporter::make_room(self))
    }
}

pub(crate) trait AnyExtension: Send + Sync {
    fn storage(&self) -> Option<PathBuf>;
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>>;
    fn run(self: Box<Self>, life: Life) -> BoxFuture<'static, Result<(), Fatal>>;
}

impl<E: Extension> AnyExtension for E {
    fn storage(&self) -> Option<PathBuf> {
        Extension::storage(self)
    }
    fn start<'a>(&'a mut self, life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>> {
        Box::pin(Component::start(self, life))
    }
    fn run(self: Box<Self>, life: Life) -> BoxFuture<'static, Result<(), Fatal>> {
        Box::pin(Extension::run(*self, life))
    }
}
