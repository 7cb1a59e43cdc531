//! Groups of all objects of a role, kept up to date for any number of jobs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::{
    Cluster, EndpointSlice, Endpoints, Ingress, Kind, Node, Object, Pod, Resource, Scope, Service,
};
use hashbrown::{HashMap, HashSet};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::audience::Audience;
use super::labels::Names;
use super::look::Look;
use super::roles;
use super::selector::Selector;
use super::subscriber::{Change, GroupFilter, Made, News, Subscriber, Totals, View};
use super::world::{Askers, Asking, World};
use super::{AttachMetadata, KubernetesSdConfig, Role, Sharing};
use crate::{Group, Pace};

/// More groups than this are made on a thread that may be kept busy.
const MANY_GROUPS: usize = 100;

/// How long jobs may not know how many targets they pass over.
const TELL_NUMBERS: Duration = Duration::from_secs(5);

/// What is evaluated: jobs that want the same share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Query {
    role: Role,
    /// Empty stands for all.
    namespaces: BTreeSet<Arc<str>>,
    selectors: Vec<(Role, String, String)>,
    attach: AttachMetadata,
    sharing: Sharing,
}

impl Query {
    pub(super) fn of(config: &KubernetesSdConfig, namespaces: &BTreeSet<Arc<str>>, sharing: Sharing) -> Self {
        let selectors = config.selectors.iter();
        let mut selectors: Vec<_> =
            selectors.map(|one| (one.role, one.label.clone(), one.field.clone())).collect();
        selectors.sort();
        let namespaces = if sharing == Sharing::ClusterWide { BTreeSet::new() } else { namespaces.clone() };
        Self { role: config.role, namespaces, selectors, attach: config.attach_metadata, sharing }
    }

    /// The objects of a role that are selected.
    fn look<T: Object>(&self, cluster: &Cluster, kind: Kind, role: Option<Role>) -> Look<T> {
        let selector = self.selectors.iter().find(|(of, ..)| Some(*of) == role);
        let (labels, fields) =
            selector.map_or(("", ""), |(_, labels, fields)| (labels.as_str(), fields.as_str()));
        let is_here = self.sharing == Sharing::ClusterWide;
        let scope = |scope: Scope| scope.with_labels(if is_here { "" } else { labels }).with_fields(fields);
        let is_namespaced = !matches!(role, Some(Role::Node)) && kind != Kind::NAMESPACE;
        let scopes: Vec<Scope> = if self.namespaces.is_empty() || !is_namespaced {
            vec![scope(Scope::all())]
        } else {
            self.namespaces.iter().map(|name| scope(Scope::namespace(name))).collect()
        };
        // It has been read when the configuration was checked.
        let selector = Selector::parse(if is_here { labels } else { "" }).unwrap_or_default();
        Look::open(cluster, kind, &scopes, selector)
    }

    fn world(&self, cluster: &Cluster) -> World {
        let is_behind_service = matches!(self.role, Role::Endpoints | Role::EndpointSlice);
        let has_pods = is_behind_service || self.role == Role::Pod;
        let attach = self.attach;
        World {
            pods: is_behind_service.then(|| self.look(cluster, Kind::POD, Some(Role::Pod))),
            services: is_behind_service.then(|| self.look(cluster, Kind::SERVICE, Some(Role::Service))),
            nodes: (has_pods && attach.node).then(|| self.look(cluster, Kind::NODE, Some(Role::Node))),
            namespaces: (self.role != Role::Node && attach.namespace)
                .then(|| self.look(cluster, Kind::NAMESPACE, None)),
            replica_sets: (has_pods && attach.deployment)
                .then(|| self.look(cluster, Kind::REPLICA_SET, None)),
            jobs: (has_pods && attach.cronjob).then(|| self.look(cluster, Kind::JOB, None)),
        }
    }
}

/// A running evaluation; it ends when it is dropped.
pub(super) struct Evaluation {
    joining: mpsc::UnboundedSender<Subscriber>,
    // Dropping the set aborts its task.
    _task: JoinSet<()>,
}

impl Evaluation {
    pub(super) fn start(cluster: &Cluster, query: &Query) -> Self {
        match query.role {
            Role::Node => Self::run::<Node>(cluster, query, roles::node),
            Role::Service => Self::run::<Service>(cluster, query, roles::service),
            Role::Pod => Self::run::<Pod>(cluster, query, roles::pod),
            Role::Endpoints => Self::run::<Endpoints>(cluster, query, roles::endpoints),
            Role::EndpointSlice => Self::run::<EndpointSlice>(cluster, query, roles::endpoint_slice),
            Role::Ingress => Self::run::<Ingress>(cluster, query, roles::ingress),
        }
    }

    fn run<T: Resource>(cluster: &Cluster, query: &Query, make: Make<T>) -> Self {
        let groups = Groups {
            main: query.look(cluster, T::KIND, Some(query.role)),
            world: query.world(cluster),
            make,
            tells_jobs: query.attach.job,
            names: Names::default(),
            similar: Arc::default(),
            made: HashMap::new(),
            totals: Totals::default(),
            askers: Askers::default(),
        };
        // Bounded by the number of jobs: each joins once.
        let (joining, joins) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        drop(task.spawn(keep_up(groups, joins)));
        Self { joining, _task: task }
    }

    /// What a job sees of it from now on.
    pub(super) fn subscribe(
        &self,
        namespaces: Option<BTreeSet<Arc<str>>>,
        filter: Option<GroupFilter>,
    ) -> watch::Receiver<View> {
        let (views, receiver) = watch::channel(View::default());
        // Without the task, which lives as long as this, the job would wait, as it does for a silent server.
        drop(self.joining.send(Subscriber::new(namespaces, filter, views)));
        receiver
    }
}

type Make<T> = fn(&T, &mut Asking<'_>) -> Group;

/// All groups, and what they are made of.
struct Groups<T: Object> {
    main: Look<T>,
    world: World,
    make: Make<T>,
    tells_jobs: bool,
    names: Names,
    similar: Arc<[Arc<str>]>,
    made: HashMap<Arc<str>, Made>,
    totals: Totals,
    askers: Askers,
}

impl<T: Object> Groups<T> {
    fn is_synced(&self) -> bool {
        self.main.is_synced() && self.world.is_synced()
    }

    fn is_forbidden(&self) -> bool {
        self.main.is_forbidden() || self.world.is_forbidden()
    }

    fn problems(&self) -> Arc<[String]> {
        self.main.problems().chain(self.world.problems()).collect()
    }

    async fn changed(&mut self) {
        tokio::select! {
            () = self.main.changed() => {}
            () = self.world.changed() => {}
        }
    }

    /// Begins a round: the keys of groups that have to be made anew.
    fn begin(&mut self) -> HashSet<Arc<str>> {
        let mut keys: HashSet<Arc<str>> = self.main.begin().into_iter().collect();
        for change in self.world.begin() {
            keys.extend(self.askers.of(&change).iter().cloned());
        }
        keys
    }

    /// Makes groups anew; gives back those that came out different. Ends the round.
    fn update(&mut self, keys: HashSet<Arc<str>>) -> Vec<Change> {
        let mut changes = Vec::new();
        for key in keys {
            let object = self.main.get(&key);
            let mut asking = Asking::new(&self.world, &mut self.names, self.tells_jobs);
            let group = object.map(|object| (self.make)(object, &mut asking));
            let asked = asking.asked;
            self.askers.update(&key, asked);
            let group = group.filter(|group| !group.targets.is_empty());
            let before = self.made.get(&key);
            if before.map(|made| &*made.group) == group.as_ref() {
                continue;
            }
            let now = group.map(|group| Made::new(group, &mut self.similar));
            let before = match &now {
                Some(made) => self.made.insert(Arc::clone(&key), made.clone()),
                None => self.made.remove(&key),
            };
            let change = Change { key, before, now };
            self.totals.take(&change);
            changes.push(change);
        }
        self.main.end();
        self.world.end();
        changes
    }

    /// Everything, for who is new.
    fn all(&self) -> Vec<Change> {
        let change = |(key, made): (&Arc<str>, &Made)| Change {
            key: Arc::clone(key),
            before: None,
            now: Some(made.clone()),
        };
        self.made.iter().map(change).collect()
    }
}

/// Waits for a time, or for ever.
async fn alarm(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn keep_up<T: Object>(mut groups: Groups<T>, mut joins: mpsc::UnboundedReceiver<Subscriber>) {
    let mut audience = Audience::default();
    let mut numbers_due: Option<Instant> = None;
    let mut pace = Pace::default();
    let mut told = None;
    loop {
        let mut new = Vec::new();
        tokio::select! {
            joined = joins.recv() => match joined {
                Some(joined) => new.push(joined),
                None => return,
            },
            () = groups.changed() => {}
            () = alarm(numbers_due) => {}
        }
        pace.rest().await;
        let began = Instant::now();
        while let Ok(joined) = joins.try_recv() {
            new.push(joined);
        }
        let is_whole = groups.is_synced();
        let (problems, is_forbidden) = (groups.problems(), groups.is_forbidden());
        let mut has_work = !new.is_empty();
        // Before everything is there, groups would be made several times.
        if is_whole {
            let keys = groups.begin();
            has_work |= !keys.is_empty();
            let changes;
            if keys.len() <= MANY_GROUPS {
                changes = groups.update(keys);
            } else {
                let work = tokio::task::spawn_blocking(move || {
                    let changes = groups.update(keys);
                    (groups, changes)
                });
                match work.await {
                    Ok((back, made)) => (groups, changes) = (back, made),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    // The runtime is going down.
                    Err(_) => return,
                }
            }
            audience.tidy();
            audience.take(&changes);
        }
        if !new.is_empty() {
            audience.join(new, &groups.all());
        }
        let are_numbers_due = numbers_due.is_some_and(|due| due <= Instant::now());
        let state = (Arc::clone(&problems), is_whole, is_forbidden);
        if !has_work && !are_numbers_due && told.as_ref() == Some(&state) {
            // No group is made of most pods. A round without work is not worth a rest.
            continue;
        }
        told = Some(state);
        let news = News { problems, is_whole, is_forbidden, are_numbers_due };
        let is_any_waiting = audience.show(&news, &groups.totals);
        numbers_due = match numbers_due {
            _ if !is_any_waiting => None,
            Some(due) if !are_numbers_due => Some(due),
            _ => Some(Instant::now() + TELL_NUMBERS),
        };
        pace.ended(began);
    }
}
