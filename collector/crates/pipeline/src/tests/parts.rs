//! Scripted components. What they do is seen through a [`Board`] that the test and the components share by name.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use config::{Period, Problem};
use model::{Batch, Frames, Signal, Signals, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    Backoff, Bodies, Component, Entry, ExportError, Exporter, Extension, Fatal, Inlet, Joining, Life, Outlet,
    Outlets, Queueing, Receiver, Refused, Registry, Request, ScrapeError, Scraper, Sending, SendingConfig,
    SendingDefaults, Site, Stage, Transform,
};

/// What happened, and what the parts shall do, for one test.
#[derive(Default)]
pub(super) struct Board {
    /// Events in order, such as `receiver in started` or `out got a+b`.
    pub(super) events: Mutex<Vec<String>>,
    /// Answers that the exporter gives before it accepts: `later`, `never`, `hang`.
    pub(super) answers: Mutex<Vec<&'static str>>,
    feeds: Mutex<HashMap<String, mpsc::Sender<Fed>>>,
}

/// A batch that a receiver shall send, and where the answer goes.
type Fed = (Batch, tokio::sync::oneshot::Sender<Result<(), Refused>>);

static BOARDS: LazyLock<Mutex<HashMap<String, Arc<Board>>>> = LazyLock::new(Mutex::default);

/// The board of this name; made when it is asked for first.
pub(super) fn board(name: &str) -> Arc<Board> {
    Arc::clone(BOARDS.lock().unwrap().entry(name.to_owned()).or_default())
}

impl Board {
    pub(super) fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
    }

    pub(super) fn take_events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    /// Lets the receiver `id` send a batch and gives back what its pipelines said.
    pub(super) async fn send(&self, id: &str, batch: Batch) -> Result<(), Refused> {
        let feed = self.feeds.lock().unwrap().get(id).cloned().expect("the receiver runs");
        let (answer, answered) = tokio::sync::oneshot::channel();
        feed.send((batch, answer)).await.expect("the receiver runs");
        answered.await.expect("the receiver answers")
    }
}

/// A batch of one item whose resource message is just this text.
pub(super) fn text(signal: Signal, text: &'static str) -> Batch {
    Batch::from_frames(signal, Frames { resources: vec![Bytes::from_static(text.as_bytes())], n_items: 1 })
}

fn words(batch: &Batch) -> Vec<String> {
    match batch {
        Batch::Logs(frames) | Batch::Traces(frames) | Batch::Metrics(model::Metrics::Otlp(frames)) => {
            frames.resources.iter().map(|resource| String::from_utf8_lossy(resource).into_owned()).collect()
        }
        Batch::Metrics(model::Metrics::Scrape(_)) => vec!["scrape".to_owned()],
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct Config {
    /// Name of the test's board.
    board: String,
    /// Something that can change from one configuration to the next.
    #[serde(default)]
    version: u32,
    /// Makes `start` fail.
    #[serde(default)]
    fails: bool,
}

/// What tells one kind of scripted component from another.
pub(super) trait Role: Send + Sync + 'static {
    const TYPE: &'static str;
    const SIGNALS: Signals = Signals::ALL;
}

/// A scripted component; its role decides which trait it has.
pub(super) struct Scripted<R> {
    board: Arc<Board>,
    id: String,
    fails: bool,
    role: PhantomData<R>,
}

impl<R: Role> Component for Scripted<R> {
    const TYPE: &'static str = R::TYPE;
    const SIGNALS: Signals = R::SIGNALS;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        if config.version == 13 {
            return Err(vec![Problem::at("version", "13 is refused")]);
        }
        Ok(Self {
            board: board(&config.board),
            id: site.id.to_string(),
            fails: config.fails,
            role: PhantomData,
        })
    }

    async fn start(&mut self, _life: &Life) -> Result<(), Fatal> {
        if self.fails {
            return Err(Fatal::new(format!("starting {}", self.id), "scripted"));
        }
        self.board.note(format!("{} started", self.id));
        Ok(())
    }
}

pub(super) struct InRole;

impl Role for InRole {
    const TYPE: &'static str = "in";
}

pub(super) type In = Scripted<InRole>;

impl Receiver for In {
    async fn run(self, out: Outlets, life: Life) -> Result<(), Fatal> {
        let (feed, mut fed) = mpsc::channel(1);
        self.board.feeds.lock().unwrap().insert(self.id.clone(), feed);
        loop {
            tokio::select! {
                received = fed.recv() => {
                    let Some((batch, answer)) = received else { return Ok(()) };
                    drop(answer.send(out.via("test").send(batch).await));
                }
                () = life.stopped() => {
                    self.board.note(format!("{} stopped", self.id));
                    return Ok(());
                }
            }
        }
    }
}

/// Answers every second.
pub(super) struct AskedRole;

impl Role for AskedRole {
    const TYPE: &'static str = "asked";
    const SIGNALS: Signals = Signals::METRICS;
}

pub(super) type Asked = Scripted<AskedRole>;

impl Scraper for Asked {
    const EVERY: Period = Period::from_secs(10);
    async fn scrape(&mut self, _now: Timestamp) -> Result<Batch, ScrapeError> {
        let answer = self.board.answers.lock().unwrap().pop();
        match answer {
            Some("hang") => std::future::pending().await,
            Some(_) => Err(ScrapeError {
                doing: "reading the script".to_owned(),
                partial: None,
                n_errors: 1,
                source: None,
            }),
            None => Ok(text(Signal::Metrics, "answer")),
        }
    }
}

/// Puts a `!` behind every resource, and refuses `poison`.
pub(super) struct ShoutRole;

impl Role for ShoutRole {
    const TYPE: &'static str = "shout";
}

pub(super) type Shout = Scripted<ShoutRole>;

impl Transform for Shout {
    fn apply(&self, batch: &mut Batch) -> Result<(), Refused> {
        if let Batch::Logs(frames) | Batch::Traces(frames) = batch {
            for resource in &mut frames.resources {
                if **resource == *b"poison" {
                    return Err(Refused::Never { reason: "poison".to_owned() });
                }
                *resource = [resource, &b"!"[..]].concat().into();
            }
        }
        Ok(())
    }
}

/// Holds everything back until it is told to finish.
pub(super) struct HoldRole;

impl Role for HoldRole {
    const TYPE: &'static str = "hold";
}

pub(super) type Hold = Scripted<HoldRole>;

impl Stage for Hold {
    async fn run(self, mut inlet: Inlet, out: Outlet, _life: Life) {
        let mut held = Vec::new();
        while let Some(batch) = inlet.receive().await {
            held.push(batch);
        }
        self.board.note(format!("{} lets {} go", self.id, held.len()));
        for batch in held {
            out.send(batch).await.expect("what is behind the stage outlives it");
        }
    }
}

/// Turns traces into logs.
pub(super) struct TurnRole;

impl Role for TurnRole {
    const TYPE: &'static str = "turn";
}

pub(super) type Turn = Scripted<TurnRole>;

impl Stage for Turn {
    async fn run(self, mut inlet: Inlet, out: Outlet, _life: Life) {
        while let Some(batch) = inlet.receive().await {
            if let Batch::Traces(frames) = batch {
                out.send(Batch::Logs(frames)).await.expect("what is behind the stage outlives it");
            }
        }
    }
}

/// Notes what it is given; answers as the board says.
pub(super) struct OutRole;

impl Role for OutRole {
    const TYPE: &'static str = "out";
}

pub(super) type Out = Scripted<OutRole>;

impl Exporter for Out {
    const DEFAULTS: SendingDefaults = SendingDefaults {
        timeout: Some(Duration::from_secs(5)),
        retry: Backoff { randomization: 0.0, ..Backoff::HELPER },
        queue: Some(Queueing { capacity: 2, n_consumers: 1, ..Queueing::HELPER }),
        uses_data_dir: false,
    };

    fn sending(_config: &Config, common: &SendingConfig) -> Sending {
        Sending::new(common, &Self::DEFAULTS)
    }

    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        for word in words(batch) {
            let body = bodies.first();
            if !body.bytes.is_empty() {
                body.bytes.push(b'+');
            }
            body.bytes.extend_from_slice(word.as_bytes());
            body.note(1, Timestamp(0));
        }
        Ok(())
    }

    async fn send(&self, request: &Request, _n_before: u32) -> Result<(), ExportError> {
        let answer = self.board.answers.lock().unwrap().pop();
        let words = String::from_utf8_lossy(&request.payload).into_owned();
        match answer {
            Some("hang") => std::future::pending().await,
            Some("later") => {
                self.board.note(format!("{} refused {words}", self.id));
                Err(ExportError::later("scripted"))
            }
            Some(_) => Err(ExportError::never("rejected", "scripted")),
            None => {
                self.board.note(format!("{} got {words}", self.id));
                Ok(())
            }
        }
    }
}

/// As [`Out`], joining items for half a second.
pub(super) struct Join(Out);

impl Component for Join {
    const TYPE: &'static str = "join";
    const SIGNALS: Signals = Signals::ALL;
    type Config = Config;
    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        Out::build(config, site).map(Self)
    }
}

impl Exporter for Join {
    const DEFAULTS: SendingDefaults = SendingDefaults {
        queue: Some(Queueing {
            joining: Some(Joining {
                deadline: Duration::from_millis(500),
                min_items: 3,
                min_bytes: usize::MAX,
            }),
            ..Queueing::HELPER
        }),
        ..Out::DEFAULTS
    };
    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        self.0.encode(batch, bodies)
    }
    async fn send(&self, request: &Request, n_before: u32) -> Result<(), ExportError> {
        self.0.send(request, n_before).await
    }
}

/// As [`Out`], holding what only one can have.
pub(super) struct Only(Out);

impl Component for Only {
    const TYPE: &'static str = "only";
    const SIGNALS: Signals = Signals::ALL;
    type Config = Config;
    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        Out::build(config, site).map(Self)
    }
    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        self.0.start(life).await
    }
}

impl Exporter for Only {
    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        self.0.encode(batch, bodies)
    }
    async fn send(&self, request: &Request, n_before: u32) -> Result<(), ExportError> {
        self.0.send(request, n_before).await
    }
    async fn make_room(&self) -> bool {
        self.0.board.note(format!("{} made room", self.0.id));
        true
    }
}

pub(super) struct BesideRole;

impl Role for BesideRole {
    const TYPE: &'static str = "beside";
    const SIGNALS: Signals = Signals::NONE;
}

pub(super) type Beside = Scripted<BesideRole>;

impl Extension for Beside {
    async fn run(self, life: Life) -> Result<(), Fatal> {
        life.stopped().await;
        self.board.note(format!("{} stopped", self.id));
        Ok(())
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct StoreConfig {
    /// Name of the test's board.
    board: String,
    /// Where components keep what must survive.
    directory: String,
}

/// Offers a directory.
pub(super) struct Store(StoreConfig);

impl Component for Store {
    const TYPE: &'static str = "store";
    const SIGNALS: Signals = Signals::NONE;
    type Config = StoreConfig;
    fn build(config: StoreConfig, _site: &Site) -> Result<Self, Vec<Problem>> {
        Ok(Self(config))
    }
}

impl Extension for Store {
    fn storage(&self) -> Option<PathBuf> {
        Some(PathBuf::from(&self.0.directory))
    }
    async fn run(self, life: Life) -> Result<(), Fatal> {
        life.stopped().await;
        board(&self.0.board).note("store stopped".to_owned());
        Ok(())
    }
}

pub(super) const REGISTRY: Registry = Registry {
    entries: &[
        Entry::receiver::<In>(),
        Entry::scraper::<Asked>(),
        Entry::transform::<Shout>(),
        Entry::stage::<Hold>(),
        Entry::connector::<Turn>(),
        Entry::exporter::<Out>(),
        Entry::exporter::<Join>(),
        Entry::exporter::<Only>(),
        Entry::extension::<Beside>(),
        Entry::extension::<Store>(),
    ],
    version: "0.0.0",
};
