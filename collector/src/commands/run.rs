//! Running a configuration: start, reload on SIGHUP, stop on SIGINT and SIGTERM.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZero;
use std::time::Duration;

use pipeline::{Graph, Plan, TelemetryConfig};
use telemetry::{Identity, Logs, Registry, error_chain, logs};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::commands::loading::{self, Loaded};
use crate::commands::{Failure, SourceArgs};
use crate::components::REGISTRY;
use crate::own_metrics::OwnMetrics;

/// Longest time from a stop signal to the end of the process.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(25);

/// Runs until a signal or a fatal failure ends it.
pub(crate) fn run(args: &SourceArgs) -> Result<(), Failure> {
    let loaded = loading::load(args)?;
    let n_workers = n_workers(args.worker_threads, &loaded.plan);
    let runtime = match n_workers.get() {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        n_workers => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(n_workers).enable_all().build()
        }
    };
    let runtime = runtime.map_err(|error| Failure(format!("Error: starting the runtime: {error}")))?;
    let outcome = runtime.block_on(Process::run(args, loaded, n_workers));
    // Everything that matters has been awaited; what is left may not hold the process up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// How many threads drive everything that waits. Bodies of more than 256 KiB, and the queue on disk, have threads of their
/// own besides.
///
/// Where nobody but us decides how much comes in, one thread is enough for more than a process can hold: at half a
/// microsecond a sample it scrapes some ten million series every 15 s. A second one would take over every other piece
/// of work from the first, and bring cold caches along. What others send is shared by all cores.
fn n_workers(asked: Option<NonZero<usize>>, plan: &Plan) -> NonZero<usize> {
    asked.unwrap_or_else(|| match plan.sets_pace() {
        true => NonZero::<usize>::MIN,
        false => std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
    })
}

/// The signals that we listen to.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// What wakes the process up.
enum Event {
    Stop(&'static str),
    Reload,
    Failed(pipeline::Fatal),
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self, graph: &mut Graph) -> Event {
        tokio::select! {
            _ = self.interrupt.recv() => Event::Stop("SIGINT"),
            _ = self.terminate.recv() => Event::Stop("SIGTERM"),
            _ = self.hangup.recv() => Event::Reload,
            fatal = graph.failed() => Event::Failed(fatal),
        }
    }
}

/// The running collector.
struct Process {
    logs: Logs,
    plan: Plan,
    graph: Graph,
    own_metrics: OwnMetrics,
    n_workers: NonZero<usize>,
}

impl Process {
    async fn run(args: &SourceArgs, loaded: Loaded, n_workers: NonZero<usize>) -> Result<(), Failure> {
        let mut signals =
            Signals::new().map_err(|error| Failure(format!("Error: listening to signals: {error}")))?;
        let telemetry = telemetry_of(&loaded.plan);
        let identity = identity(&telemetry);
        let logs = logs::init(&telemetry.logs.clone().unwrap_or_default(), &identity)
            .map_err(|error| Failure(format!("Error: {}", error_chain(&error))))?;
        for warning in loaded.warnings() {
            warn!("{warning}");
        }
        info!(version = REGISTRY.version, "Starting muster...");
        let registry = Registry::new();
        registry.observe_process();
        registry.describe(&identity);
        let mut own_metrics = OwnMetrics::new(registry.clone());
        own_metrics.listen(&telemetry).await.map_err(|failed| Failure(format!("Error: {failed}")))?;
        let mut graph = Graph::new(registry);
        if let Err(fatal) = graph.apply(&loaded.plan).await {
            graph.shut_down().await;
            return Err(Failure(format!("Error: cannot start: {}", error_chain(&fatal))));
        }
        info!("Everything is ready. Begin running and processing data.");
        let mut process = Self { logs, plan: loaded.plan, graph, own_metrics, n_workers };
        loop {
            match signals.next(&mut process.graph).await {
                Event::Stop(name) => {
                    info!(signal = name, "Received signal from OS");
                    return process.shut_down(&mut signals, None).await;
                }
                Event::Failed(fatal) => {
                    let reason = error_chain(&fatal);
                    error!(error = reason, "Asynchronous error received, terminating process");
                    return process.shut_down(&mut signals, Some(reason)).await;
                }
                Event::Reload => process.reload(args).await?,
            }
        }
    }

    /// Reads the configuration again and exchanges what changed. What is wrong with it is logged and changes nothing.
    async fn reload(&mut self, args: &SourceArgs) -> Result<(), Failure> {
        info!("Config updated, restart service");
        let loaded = match loading::load(args) {
            Ok(loaded) => loaded,
            Err(Failure(text)) => {
                for line in text.lines() {
                    error!("{line}");
                }
                error!("the new configuration is wrong; the old one keeps running");
                return Ok(());
            }
        };
        for warning in loaded.warnings() {
            warn!("{warning}");
        }
        let wanted = n_workers(args.worker_threads, &loaded.plan);
        if wanted != self.n_workers {
            let (running, wanted) = (self.n_workers.get(), wanted.get());
            warn!(
                running,
                wanted,
                "the new configuration asks for another number of worker threads; it has them after a restart"
            );
        }
        if let Err(fatal) = self.graph.apply(&loaded.plan).await {
            error!(
                error = error_chain(&fatal),
                "the new configuration cannot start; the old one keeps running"
            );
            return self.graph.apply(&self.plan).await.map_err(|fatal| {
                Failure(format!(
                    "Error: the old configuration could not be taken up again: {}",
                    error_chain(&fatal)
                ))
            });
        }
        let telemetry = telemetry_of(&loaded.plan);
        self.logs.set_level(telemetry.logs.clone().unwrap_or_default().level);
        if let Err(failed) = self.own_metrics.listen(&telemetry).await {
            error!("{failed}; own metrics stay where they were");
        }
        self.plan = loaded.plan;
        info!("the new configuration runs");
        Ok(())
    }

    /// Stops in order. A second stop signal ends the wait.
    async fn shut_down(self, signals: &mut Signals, failure: Option<String>) -> Result<(), Failure> {
        info!("Starting shutdown...");
        let is_complete = tokio::select! {
            () = self.graph.shut_down() => true,
            () = tokio::time::sleep(SHUTDOWN_DEADLINE) => {
                error!(limit = ?SHUTDOWN_DEADLINE, "shutdown did not end within SHUTDOWN_DEADLINE");
                false
            }
            _ = signals.interrupt.recv() => false,
            _ = signals.terminate.recv() => false,
        };
        if is_complete {
            info!("Shutdown complete.");
        } else {
            warn!("shutdown was cut short");
        }
        let mut own_metrics = self.own_metrics;
        own_metrics.stop().await;
        failure.map_or(Ok(()), |reason| Err(Failure(format!("Error: {reason}"))))
    }
}

fn telemetry_of(plan: &Plan) -> TelemetryConfig {
    plan.service.telemetry.clone().unwrap_or_default()
}

/// Who we are, after `service.telemetry.resource`.
fn identity(telemetry: &TelemetryConfig) -> Identity {
    let mut identity = Identity {
        name: "muster".to_owned(),
        version: REGISTRY.version.to_owned(),
        instance_id: instance_id(),
        others: BTreeMap::new(),
    };
    for (key, value) in telemetry.resource.iter().flatten() {
        let text = match value {
            None => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        match key.as_str() {
            "service.name" => identity.name = text,
            "service.version" => identity.version = text,
            "service.instance.id" => identity.instance_id = text,
            _ => drop(identity.others.insert(key.clone(), text)),
        }
    }
    identity
}

/// A random UUID (version 4).
fn instance_id() -> String {
    // Two fresh states are keyed anew each; that is random enough to tell instances apart.
    let bits = [RandomState::new(), RandomState::new()].map(|state| state.build_hasher().finish());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&bits[0].to_be_bytes());
    bytes[8..].copy_from_slice(&bits[1].to_be_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
