//! The six traits of components, named by who owns the loop.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use config::Problem;
use model::{Batch, Signal, Signals, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    ComponentId, ExportError, Inlet, Life, Outlet, Outlets, Refused, Sending, SendingConfig, SendingDefaults,
};
use queue::Request;

/// What a component may know while it is built.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its id in the configuration.
    pub id: ComponentId,
    /// The signal it is built for; `None` for receivers and extensions, which serve all at once.
    pub signal: Option<Signal>,
    /// Where relative file names start.
    pub base_dir: PathBuf,
    /// The data directory of the process, where it was given one.
    pub data_dir: Option<PathBuf>,
    /// Directories that storage extensions offer, by extension id.
    pub storages: Arc<HashMap<String, PathBuf>>,
    /// Feature gates that were switched, by name.
    pub gates: Arc<HashMap<String, bool>>,
    /// Version of the program, for user agents and scopes.
    pub version: &'static str,
}

impl Site {
    /// A site outside a graph, for tests of parts.
    #[must_use]
    pub fn for_test(id: &str, signal: Option<Signal>) -> Self {
        Self {
            id: ComponentId::parse(id).unwrap_or_else(|_| ComponentId { kind: id.to_owned(), name: None }),
            signal,
            base_dir: PathBuf::from("."),
            data_dir: None,
            storages: Arc::default(),
            gates: Arc::default(),
            version: "0.0.0",
        }
    }

    /// Whether a feature gate that is on by default was switched off.
    #[must_use]
    pub fn is_switched_off(&self, gate: &str) -> bool {
        self.gates.get(gate) == Some(&false)
    }

    /// Whether a feature gate that is off by default was switched on.
    #[must_use]
    pub fn is_switched_on(&self, gate: &str) -> bool {
        self.gates.get(gate) == Some(&true)
    }

    /// The directory of the storage extension of this id.
    ///
    /// # Errors
    /// A problem at `key` when no such extension is configured and listed in `service::extensions`.
    pub fn storage(&self, key: &str, id: &str) -> Result<PathBuf, Problem> {
        self.storages.get(id).cloned().ok_or_else(|| {
            Problem::at(
                key,
                format!("no storage extension `{id}` is running; configure it under extensions and list it in service::extensions"),
            )
        })
    }
}

/// A thing that YAML can ask for by name.
pub trait Component: Sized + Send + Sync + 'static {
    /// The word before the slash in `otlp/gateway`.
    const TYPE: &'static str;
    /// Other spellings that load too.
    const ALIASES: &'static [&'static str] = &[];
    /// Why users should move on and what to, for components that others have removed.
    const DEPRECATED: Option<&'static str> = None;
    /// Which pipelines may list it.
    const SIGNALS: Signals;
    /// Its keys. Declared once: text, default and type.
    type Config: DeserializeOwned + Serialize + JsonSchema;

    /// Checked keys in, ready component out. Opens nothing and spawns nothing, so `validate` can call it.
    ///
    /// # Errors
    /// Rules between keys that the types cannot hold; paths are relative to the component's section.
    fn build(config: Self::Config, site: &Site) -> Result<Self, Vec<Problem>>;

    /// What a user should know though it works: warnings, with paths relative to the component's section.
    fn warnings(_config: &Self::Config) -> Vec<Problem> {
        Vec::new()
    }

    /// Called once before data flows: bind, connect, read what was kept.
    fn start(&mut self, _life: &Life) -> impl Future<Output = Result<(), Fatal>> + Send {
        ready(Ok(()))
    }
}

/// Listens or watches until `life` ends.
pub trait Receiver: Component {
    /// Whether it alone decides how much comes in and when, as whoever scrapes does ([`crate::Plan::sets_pace`]).
    const SETS_PACE: bool = false;

    /// Runs until `life` ends. An error ends the process, as upstream's fatal component status.
    fn run(self, out: Outlets, life: Life) -> impl Future<Output = Result<(), Fatal>> + Send;
}

/// Answers "what is it now?". Interval, delay, timeout and self-metrics are the spine's.
pub trait Scraper: Component {
    /// Default of `collection_interval`.
    const EVERY: config::Period;
    /// One answer. What is true of it is sent; an error is counted, and logged when it is not the one of the last scrape.
    fn scrape(&mut self, now: Timestamp) -> impl Future<Output = Result<Batch, ScrapeError>> + Send;
}

/// A step without time: no await, no clock, no I/O.
pub trait Transform: Component {
    /// Changes the batch in place, or refuses it.
    ///
    /// # Errors
    /// The refusal travels back to whoever sent the batch.
    fn apply(&self, batch: &mut Batch) -> Result<(), Refused>;

    /// Work beside the batches, until `life` ends (a memory limiter looks at the clock here).
    fn attend(&self, _life: Life) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// A step that owns time or memory, or that leaves in another signal.
pub trait Stage: Component {
    /// Runs until the inlet is closed and empty; what is held then is sent on before it returns.
    fn run(self, inlet: Inlet, out: Outlet, life: Life) -> impl Future<Output = ()> + Send;
}

/// Encodes once, sends once. Queue, retry, batching and timeout are the spine's.
pub trait Exporter: Component {
    /// Where the spine's defaults differ for this exporter.
    const DEFAULTS: SendingDefaults = SendingDefaults::HELPER;
    /// Whether anything is left to be done once a batch is encoded. Where nothing is, and there is no queue, [`Self::send`] is never
    /// called: what the bodies note is counted as sent.
    const SENDS: bool = true;

    /// Settings of queue and retry, for exporters that spell them in a way of their own.
    fn sending(_config: &Self::Config, common: &SendingConfig) -> Sending {
        Sending::new(common, &Self::DEFAULTS)
    }

    /// Appends what the batch says to open bodies. Bodies of one shard are sent in order.
    ///
    /// # Errors
    /// When the batch can never be exported; what was appended is thrown away then.
    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused>;

    /// Turns a full body into what goes over the wire: frames and compresses it. The body's memory is used again.
    fn seal(&self, body: &mut Vec<u8>) -> Sealed {
        Bytes::from(std::mem::take(body)).into()
    }

    /// Tries once. `n_before` attempts were made before this one.
    fn send(&self, request: &Request, n_before: u32) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// Cuts a request into two that together say the same, each with about half of the items; of one series the first has
    /// the older ones. `None` when it cannot be cut any smaller. Used where the endpoint finds a request too large or
    /// rejects it because of something in it.
    ///
    /// # Errors
    /// When the request cannot be read.
    fn split(&self, _request: &Request) -> Result<Option<[Request; 2]>, ExportError> {
        Ok(None)
    }

    /// Gives up what only one can have (a port), because a reload is about to start what takes its place. Says whether
    /// there was such a thing: then this exporter is good for nothing any more, though it may still be handed batches.
    fn make_room(&self) -> impl Future<Output = bool> + Send {
        ready(false)
    }
}

/// Lives beside the pipelines.
pub trait Extension: Component {
    /// The directory it offers to components that keep something on disk.
    fn storage(&self) -> Option<PathBuf> {
        None
    }

    /// Runs until `life` ends.
    fn run(self, life: Life) -> impl Future<Output = Result<(), Fatal>> + Send;
}

/// Request bodies that are being written, one a shard.
#[derive(Debug, Default)]
pub struct Bodies {
    pub(crate) bodies: Vec<Body>,
    /// Bodies that were closed because they are as large as a request may be, with their shards, in order.
    pub(crate) full: Vec<(usize, Body)>,
    pub(crate) n_dropped: u64,
}

impl Bodies {
    /// Empty bodies.
    #[must_use]
    pub fn new(n_shards: usize) -> Self {
        Self { bodies: vec![Body::default(); n_shards.max(1)], full: Vec::new(), n_dropped: 0 }
    }

    /// The shard that owns this hash.
    #[inline]
    #[must_use]
    pub fn shard(&self, hash: u64) -> usize {
        // Multiply-shift: as even as modulo, without the division.
        ((u128::from(hash) * self.bodies.len() as u128) >> 64) as usize
    }

    /// The open body of a shard.
    #[inline]
    pub fn of(&mut self, shard: usize) -> &mut Body {
        &mut self.bodies[shard]
    }

    /// Closes the open body of a shard because it is as large as a request may be; the next one begins.
    pub fn close(&mut self, shard: usize) {
        let body = std::mem::take(&mut self.bodies[shard]);
        self.full.push((shard, body));
    }

    /// The body of the first shard, for exporters that have no order to keep.
    pub fn first(&mut self) -> &mut Body {
        &mut self.bodies[0]
    }

    /// Counts items that cannot be exported, for the self-metrics.
    pub fn drop_items(&mut self, n_items: u64) {
        self.n_dropped += n_items;
    }

    /// All bodies in the order in which they are sent: closed ones, then what is open, by shard.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Body)> {
        let open = self.bodies.iter().enumerate().filter(|(_, body)| body.n_items > 0);
        self.full.iter().map(|(shard, body)| (*shard, body)).chain(open)
    }
}

/// A request body in the making.
#[derive(Debug, Default, Clone)]
pub struct Body {
    /// The encoded, uncompressed text of the request so far.
    pub bytes: Vec<u8>,
    /// Points, records or spans in it.
    pub n_items: usize,
    /// Time of the oldest of them.
    pub oldest: Option<Timestamp>,
    /// Time of the newest of them.
    pub newest: Option<Timestamp>,
}

/// A body that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// What will be sent.
    pub payload: Bytes,
    /// The exporter's own mark of how it is encoded; kept with the request ([`queue::Head::format`]).
    pub format: u8,
}

impl From<Bytes> for Sealed {
    /// Of an exporter that has but one way.
    fn from(payload: Bytes) -> Self {
        Self { payload, format: 0 }
    }
}

/// A component cannot go on; the process ends with this message.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Fatal {
    /// What was being attempted.
    pub doing: String,
    /// Why it failed.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Fatal {
    /// With the cause.
    pub fn new(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { doing: doing.into(), source: Some(source.into()) }
    }
}

/// A scraper has no answer this time.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct ScrapeError {
    /// What was being read.
    pub doing: String,
    /// What is true all the same.
    pub partial: Option<Box<Batch>>,
    /// How many things could not be read; at least one is counted.
    pub n_errors: u64,
    /// Why it failed.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
