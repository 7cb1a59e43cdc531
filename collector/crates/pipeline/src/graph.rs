//! The running graph: started, rewired, drained and stopped as one.
//!
//! A reload compares component by component. What did not change keeps running, with its connections, queues and caches;
//! only its outlets are connected anew. Everything new is built before anything old is stopped, so a configuration that
//! cannot be built changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::Node;
use futures_util::future::{BoxFuture, join_all};
use model::{Batch, Signal};
use telemetry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::entry::{AnyExtension, AnyReceiver, AnyTransform, Built};
use crate::exporting::{Door, Exporting};
use crate::flow::{Consume, Outlet, Outlets};
use crate::metrics::{ProcessorCounters, ReceiverCounters};
use crate::plan::{PlannedPipeline, downstream_order};
use crate::stage::{Inlet, StageEntrance};
use crate::storing::warn_of_strays;
use crate::{ComponentId, ComponentKind, Fatal, Health, Life, PipelineId, Plan, Refused, Sending, Stop};

/// Longest time that a receiver or an extension may take to end.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Longest time that stages and queues may take to hand over what they hold at the end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// What a component was made from; equal sources mean that it need not be touched.
#[derive(Clone, PartialEq)]
struct Source {
    component_type: &'static str,
    node: Arc<Node>,
}

struct Running {
    source: Source,
    stop: Stop,
    task: JoinHandle<()>,
}

struct RunningReceiver {
    running: Running,
    outlets: Outlets,
}

enum Step {
    Transform(Arc<TransformStep>),
    Stage(Arc<StageEntrance>),
}

struct RunningStep {
    step: Step,
    outlet: Outlet,
    running: Running,
}

struct RunningExporter {
    source: Source,
    exporting: Arc<Exporting>,
    /// Whether it made room for another one, so that it cannot stay.
    is_leaving: bool,
}

impl RunningExporter {
    fn is(&self, source: &Source) -> bool {
        !self.is_leaving && self.source == *source
    }
}

/// A processor of one pipeline, or a connector (which stands in none).
type StepKey = (Option<PipelineId>, ComponentId);

type ExporterKey = (ComponentId, Signal);

/// Components that were built and not yet started, by the place they will take.
#[derive(Default)]
struct Fresh {
    extensions: BTreeMap<ComponentId, (Source, Box<dyn AnyExtension>)>,
    receivers: BTreeMap<ComponentId, (Source, Box<dyn AnyReceiver>)>,
    steps: BTreeMap<StepKey, (Source, Built)>,
    exporters: BTreeMap<ExporterKey, (Source, Built)>,
}

/// What a plan asks for: every place and what it is made from.
#[derive(Default)]
struct Wanted {
    extensions: BTreeMap<ComponentId, Source>,
    receivers: BTreeMap<ComponentId, Source>,
    steps: BTreeMap<StepKey, Source>,
    exporters: BTreeMap<ExporterKey, Source>,
}

/// The running graph.
pub struct Graph {
    telemetry: Registry,
    health: watch::Sender<Health>,
    failed: (mpsc::Sender<Fatal>, mpsc::Receiver<Fatal>),
    extensions: BTreeMap<ComponentId, Running>,
    receivers: BTreeMap<ComponentId, RunningReceiver>,
    steps: BTreeMap<StepKey, RunningStep>,
    exporters: BTreeMap<ExporterKey, RunningExporter>,
    pipelines: Vec<PlannedPipeline>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("pipelines", &self.pipelines).finish_non_exhaustive()
    }
}

impl Graph {
    /// A graph without components.
    #[must_use]
    pub fn new(telemetry: Registry) -> Self {
        Self {
            telemetry,
            health: watch::Sender::new(Health::Starting),
            failed: mpsc::channel(16),
            extensions: BTreeMap::new(),
            receivers: BTreeMap::new(),
            steps: BTreeMap::new(),
            exporters: BTreeMap::new(),
            pipelines: Vec::new(),
        }
    }

    /// Brings the graph to what the plan says. Also the way to start: from nothing to the first plan.
    ///
    /// # Errors
    /// When a component cannot start. Nothing was changed when building failed; when starting failed, components
    /// that had to make room are gone, and applying the plan from before brings them back.
    pub async fn apply(&mut self, plan: &Plan) -> Result<(), Fatal> {
        let wanted = wanted(plan);
        let fresh = self.build(plan, &wanted)?;
        self.stop_receivers(|id, source| wanted.receivers.get(id) != Some(source)).await;
        self.stop_extensions(|id, source| wanted.extensions.get(id) != Some(source)).await;
        self.start_extensions(plan, fresh.extensions).await?;
        self.make_room(&wanted).await;
        let old_exporters = self.start_exporters(fresh.exporters, &wanted).await?;
        let (old_steps, mut outcome) = match self.start_steps(fresh.steps, &wanted).await {
            Ok(old_steps) => (old_steps, Ok(())),
            Err(fatal) => (Vec::new(), Err(fatal)),
        };
        if outcome.is_ok() {
            self.pipelines.clone_from(&plan.pipelines);
            self.connect();
            outcome = self.start_receivers(fresh.receivers).await;
        }
        // What was exchanged still holds data, also when the rest of the plan could not start.
        drain_steps(old_steps).await;
        drain_exporters(old_exporters).await;
        outcome?;
        let directories = self.exporters.values().filter_map(|exporter| exporter.exporting.directory());
        warn_of_strays(directories.map(Path::to_owned).collect()).await;
        self.health.send_replace(Health::Ready);
        Ok(())
    }

    /// Returns when a component has failed for good.
    pub async fn failed(&mut self) -> Fatal {
        match self.failed.1.recv().await {
            Some(fatal) => fatal,
            // The sender is held beside the receiver, so the channel cannot close.
            None => std::future::pending().await,
        }
    }

    /// Whether data flows.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Stops everything in the direction of the data: receivers, processors, exporters, extensions. What is in stages and
    /// queues is sent on within a deadline; what could not be sent is counted and logged.
    pub async fn shut_down(mut self) {
        self.health.send_replace(Health::Stopping);
        self.stop_receivers(|_, _| true).await;
        let mut steps = std::mem::take(&mut self.steps);
        for index in downstream_order(&self.pipelines) {
            let pipeline = &self.pipelines[index];
            for id in &pipeline.processors {
                let step = steps.remove(&(Some(pipeline.id.clone()), id.clone()));
                drain_steps(step.into_iter().collect()).await;
            }
            for id in &pipeline.feeds {
                let fed_elsewhere =
                    |other: &usize| *other != index && self.pipelines[*other].feeds.contains(id);
                let order = downstream_order(&self.pipelines);
                let is_last_feeder = !order.iter().skip_while(|other| **other != index).any(fed_elsewhere);
                if is_last_feeder {
                    drain_steps(steps.remove(&(None, id.clone())).into_iter().collect()).await;
                }
            }
        }
        drain_exporters(std::mem::take(&mut self.exporters).into_values().collect()).await;
        self.stop_extensions(|_, _| true).await;
    }

    fn life(&self, id: &ComponentId, stop: &Stop) -> Life {
        Life::new(id.clone(), stop.clone(), self.health.subscribe(), self.telemetry.clone())
    }

    /// Builds what the graph does not have yet. Opens nothing.
    fn build(&self, plan: &Plan, wanted: &Wanted) -> Result<Fresh, Fatal> {
        let mut fresh = Fresh::default();
        for (id, source) in &wanted.extensions {
            if self.extensions.get(id).is_some_and(|running| running.source == *source) {
                continue;
            }
            if let Built::Extension(extension) = build_one(plan, ComponentKind::Extension, id, None)? {
                fresh.extensions.insert(id.clone(), (source.clone(), extension));
            }
        }
        for (id, source) in &wanted.receivers {
            if self.receivers.get(id).is_some_and(|receiver| receiver.running.source == *source) {
                continue;
            }
            if let Built::Receiver(receiver) = build_one(plan, ComponentKind::Receiver, id, None)? {
                fresh.receivers.insert(id.clone(), (source.clone(), receiver));
            }
        }
        for (key, source) in &wanted.steps {
            if self.steps.get(key).is_some_and(|step| step.running.source == *source) {
                continue;
            }
            let (pipeline, id) = key;
            let kind = if pipeline.is_some() { ComponentKind::Processor } else { ComponentKind::Connector };
            let signal = pipeline.as_ref().map(|pipeline| pipeline.signal);
            fresh.steps.insert(key.clone(), (source.clone(), build_one(plan, kind, id, signal)?));
        }
        for (key, source) in &wanted.exporters {
            if self.exporters.get(key).is_some_and(|exporter| exporter.is(source)) {
                continue;
            }
            let built = build_one(plan, ComponentKind::Exporter, &key.0, Some(key.1))?;
            fresh.exporters.insert(key.clone(), (source.clone(), built));
        }
        Ok(fresh)
    }

    async fn start_extensions(
        &mut self,
        plan: &Plan,
        mut fresh: BTreeMap<ComponentId, (Source, Box<dyn AnyExtension>)>,
    ) -> Result<(), Fatal> {
        for id in &plan.extensions {
            let Some((source, mut extension)) = fresh.remove(id) else { continue };
            let stop = Stop::new();
            let life = self.life(id, &stop);
            extension.start(&life).await?;
            let task = self.supervise(ComponentKind::Extension, id, extension.run(life));
            self.extensions.insert(id.clone(), Running { source, stop, task });
        }
        Ok(())
    }

    /// Exporters that will not stay give up their ports, which those that come may want.
    async fn make_room(&mut self, wanted: &Wanted) {
        for (key, exporter) in &mut self.exporters {
            let stays = wanted.exporters.get(key).is_some_and(|source| exporter.is(source));
            if !stays && exporter.exporting.make_room().await {
                exporter.is_leaving = true;
            }
        }
    }

    async fn start_exporters(
        &mut self,
        fresh: BTreeMap<ExporterKey, (Source, Built)>,
        wanted: &Wanted,
    ) -> Result<Vec<RunningExporter>, Fatal> {
        let mut started = Vec::new();
        for (key, (source, built)) in fresh {
            let Built::Exporter(mut exporter, sending) = built else { continue };
            exporter.start(&self.life(&key.0, &Stop::new())).await?;
            let door = self.take_directory(&sending).await;
            let exporting = Exporting::start(&key.0, key.1, exporter, *sending, &self.telemetry).await?;
            if let Some(door) = door {
                door.lead_to(&exporting);
            }
            started.push((key, RunningExporter { source, exporting, is_leaving: false }));
        }
        let is_old = |key: &ExporterKey| {
            !wanted.exporters.contains_key(key) || started.iter().any(|(started_key, _)| started_key == key)
        };
        let old_keys: Vec<ExporterKey> = self.exporters.keys().filter(|key| is_old(key)).cloned().collect();
        let old = old_keys.iter().filter_map(|key| self.exporters.remove(key)).collect();
        self.exporters.extend(started);
        Ok(old)
    }

    /// Lets a running exporter give up the directory that one which is about to start keeps its queue in.
    async fn take_directory(&mut self, sending: &Sending) -> Option<Door> {
        let wanted = sending.directory.as_deref()?;
        let holder =
            self.exporters.values_mut().find(|exporter| exporter.exporting.directory() == Some(wanted))?;
        // Whatever becomes of the new one, this one has no queue any more.
        holder.is_leaving = true;
        Some(holder.exporting.give_up_directory().await)
    }

    async fn start_steps(
        &mut self,
        fresh: BTreeMap<StepKey, (Source, Built)>,
        wanted: &Wanted,
    ) -> Result<Vec<RunningStep>, Fatal> {
        let mut started = Vec::new();
        for (key, (source, built)) in fresh {
            started.push((key.clone(), self.start_step(&key, source, built).await?));
        }
        let is_old = |key: &StepKey| {
            !wanted.steps.contains_key(key) || started.iter().any(|(started_key, _)| started_key == key)
        };
        let old_keys: Vec<StepKey> = self.steps.keys().filter(|key| is_old(key)).cloned().collect();
        let old = old_keys.iter().filter_map(|key| self.steps.remove(key)).collect();
        self.steps.extend(started);
        Ok(old)
    }

    async fn start_step(&self, key: &StepKey, source: Source, built: Built) -> Result<RunningStep, Fatal> {
        let (pipeline, id) = key;
        let stop = Stop::new();
        let life = self.life(id, &stop);
        let outlet = Outlet::default();
        let counters = pipeline.as_ref().map(|_| ProcessorCounters::new(&self.telemetry, id));
        let kind = if pipeline.is_some() { ComponentKind::Processor } else { ComponentKind::Connector };
        let (step, work): (Step, BoxFuture<'static, Result<(), Fatal>>) = match built {
            Built::Transform(mut transform) => {
                transform.start(&life).await?;
                let transform: Arc<dyn AnyTransform> = transform.into();
                let step =
                    TransformStep { transform: Arc::clone(&transform), outlet: outlet.clone(), counters };
                let work = async move {
                    transform.attend(life).await;
                    Ok(())
                };
                (Step::Transform(Arc::new(step)), Box::pin(work))
            }
            Built::Stage(mut stage) => {
                stage.start(&life).await?;
                let (entrance, inlet): (Arc<StageEntrance>, Inlet) = StageEntrance::new(counters.clone());
                let out = Outlet::default();
                out.connect(vec![Arc::new(CountedOutlet { outlet: outlet.clone(), counters })]);
                let work = async move {
                    stage.run(inlet, out, life).await;
                    Ok(())
                };
                (Step::Stage(entrance), Box::pin(work))
            }
            _ => {
                return Err(Fatal {
                    doing: format!("{kind} `{id}` is of another kind than its section"),
                    source: None,
                });
            }
        };
        let task = self.supervise(kind, id, work);
        Ok(RunningStep { step, outlet, running: Running { source, stop, task } })
    }

    async fn start_receivers(
        &mut self,
        fresh: BTreeMap<ComponentId, (Source, Box<dyn AnyReceiver>)>,
    ) -> Result<(), Fatal> {
        // Start all before one runs, so that a port in use is found before data flows.
        let mut started = Vec::new();
        for (id, (source, mut receiver)) in fresh {
            let stop = Stop::new();
            let life = self.life(&id, &stop);
            receiver.start(&life).await?;
            started.push((id, source, receiver, stop, life));
        }
        for (id, source, receiver, stop, life) in started {
            let outlets = Outlets::new(ReceiverCounters::new(&self.telemetry, &id));
            self.connect_receiver(&id, &outlets);
            let task = self.supervise(ComponentKind::Receiver, &id, receiver.run(outlets.clone(), life));
            self.receivers.insert(id, RunningReceiver { running: Running { source, stop, task }, outlets });
        }
        Ok(())
    }

    /// Runs a component's work and reports its end: an error is fatal, and so is a panic, which would be our bug.
    fn supervise(
        &self,
        kind: ComponentKind,
        id: &ComponentId,
        work: BoxFuture<'static, Result<(), Fatal>>,
    ) -> JoinHandle<()> {
        let failed = self.failed.0.clone();
        let work = tokio::spawn(work);
        let what = format!("{kind} `{id}`");
        tokio::spawn(async move {
            let abort = AbortOnDrop(work.abort_handle());
            let fatal = match work.await {
                Ok(Ok(())) => None,
                Ok(Err(fatal)) => {
                    Some(Fatal { doing: format!("{what} failed"), source: Some(Box::new(fatal)) })
                }
                Err(panicked) if panicked.is_panic() => {
                    Some(Fatal::new(format!("{what} panicked"), panicked))
                }
                Err(_aborted) => None,
            };
            drop(abort);
            if let Some(fatal) = fatal {
                // Nobody listens only when the graph is gone already.
                let _outcome = failed.try_send(fatal);
            }
        })
    }

    /// Joins every outlet to what stands behind it.
    fn connect(&self) {
        for pipeline in &self.pipelines {
            let mut next = self.ends(pipeline);
            for id in pipeline.processors.iter().rev() {
                let Some(step) = self.steps.get(&(Some(pipeline.id.clone()), id.clone())) else { continue };
                step.outlet.connect(next);
                next = vec![step.entrance()];
            }
        }
        for ((pipeline, id), step) in &self.steps {
            if pipeline.is_none() {
                let heads = self.pipelines.iter().filter(|pipeline| pipeline.fed_by.contains(id));
                step.outlet.connect(heads.flat_map(|pipeline| self.head(pipeline)).collect());
            }
        }
        for (id, receiver) in &self.receivers {
            self.connect_receiver(id, &receiver.outlets);
        }
    }

    fn connect_receiver(&self, id: &ComponentId, outlets: &Outlets) {
        for signal in Signal::ALL {
            let heads = self.pipelines.iter().filter(|p| p.id.signal == signal && p.receivers.contains(id));
            outlets.connect(signal, heads.flat_map(|pipeline| self.head(pipeline)).collect());
        }
    }

    /// What a batch meets first in a pipeline.
    fn head(&self, pipeline: &PlannedPipeline) -> Vec<Arc<dyn Consume>> {
        let first = pipeline
            .processors
            .first()
            .and_then(|id| self.steps.get(&(Some(pipeline.id.clone()), id.clone())));
        first.map_or_else(|| self.ends(pipeline), |step| vec![step.entrance()])
    }

    /// What a batch meets last in a pipeline.
    fn ends(&self, pipeline: &PlannedPipeline) -> Vec<Arc<dyn Consume>> {
        let exporters =
            pipeline.exporters.iter().filter_map(|id| self.exporters.get(&(id.clone(), pipeline.id.signal)));
        let exporters = exporters.map(|exporter| Arc::clone(&exporter.exporting) as Arc<dyn Consume>);
        let connectors = pipeline.feeds.iter().filter_map(|id| self.steps.get(&(None, id.clone())));
        exporters.chain(connectors.map(RunningStep::entrance)).collect()
    }

    async fn stop_receivers(&mut self, is_leaving: impl Fn(&ComponentId, &Source) -> bool) {
        let leaving: Vec<ComponentId> = self
            .receivers
            .iter()
            .filter(|(id, r)| is_leaving(id, &r.running.source))
            .map(|(id, _)| id.clone())
            .collect();
        let running =
            leaving.iter().filter_map(|id| self.receivers.remove(id)).map(|receiver| receiver.running);
        stop_all("receiver", running.collect()).await;
    }

    async fn stop_extensions(&mut self, is_leaving: impl Fn(&ComponentId, &Source) -> bool) {
        let leaving: Vec<ComponentId> = self
            .extensions
            .iter()
            .filter(|(id, e)| is_leaving(id, &e.source))
            .map(|(id, _)| id.clone())
            .collect();
        stop_all("extension", leaving.iter().filter_map(|id| self.extensions.remove(id)).collect()).await;
    }
}

impl RunningStep {
    fn entrance(&self) -> Arc<dyn Consume> {
        match &self.step {
            Step::Transform(transform) => Arc::clone(transform) as Arc<dyn Consume>,
            Step::Stage(stage) => Arc::clone(stage) as Arc<dyn Consume>,
        }
    }
}

/// A transform in its pipeline.
struct TransformStep {
    transform: Arc<dyn AnyTransform>,
    outlet: Outlet,
    counters: Option<ProcessorCounters>,
}

impl Consume for TransformStep {
    fn consume(&self, mut batch: Batch) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            if let Some(counters) = &self.counters {
                counters.incoming(batch.signal(), batch.n_items());
            }
            self.transform.apply(&mut batch)?;
            if let Some(counters) = &self.counters {
                counters.outgoing(batch.signal(), batch.n_items());
            }
            self.outlet.send(batch).await
        })
    }
}

/// Counts what leaves a stage.
struct CountedOutlet {
    outlet: Outlet,
    counters: Option<ProcessorCounters>,
}

impl Consume for CountedOutlet {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            if let Some(counters) = &self.counters {
                counters.outgoing(batch.signal(), batch.n_items());
            }
            self.outlet.send(batch).await
        })
    }
}

/// Ends the work when whoever waits for it is aborted.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn wanted(plan: &Plan) -> Wanted {
    let mut wanted = Wanted::default();
    let source = |kind: ComponentKind, id: &ComponentId| {
        plan.part(kind, id)
            .map(|part| Source { component_type: part.entry.component_type, node: Arc::clone(&part.node) })
    };
    for id in &plan.extensions {
        wanted.extensions.extend(source(ComponentKind::Extension, id).map(|source| (id.clone(), source)));
    }
    for pipeline in &plan.pipelines {
        for id in &pipeline.receivers {
            wanted.receivers.extend(source(ComponentKind::Receiver, id).map(|source| (id.clone(), source)));
        }
        for id in &pipeline.processors {
            let key = (Some(pipeline.id.clone()), id.clone());
            wanted.steps.extend(source(ComponentKind::Processor, id).map(|source| (key, source)));
        }
        for id in &pipeline.feeds {
            wanted
                .steps
                .extend(source(ComponentKind::Connector, id).map(|source| ((None, id.clone()), source)));
        }
        for id in &pipeline.exporters {
            let key = (id.clone(), pipeline.id.signal);
            wanted.exporters.extend(source(ComponentKind::Exporter, id).map(|source| (key, source)));
        }
    }
    wanted
}

fn build_one(
    plan: &Plan,
    kind: ComponentKind,
    id: &ComponentId,
    signal: Option<Signal>,
) -> Result<Built, Fatal> {
    let doing = || format!("building {kind} `{id}`");
    let part = plan.part(kind, id).ok_or_else(|| Fatal { doing: doing(), source: None })?;
    plan.build_part(part, id, signal).map_err(|problems| {
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Fatal::new(doing(), text.join("; "))
    })
}

async fn stop_all(what: &str, running: Vec<Running>) {
    for part in &running {
        part.stop.raise();
    }
    let ends = running.into_iter().map(|part| async move {
        let abort = part.task.abort_handle();
        if tokio::time::timeout(STOP_DEADLINE, part.task).await.is_err() {
            warn!(part = what, limit = ?STOP_DEADLINE, "did not end within STOP_DEADLINE and was aborted");
            abort.abort();
        }
    });
    join_all(ends).await;
}

async fn drain_steps(steps: Vec<RunningStep>) {
    for RunningStep { step, running, .. } in steps {
        match step {
            Step::Stage(entrance) => {
                entrance.close();
                let abort = running.task.abort_handle();
                if tokio::time::timeout(DRAIN_DEADLINE, running.task).await.is_err() {
                    error!(limit = ?DRAIN_DEADLINE, "a processor did not hand over what it held within DRAIN_DEADLINE");
                    abort.abort();
                }
            }
            Step::Transform(_) => stop_all("processor", vec![running]).await,
        }
    }
}

async fn drain_exporters(exporters: Vec<RunningExporter>) {
    join_all(exporters.iter().map(|exporter| exporter.exporting.drain(DRAIN_DEADLINE))).await;
    if !exporters.is_empty() {
        info!(exporters = exporters.len(), "exporters are drained");
    }
}
