//! Pods and StatefulSets of the collectors, as far as members are made of them.

use std::sync::Arc;

use cluster::{Cluster, Custom, Kind, Pod, Scope, Status, Watch};
use tokio::sync::{Notify, watch};

use crate::members::{Ordinals, PodFacts, PodFeed, PodSource, PodsSeen};

/// See [`super::Kubernetes::pods`].
pub(super) fn feed(cluster: &Cluster, source: &PodSource, changed: &Arc<Notify>) -> PodFeed {
    let scope = Scope::namespace(&source.namespace);
    let pods = cluster.watch::<Pod>(&scope.clone().with_labels(&source.selector));
    let sets = cluster.watch_kind::<Custom>(Kind::STATEFUL_SET, &scope);
    let (sender, feed) = watch::channel(look(&pods, &sets));
    drop(tokio::spawn(follow(pods, sets, sender, Arc::clone(changed))));
    feed
}

async fn follow(
    mut pods: Watch<Pod>,
    mut sets: Watch<Custom>,
    sender: watch::Sender<Result<Arc<PodsSeen>, String>>,
    changed: Arc<Notify>,
) {
    let mut is_warned = false;
    loop {
        if let Some(why) = sets.problem().filter(|_| !is_warned && !sets.is_synced()) {
            is_warned = true;
            tracing::warn!(
                why,
                "StatefulSets cannot be read: every pod but the one with the highest ordinal is expected back after it is deleted"
            );
        }
        let seen = look(&pods, &sets);
        let is_new = sender.send_if_modified(|known| {
            let is_new = *known != seen;
            *known = seen;
            is_new
        });
        if is_new {
            changed.notify_one();
        }
        tokio::select! {
            () = pods.changed() => {}
            () = sets.changed() => {}
            () = sender.closed() => return,
        }
    }
}

fn look(pods: &Watch<Pod>, sets: &Watch<Custom>) -> Result<Arc<PodsSeen>, String> {
    let state = pods.state();
    if !state.is_synced {
        let why = state.failure.map_or_else(|| "no answer yet".to_owned(), |failure| failure.message);
        return Err(format!("collectors: the pods {} were not listed yet: {why}", pods.scope()));
    }
    let sets_state = sets.state();
    if !sets_state.is_synced && sets_state.failure.is_none() {
        return Err(format!("collectors: the StatefulSets {} were not listed yet", sets.scope()));
    }
    let stateful_sets = sets.snapshot();
    let ordinals = |(_, set): (&Arc<str>, &Arc<Custom>)| (Arc::clone(&set.metadata.name), ordinals(set));
    Ok(Arc::new(PodsSeen {
        is_stale: state.failure.is_some() && !state.is_live,
        pods: pods.snapshot().iter().map(|(_, pod)| facts(pod)).collect(),
        stateful_sets: stateful_sets.iter().map(ordinals).collect(),
    }))
}

fn facts(pod: &Pod) -> PodFacts {
    let controller = pod.metadata.controller.as_ref().filter(|owner| *owner.kind == *"StatefulSet");
    PodFacts {
        name: Arc::clone(&pod.metadata.name),
        node: Some(Arc::clone(&pod.node_name)).filter(|node| !node.is_empty()),
        stateful_set: controller.map(|owner| Arc::clone(&owner.name)),
        is_ready: *pod.phase == *"Running" && pod.ready == Status::True,
        is_terminating: pod.metadata.is_terminating,
    }
}

/// What a StatefulSet wants; one replica from ordinal 0 where it does not say.
fn ordinals(set: &Custom) -> Ordinals {
    let number = |value: &serde_json::Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
    Ordinals {
        start: number(&set.spec["ordinals"]["start"]).unwrap_or(0),
        replicas: number(&set.spec["replicas"]).unwrap_or(1),
    }
}
