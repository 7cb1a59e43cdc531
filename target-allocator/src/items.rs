//! A discovered target as the allocator keeps it: what is served, and what it is told apart by.
//!
//! As upstream: served are the labels **before** relabelling, with every `__meta_*`, because the collector relabels
//! again; identity is the labels **after** relabelling without `__meta_*`, and the job. Two discovered targets that are
//! equal after relabelling are one target. Upstream hashes labels in the order in which rules made them, and serves
//! whichever of two equal targets came first; here labels are sorted, and the smallest form is served, so that neither
//! depends on chance.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use model::Labels;
use xxhash_rust::xxh64::Xxh64;

/// The targets of one job, sorted by address and identity, each identity once.
pub type Items = Arc<[Arc<Item>]>;

/// One target of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Identity, see [`identity`].
    pub hash: u64,
    /// What is served: labels before relabelling, with `__address__`.
    pub labels: Labels,
}

impl Item {
    /// `__address__` before relabelling.
    #[must_use]
    pub fn address(&self) -> &str {
        self.labels.value("__address__")
    }

    /// The node the target runs on, see [`node_of`].
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        node_of(&self.labels)
    }
}

/// xxHash64 over `name 0xff value 0xff` of every label that is not `__meta_*`, in order of name, and then the job.
/// The labels are those after relabelling. Equal on every replica and in every version.
#[must_use]
pub fn identity(relabelled: &Labels, job: &str) -> u64 {
    let mut hasher = Xxh64::new(0);
    for (name, value) in relabelled.iter().filter(|(name, _)| !name.starts_with("__meta_")) {
        hasher.update(name.as_bytes());
        hasher.update(&[0xff]);
        hasher.update(value.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.update(job.as_bytes());
    hasher.digest()
}

/// The node a target runs on, from its labels before relabelling: of the pod, the node itself, or the endpoint, in that
/// order, as upstream. `__meta_kubernetes_endpointslice_endpoint_node_name` is read last; upstream overlooks it.
#[must_use]
pub fn node_of(labels: &Labels) -> Option<&str> {
    const DIRECT: [&str; 3] = [
        "__meta_kubernetes_pod_node_name",
        "__meta_kubernetes_node_name",
        "__meta_kubernetes_endpoint_node_name",
    ];
    let direct = DIRECT.iter().find_map(|name| labels.get(name));
    let of_slice = || {
        let kind = labels.value("__meta_kubernetes_endpointslice_address_target_kind");
        labels.get("__meta_kubernetes_endpointslice_address_target_name").filter(|_| kind == "Node")
    };
    direct.or_else(of_slice).or_else(|| labels.get("__meta_kubernetes_endpointslice_endpoint_node_name"))
}

/// Puts items in order and drops repeated identities.
#[must_use]
pub fn arranged(items: impl IntoIterator<Item = Arc<Item>>) -> Items {
    let mut by_identity: HashMap<u64, Arc<Item>> = HashMap::new();
    for item in items {
        match by_identity.entry(item.hash) {
            Entry::Occupied(known) if known.get().labels <= item.labels => {}
            Entry::Occupied(mut known) => drop(known.insert(item)),
            Entry::Vacant(vacant) => drop(vacant.insert(item)),
        }
    }
    let mut items: Vec<Arc<Item>> = by_identity.into_values().collect();
    items.sort_by(|one, other| (one.address(), one.hash).cmp(&(other.address(), other.hash)));
    items.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect()
    }

    #[test]
    fn identity_ignores_meta_labels_and_knows_the_job() {
        let plain = labels(&[("__address__", "h:1"), ("job", "a")]);
        let meta = labels(&[("__address__", "h:1"), ("job", "a"), ("__meta_filepath", "/x")]);
        assert_eq!(identity(&plain, "a"), identity(&meta, "a"));
        assert_ne!(identity(&plain, "a"), identity(&plain, "b"));
        let hidden = labels(&[("__address__", "h:1"), ("job", "a"), ("__metrics_path__", "/x")]);
        assert_ne!(identity(&plain, "a"), identity(&hidden, "a"), "same address, other path");
    }

    #[test]
    fn identity_is_part_of_the_contract_between_replicas() {
        let mut text = b"__address__\xffh:1\xffenv\xffx\xff".to_vec();
        text.extend_from_slice(b"node");
        let expected = xxhash_rust::xxh64::xxh64(&text, 0);
        assert_eq!(identity(&labels(&[("env", "x"), ("__address__", "h:1")]), "node"), expected);
    }

    #[test]
    fn of_two_equal_targets_the_smaller_is_served_whatever_the_order() {
        let one = Item { hash: 1, labels: labels(&[("__address__", "a:1"), ("__meta_x", "1")]) };
        let two = Item { hash: 1, labels: labels(&[("__address__", "a:1"), ("__meta_x", "2")]) };
        let other = Item { hash: 0, labels: labels(&[("__address__", "b:1")]) };
        let [one, two, other] = [one, two, other].map(Arc::new);
        let forward = arranged([&one, &two, &other].map(Arc::clone));
        assert_eq!(forward, arranged([&other, &two, &one].map(Arc::clone)));
        assert_eq!(forward[..], [one, other]);
    }

    #[test]
    fn the_node_is_found_in_upstream_order() {
        let node = |pairs: &[(&str, &str)]| node_of(&labels(pairs)).map(str::to_owned);
        let prefixed = |name: &str| format!("__meta_kubernetes_{name}");
        let (pod, endpoint) = (prefixed("pod_node_name"), prefixed("endpoint_node_name"));
        assert_eq!(node(&[(&pod, "p"), (&endpoint, "e")]).as_deref(), Some("p"));
        assert_eq!(node(&[(&endpoint, "e")]).as_deref(), Some("e"));
        let (kind, name) =
            (prefixed("endpointslice_address_target_kind"), prefixed("endpointslice_address_target_name"));
        assert_eq!(node(&[(&kind, "Node"), (&name, "n")]).as_deref(), Some("n"));
        assert_eq!(node(&[(&kind, "Pod"), (&name, "n")]), None);
    }
}
