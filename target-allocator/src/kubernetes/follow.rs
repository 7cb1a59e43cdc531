//! Follows monitors: watches in, jobs out.
//!
//! After every change jobs are made again at the price of what changed ([`Generator`]): at once after a rest, and together while
//! more keeps coming ([`Pace`]). Watches of the whole cluster are opened unless
//! `allow_namespaces` names some; a kind without a selector is not watched at all.
//!
//! Not all monitors are known until every watch has been listed. A kind that the API server does not know has no objects; one that
//! may not be listed is waited for as long as [`PATIENCE`], because rights are often given in the same breath, and is left
//! out from then on.
//!
//! Whoever looks at the jobs is woken only when something is new, not whenever something was looked at again.
//!
//! Of Secrets in `secret_namespaces` the metadata is watched: one that was written is read again at once, and not only when its
//! turn comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cluster::{
    Cluster, Custom, Kind as ClusterKind, Namespace, Object, Reason, Scope, TextMap, Versioned, Watch,
};
use discovery::Pace;
use scrape::Clock;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::material::{REREAD, Store};
use super::{Held, MonitorFeed, Monitored, events};
use crate::PATIENCE;
use crate::monitors::{
    Generated, Generator, Holder, Inputs, Kind, Monitor, MonitorKey, Namespaces, ObjectRef, Policy,
    Quarantined,
};
use crate::selector::ObjectLabels;

/// Follows until it is dropped.
#[derive(Debug)]
pub struct Following {
    feed: MonitorFeed,
    policies: watch::Sender<Policy>,
    _task: JoinSet<()>,
}

impl Following {
    /// Starts to follow; `changed` is rung when the feed has something new.
    #[must_use]
    pub fn start(cluster: &Cluster, policy: Policy, clock: Arc<dyn Clock>, changed: &Arc<Notify>) -> Self {
        let unread =
            Monitored { waits_for: vec!["monitors were not listed yet".to_owned()], ..Monitored::default() };
        let (sender, feed) = watch::channel(Arc::new(unread));
        let generator = Generator::new(policy.clone());
        let (policies, policy) = watch::channel(policy);
        let follower = Follower {
            cluster: cluster.clone(),
            generator,
            policy,
            sender,
            changed: Arc::clone(changed),
            clock,
            material: Store::default(),
            known: HashMap::new(),
            since: BTreeMap::new(),
            events: events::writer(cluster.clone()),
            started: Instant::now(),
        };
        let mut task = JoinSet::new();
        drop(task.spawn(follower.run()));
        Self { feed, policies, _task: task }
    }

    /// What monitors became.
    #[must_use]
    pub fn feed(&self) -> MonitorFeed {
        self.feed.clone()
    }

    /// Takes over other settings.
    pub fn set_policy(&self, policy: Policy) {
        self.policies.send_if_modified(|known| {
            let is_new = *known != policy;
            *known = policy;
            is_new
        });
    }
}

struct Follower {
    cluster: Cluster,
    generator: Generator,
    policy: watch::Receiver<Policy>,
    sender: watch::Sender<Arc<Monitored>>,
    changed: Arc<Notify>,
    clock: Arc<dyn Clock>,
    material: Store,
    /// Monitors as they were made of objects last.
    known: HashMap<MonitorKey, (Arc<Custom>, Arc<Monitor>)>,
    /// Since when a monitor is in quarantine for a reason.
    since: BTreeMap<MonitorKey, (Quarantined, SystemTime)>,
    events: mpsc::Sender<Quarantined>,
    started: Instant,
}

/// The watches that settings ask for.
struct Watches {
    monitors: Vec<(Kind, Watch<Custom>)>,
    namespaces: Option<Watch<Namespace>>,
    secrets: Vec<Watch<Versioned>>,
    /// Rings for each of them; ends with them.
    _bells: JoinSet<()>,
}

impl Follower {
    async fn run(mut self) {
        let bell = Arc::new(Notify::new());
        let mut watches = self.watches(&bell);
        let mut reread_at = Instant::now() + REREAD;
        let mut pace = Pace::default();
        loop {
            let began = Instant::now();
            let is_waiting = self.update(&watches).await;
            pace.ended(began);
            // Patience ends without an event.
            let until =
                if is_waiting { reread_at.min(Instant::now() + Duration::from_secs(1)) } else { reread_at };
            let change = async {
                bell.notified().await;
                pace.rest().await;
            };
            tokio::select! {
                () = change => {}
                changed = self.policy.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let policy = self.policy.borrow_and_update().clone();
                    self.generator.set_policy(policy);
                    watches = self.watches(&bell);
                }
                () = sleep_until(until) => {}
            }
            self.material.reread(&self.cluster, &written(&mut watches.secrets)).await;
            if Instant::now() >= reread_at {
                self.material.reread_all(&self.cluster).await;
                reread_at = Instant::now() + REREAD;
            }
        }
    }

    /// Opens what the settings ask for; what is open already is shared.
    fn watches(&self, bell: &Arc<Notify>) -> Watches {
        let policy = self.generator.policy();
        let allowed = &policy.config().allow_namespaces;
        let scopes: Vec<Scope> = match allowed.is_empty() {
            true => vec![Scope::all()],
            false => allowed.iter().map(|name| Scope::namespace(name)).collect(),
        };
        let mut bells = JoinSet::new();
        let mut monitors = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| !policy.selects_nothing(*kind)) {
            for scope in &scopes {
                let watch = self.cluster.watch_kind::<Custom>(resource(kind), scope);
                ring(&mut bells, watch.clone(), bell);
                monitors.push((kind, watch));
            }
        }
        let namespaces = policy.asks_for_namespaces().then(|| self.cluster.watch::<Namespace>(&Scope::all()));
        if let Some(namespaces) = &namespaces {
            ring(&mut bells, namespaces.clone(), bell);
        }
        let watch_secrets = |name: &String| {
            self.cluster.watch_kind::<Versioned>(ClusterKind::SECRET, &Scope::namespace(name))
        };
        let secrets: Vec<_> = policy.config().secret_namespaces.iter().map(watch_secrets).collect();
        secrets.iter().for_each(|watch| ring(&mut bells, watch.clone(), bell));
        Watches { monitors, namespaces, secrets, _bells: bells }
    }

    /// Makes jobs of what is known now, and publishes them where anything is new. Whether something is still waited for.
    async fn update(&mut self, watches: &Watches) -> bool {
        let monitors = self.monitors(watches);
        let namespaces = namespaces(watches);
        let mut generated = self.generate(&monitors, &namespaces);
        while self.material.take_up(&self.cluster, &generated.objects).await {
            generated = self.generate(&monitors, &namespaces);
        }
        let waits_for = self.waits_for(watches);
        let is_waiting = !waits_for.is_empty();
        let mut problems: Vec<String> =
            watches.monitors.iter().filter_map(|(_, watch)| watch.problem()).collect();
        problems.extend(watches.namespaces.as_ref().and_then(Watch::problem));
        problems.extend(watches.secrets.iter().filter_map(|watch| {
            let seconds = REREAD.as_secs();
            Some(format!(
                "{}; what monitors refer to there is read again every {seconds} s",
                watch.problem()?
            ))
        }));
        problems.extend(generated.waits_for.iter().map(|object| format!("{object} has not been read yet")));
        let quarantine = self.quarantine(generated.quarantine);
        self.publish(Monitored {
            jobs: generated.jobs.into_values().collect(),
            quarantine,
            warnings: generated.warnings,
            selected: generated.selected,
            monitors,
            namespaces,
            policy: Some(self.generator.policy().clone()),
            waits_for,
            problems,
        });
        is_waiting
    }

    fn generate(&mut self, monitors: &[Arc<Monitor>], namespaces: &Namespaces) -> Generated {
        self.generator.generate(Inputs { monitors, namespaces, material: &self.material })
    }

    /// Every monitor that is known; one that did not change is the same allocation.
    fn monitors(&mut self, watches: &Watches) -> Vec<Arc<Monitor>> {
        let mut before = std::mem::take(&mut self.known);
        for (kind, watch) in &watches.monitors {
            for (_, object) in watch.snapshot().iter() {
                let key = key(*kind, object);
                let known = before.remove(&key).filter(|(old, _)| Arc::ptr_eq(old, object));
                let monitor = known.map_or_else(|| Arc::new(monitor(&key, object)), |(_, monitor)| monitor);
                self.known.insert(key, (Arc::clone(object), monitor));
            }
        }
        let mut monitors: Vec<_> = self.known.values().map(|(_, monitor)| Arc::clone(monitor)).collect();
        monitors.sort_by(|one, other| one.key.cmp(&other.key));
        monitors
    }

    /// Why not all monitors are known yet.
    fn waits_for(&self, watches: &Watches) -> Vec<String> {
        let is_patient = self.started.elapsed() < PATIENCE;
        let all = watches.monitors.iter().map(|(_, watch)| reason(watch, is_patient));
        all.chain(watches.namespaces.iter().map(|watch| reason(watch, is_patient))).flatten().collect()
    }

    /// Adds since when, and tells whoever should know.
    fn quarantine(&mut self, quarantine: Vec<Quarantined>) -> Vec<Held> {
        let mut before = std::mem::take(&mut self.since);
        let mut held = Vec::with_capacity(quarantine.len());
        for what in quarantine {
            let known = before.remove(&what.key);
            let is_same = |(old, _): &(Quarantined, SystemTime)| {
                (&old.field, &old.reason, &old.uid) == (&what.field, &what.reason, &what.uid)
            };
            let since = known.filter(is_same).map(|(_, since)| since).unwrap_or_else(|| {
                let Quarantined { key, field, reason, .. } = &what;
                tracing::warn!(kind = %key.kind, namespace = key.namespace, name = key.name, field, reason, "a monitor is in quarantine");
                // A full queue drops the event; page and log tell it.
                drop(self.events.try_send(what.clone()));
                self.clock.now()
            });
            self.since.insert(what.key.clone(), (what.clone(), since));
            held.push(Held { what, since });
        }
        for key in before.keys() {
            tracing::info!(kind = %key.kind, namespace = key.namespace, name = key.name, "a monitor has left quarantine");
        }
        held
    }

    fn publish(&self, monitored: Monitored) {
        let before = self.sender.borrow().clone();
        if monitored.says_same(&before) {
            return;
        }
        for (kind, (old, new)) in Kind::ALL.iter().zip(before.selected.iter().zip(&monitored.selected)) {
            if let Some(why) = new.nothing.as_ref().filter(|_| old.nothing != new.nothing) {
                tracing::warn!(%kind, %why, "no monitor of this kind is selected");
            }
        }
        for problem in monitored.problems.iter().filter(|problem| !before.problems.contains(*problem)) {
            tracing::warn!(problem, "monitors cannot be followed well");
        }
        if !before.waits_for.is_empty() && monitored.waits_for.is_empty() {
            let (monitors, jobs) = (monitored.monitors.len(), monitored.jobs.len());
            tracing::info!(monitors, jobs, "all monitors are known");
        }
        self.sender.send_replace(Arc::new(monitored));
        self.changed.notify_one();
    }
}

/// Secrets that came, went or were written since this was asked last.
fn written(secrets: &mut [Watch<Versioned>]) -> BTreeSet<ObjectRef> {
    let keys = secrets.iter_mut().flat_map(Watch::changes);
    let object = |key: Arc<str>| {
        let (namespace, name) = key.split_once('/')?;
        Some(ObjectRef { holder: Holder::Secret, namespace: namespace.to_owned(), name: name.to_owned() })
    };
    keys.filter_map(object).collect()
}

fn ring<T: Object>(bells: &mut JoinSet<()>, mut watch: Watch<T>, bell: &Arc<Notify>) {
    let bell = Arc::clone(bell);
    drop(bells.spawn(async move {
        loop {
            watch.changed().await;
            // Keys are not needed, but would pile up.
            drop(watch.changes());
            bell.notify_one();
        }
    }));
}

fn reason<T: Object>(watch: &Watch<T>, is_patient: bool) -> Option<String> {
    let state = watch.state();
    if state.is_synced {
        return None;
    }
    let waiting = || format!("{} {} were not listed yet", watch.kind(), watch.scope());
    let Some(failure) = state.failure else { return Some(waiting()) };
    match failure.reason {
        Reason::NotFound => None,
        Reason::Forbidden | Reason::Unauthorized if !is_patient => None,
        _ => Some(format!("{}: {}", waiting(), failure.message)),
    }
}

fn resource(kind: Kind) -> ClusterKind {
    match kind {
        Kind::ServiceMonitor => ClusterKind::SERVICE_MONITOR,
        Kind::PodMonitor => ClusterKind::POD_MONITOR,
        Kind::Probe => ClusterKind::PROBE,
        Kind::ScrapeConfig => ClusterKind::SCRAPE_CONFIG,
    }
}

fn key(kind: Kind, object: &Custom) -> MonitorKey {
    let metadata = &object.metadata;
    MonitorKey { kind, namespace: metadata.namespace.to_string(), name: metadata.name.to_string() }
}

fn monitor(key: &MonitorKey, object: &Custom) -> Monitor {
    Monitor {
        key: key.clone(),
        uid: object.metadata.uid.to_string(),
        generation: object.metadata.generation,
        labels: labels(&object.metadata.labels),
        annotations: labels(&object.metadata.annotations),
        spec: object.spec.clone(),
    }
}

fn namespaces(watches: &Watches) -> Namespaces {
    let Some(watch) = &watches.namespaces else { return Namespaces::new() };
    let namespaces = watch.snapshot();
    namespaces
        .iter()
        .map(|(name, namespace)| (name.to_string(), labels(&namespace.metadata.labels)))
        .collect()
}

fn labels(map: &TextMap) -> ObjectLabels {
    map.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cluster::{Access, ServerAccess};
    use scrape::SystemClock;

    use super::*;

    /// Settings that select no monitors, so that no server is asked for anything.
    fn policy(yaml: &str) -> Policy {
        let node = config::parse(yaml, "ta.yaml").unwrap().root;
        Policy::build(&config::read(&node, "prometheus_cr").unwrap(), "observe", Path::new("")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_change_is_not_told_again() {
        let server = ServerAccess { url: config::UrlText::new("http://127.0.0.1:1"), ..Default::default() };
        let access = Access::Server(Box::new(server));
        let cluster = Cluster::connect(&access, telemetry::Registry::new()).await.unwrap();
        let changed = Arc::new(Notify::new());
        let plain = policy("enabled: true");
        let following = Following::start(&cluster, plain.clone(), Arc::new(SystemClock), &changed);
        let mut feed = following.feed();
        feed.wait_for(|monitored| monitored.waits_for.is_empty()).await.unwrap();
        changed.notified().await;

        following.set_policy(plain);
        tokio::time::sleep(60 * REREAD).await;
        assert!(!feed.has_changed().unwrap(), "it was looked at sixty times");

        following.set_policy(policy("enabled: true\ndeny_namespaces: [a]"));
        tokio::time::timeout(Duration::from_secs(1), changed.notified()).await.unwrap();
        assert!(feed.has_changed().unwrap());
    }
}
