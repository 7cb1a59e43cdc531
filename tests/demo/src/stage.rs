//! The running world of the demo, and the loop that keeps it as ordered.
//!
//! The stage plays the part of Kubernetes: it starts scrapers in order of their ordinals, tells the allocator who
//! is a member by a file, ends the last ones first, each when the allocator shows that others have taken over, and brings
//! back what was killed. One task owns all processes
//! and looks at them ten times a second; everyone else reads a [`View`] and sends [`Order`]s.

mod scraper;

use std::convert::Infallible;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use world::child::{Child, binary, free_port};
use world::fleet::{self, Fleet};
use world::http;
use world::peers::{self, Mode, Peer};
use world::sink::Sink;

use crate::args::MAX_SCRAPERS;
use crate::configs;
use crate::say;
use scraper::{Meter, Phase, Scraper};

const TICK: Duration = Duration::from_millis(100);
/// A scraper that was told to end and has not done so by then is killed.
const LEAVING: Duration = Duration::from_secs(15);
/// A scraper that is away for longer than this is no longer a member: its targets go to the others.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// A killed scraper is started again after this.
pub(crate) const SCRAPER_RESTART: Duration = Duration::from_secs(30);
/// A killed allocator is started again after this.
pub(crate) const ALLOCATOR_RESTART: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_secs(5);

/// What is to be built.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) targets: usize,
    pub(crate) interval: Duration,
    pub(crate) scrapers: usize,
    pub(crate) prometheus: bool,
}

/// Something the stage is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    Add,
    Remove,
    Scale(usize),
    Kill(String),
    Start(String),
    KillAllocator,
}

/// One process as the page shows it.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct ProcessView {
    pub(crate) id: String,
    /// `starting`, `up`, `leaving` or `down`.
    pub(crate) phase: &'static str,
    pub(crate) pid: Option<u32>,
    pub(crate) cpu_percent: f64,
    pub(crate) rss_bytes: u64,
    /// When a process that is down is started again.
    pub(crate) back_in_seconds: Option<u64>,
    /// Whether the allocator gives it targets.
    pub(crate) member: bool,
    /// Its own page.
    pub(crate) url: String,
}

/// All processes.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct View {
    pub(crate) allocator: ProcessView,
    pub(crate) scrapers: Vec<ProcessView>,
    pub(crate) prometheus: Option<String>,
}

impl View {
    /// Whether exactly this many scrapers are up and members.
    pub(crate) fn is_steady(&self, scrapers: usize) -> bool {
        self.allocator.phase == "up"
            && self.scrapers.len() == scrapers
            && self.scrapers.iter().all(|scraper| scraper.phase == "up" && scraper.member)
    }
}

type Ordered = (Order, oneshot::Sender<Result<(), String>>);

/// What the page and the script need of the stage.
#[derive(Debug, Clone)]
pub(crate) struct Actors {
    pub(crate) plan: Plan,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) view: watch::Receiver<View>,
    orders: mpsc::Sender<Ordered>,
}

impl Actors {
    /// Asks the stage to do something; the error says why it will not.
    pub(crate) async fn order(&self, order: Order) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let gone = || "the stage is closed".to_owned();
        self.orders.send((order, answer)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Everything that runs. The temporary folder is the last field: it goes after the processes that write to it.
#[derive(Debug)]
pub(crate) struct Stage {
    plan: Plan,
    scrapers: Vec<Scraper>,
    allocator: Allocator,
    prometheus: Option<Peer>,
    sink: Arc<Sink>,
    members: String,
    orders: mpsc::Receiver<Ordered>,
    view: watch::Sender<View>,
    folder: TempDir,
}

#[derive(Debug)]
struct Allocator {
    child: Child,
    url: String,
    phase: Phase,
    meter: Meter,
}

impl Stage {
    /// Starts fleet, sink, allocator and scrapers, and Prometheus where it is installed and wanted.
    pub(crate) async fn set(plan: Plan) -> Result<(Stage, Actors)> {
        binary("muster")?;
        let folder = tempfile::Builder::new().prefix("muster-demo-").tempdir().context("making a folder")?;
        let fleet = Fleet::start(fleet::demo(plan.targets, plan.interval)).await;
        let fleet = Arc::new(fleet.context("starting the fleet")?);
        let sink = Arc::new(Sink::start().await.context("starting the sink")?);
        let jobs = fleet.jobs();
        for job in &jobs {
            let path = folder.path().join(format!("{job}.json"));
            fs::write(&path, fleet.groups(job).to_string()).context("writing the targets' files")?;
        }
        let port = free_port()?;
        let config = configs::allocator(port, plan.interval, &jobs, folder.path());
        fs::write(folder.path().join("allocator.yaml"), config)
            .context("writing the allocator's configuration")?;
        let wanted = plan.prometheus && peers::find("prometheus").is_some();
        let prometheus = match wanted {
            true => Some(peers::prometheus(Mode::Server, configs::PROMETHEUS).await?),
            false => None,
        };
        let allocator = Allocator {
            child: start_allocator(&folder)?,
            url: format!("http://127.0.0.1:{port}"),
            phase: Phase::Starting,
            meter: Meter::default(),
        };
        let (orders, received) = mpsc::channel(8);
        let (sender, view) = watch::channel(View::default());
        let actors = Actors { plan: plan.clone(), fleet, sink: sink.clone(), view, orders };
        let mut stage = Stage {
            scrapers: Vec::new(),
            allocator,
            prometheus,
            sink,
            members: String::new(),
            orders: received,
            view: sender,
            folder,
            plan,
        };
        for _ in 0..stage.plan.scrapers {
            stage.add()?;
        }
        // The first ones are members before they are ready: the allocator waits for a list, and they wait for it.
        stage.scrapers.iter_mut().for_each(|scraper| scraper.member = true);
        stage.admit()?;
        Ok((stage, actors))
    }

    /// Keeps everything as ordered, until a process fails that never worked.
    pub(crate) async fn run(&mut self) -> Result<Infallible> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look().await?,
                Some((order, answer)) = self.orders.recv() => {
                    let done = self.follow(order);
                    // A page that was closed meanwhile does not want to know.
                    answer.send(done.map_err(|error| format!("{error:#}"))).ok();
                }
            }
        }
    }

    /// Ends every process: all are asked first, then each gets the rest of a few seconds. Logs and configurations go
    /// with them unless they are to be kept.
    pub(crate) async fn end(mut self, keep: bool) {
        let children = self.scrapers.iter_mut().map(|scraper| &mut scraper.child);
        let mut children = children.chain([&mut self.allocator.child]).collect::<Vec<_>>();
        for child in &mut children {
            child.signal(world::child::Signal::TERM).ok();
        }
        let deadline = Instant::now() + END;
        for child in children {
            child.terminate(deadline.saturating_duration_since(Instant::now())).await.ok();
        }
        if keep {
            say(&format!("logs and configurations are kept in {}", self.folder.keep().display()));
        }
    }

    async fn look(&mut self) -> Result<()> {
        self.look_at_allocator().await?;
        self.end_drained().await?;
        for index in 0..self.scrapers.len() {
            self.scrapers[index].look().await?;
            if self.scrapers[index].wants_start() {
                let config = self.config_of(self.scrapers[index].ordinal)?;
                self.scrapers[index].start(config, &self.folder)?;
            }
        }
        self.scrapers.retain_mut(|scraper| !scraper.is_gone());
        self.admit()?;
        let view = self.describe();
        self.view.send_replace(view);
        Ok(())
    }

    async fn look_at_allocator(&mut self) -> Result<()> {
        let Allocator { child, phase, url, .. } = &mut self.allocator;
        if let Some(status) = child.ended()
            && !matches!(phase, Phase::Down { .. })
        {
            if *phase == Phase::Starting {
                anyhow::bail!("the allocator ended ({status}) before it was ready:\n{}", child.last_words());
            }
            *phase = Phase::Down { since: Instant::now() };
        }
        match *phase {
            Phase::Starting if is_up(&format!("{url}/livez")).await => *phase = Phase::Up,
            Phase::Down { since } if since.elapsed() > ALLOCATOR_RESTART => {
                *child = start_allocator(&self.folder)?;
                *phase = Phase::Starting;
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends scrapers that leave and have no targets any more.
    async fn end_drained(&mut self) -> Result<()> {
        if !self.scrapers.iter().any(Scraper::is_draining) {
            return Ok(());
        }
        let url = format!("{}/debug/assignment.json", self.allocator.url);
        let answer = http::send("GET", &url, &[], Default::default(), TICK).await;
        // An allocator that is away says nothing, and nobody may end meanwhile.
        let Some(told) = answer.ok().filter(|answer| answer.status == 200) else { return Ok(()) };
        let told: Value = told.json()?;
        let is_drained = |member: &&Value| {
            member["draining"] == true && member["targets"] == 0 && member["held_for_others"] == 0
        };
        for member in told["members"].as_array().into_iter().flatten().filter(is_drained) {
            let mut scrapers = self.scrapers.iter_mut();
            if let Some(scraper) =
                scrapers.find(|scraper| scraper.is_draining() && member["name"] == *scraper.id)
            {
                scraper.end()?;
            }
        }
        Ok(())
    }

    /// Makes members of scrapers that are ready, all of those that were started together at once, and tells the
    /// allocator.
    fn admit(&mut self) -> Result<()> {
        let waiting = self.scrapers.iter().any(|scraper| scraper.phase == Phase::Starting && !scraper.member);
        if !waiting {
            for scraper in self.scrapers.iter_mut().filter(|scraper| scraper.phase == Phase::Up) {
                scraper.member = true;
            }
        }
        let members = self.scrapers.iter().filter(|scraper| scraper.member);
        let member =
            |scraper: &Scraper| format!("- {{name: {}, draining: {}}}\n", scraper.id, scraper.is_leaving());
        let members = members.map(member).collect::<String>();
        // An empty list would change nothing: somebody has to have the targets.
        if members != self.members && !members.is_empty() {
            let (new, path) = (self.folder.path().join("members.new"), self.folder.path().join("members"));
            fs::write(&new, &members)
                .and_then(|()| fs::rename(&new, path))
                .context("writing the members' file")?;
            self.members = members;
        }
        Ok(())
    }

    fn follow(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Add => self.add(),
            Order::Remove => self.remove(),
            Order::Scale(number) => {
                while self.staying() < number {
                    self.add()?;
                }
                while self.staying() > number {
                    self.remove()?;
                }
                Ok(())
            }
            Order::Kill(id) => {
                say(&format!("kill -9 {id}"));
                self.scraper(&id)?.kill()
            }
            Order::Start(id) => {
                self.scraper(&id)?.start_now();
                Ok(())
            }
            Order::KillAllocator => {
                say("kill -9 allocator");
                self.allocator.phase = Phase::Down { since: Instant::now() };
                self.allocator.child.kill().map(drop)
            }
        }
    }

    fn scraper(&mut self, id: &str) -> Result<&mut Scraper> {
        let found = self.scrapers.iter_mut().find(|scraper| scraper.id == id);
        found.with_context(|| format!("there is no scraper {id}"))
    }

    /// How many scrapers are not about to leave.
    fn staying(&self) -> usize {
        self.scrapers.iter().filter(|scraper| !scraper.is_leaving()).count()
    }

    fn add(&mut self) -> Result<()> {
        let ordinal = self.staying();
        if ordinal == MAX_SCRAPERS {
            anyhow::bail!("{MAX_SCRAPERS} scrapers are the most");
        }
        if self.scrapers.len() > ordinal {
            anyhow::bail!("s-{ordinal} is still leaving; try again in a moment");
        }
        let config = self.config_of(ordinal)?;
        self.scrapers.push(Scraper::new(ordinal, config, &self.folder)?);
        Ok(())
    }

    fn remove(&mut self) -> Result<()> {
        let last = self.staying().checked_sub(1).filter(|last| *last > 0);
        let last = last.context("the last scraper stays: somebody has to have the targets")?;
        self.scrapers[last].leave();
        Ok(())
    }

    fn config_of(&self, ordinal: usize) -> Result<scraper::Config> {
        let (health, metrics) = (free_port()?, free_port()?);
        let ports = configs::ScraperPorts {
            allocator: &self.allocator.url,
            sink: &self.sink.url(),
            prometheus: self.prometheus.as_ref().map(|peer| peer.url.as_str()),
            health,
            metrics,
        };
        Ok(scraper::Config { text: configs::scraper(&format!("s-{ordinal}"), &ports), health, metrics })
    }

    fn describe(&mut self) -> View {
        let allocator = &mut self.allocator;
        let (phase, back_in_seconds) = allocator.phase.tell(ALLOCATOR_RESTART);
        let (cpu_percent, rss_bytes) = allocator.meter.read(&allocator.child);
        let allocator = ProcessView {
            id: "allocator".to_owned(),
            phase,
            pid: (phase != "down").then(|| allocator.child.id()),
            cpu_percent,
            rss_bytes,
            back_in_seconds,
            member: true,
            url: allocator.url.clone(),
        };
        let scrapers = self.scrapers.iter_mut().map(Scraper::describe).collect();
        View { allocator, scrapers, prometheus: self.prometheus.as_ref().map(|peer| peer.url.clone()) }
    }
}

fn start_allocator(folder: &TempDir) -> Result<Child> {
    let mut command = Command::new(binary("muster-allocator")?);
    command.arg("--config-file").arg(folder.path().join("allocator.yaml"));
    Child::spawn("allocator", &mut command, folder.path())
}

/// Whether GET of `url` is answered with 200 at once.
async fn is_up(url: &str) -> bool {
    let answer = http::send("GET", url, &[], Default::default(), TICK).await;
    answer.is_ok_and(|answer| answer.status == 200)
}
