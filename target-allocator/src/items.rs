//! A discovered target as the allocator keeps it: what is served, and what it is told apart by.
//!
//! As upstream: served are the labels **before** relabelling, with every `__meta_*`, because the collector relabels
//! again; identity is the labels **after** relabelling without `__meta_*`, and the job. Two discovered targets that are
//! equal after relabelling are one target. Upstream hashes labels in the order in which rules made them, and serves
//! whichever of two equal targets came first; here labels are sorted, and the smallest form is served, so that neither
//! depends on chance.

use std::sync::Arc;

use discovery::Group;
use model::Labels;
use xxhash_rust::xxh64::Xxh64;

/// The targets of one job, sorted by address and identity, each identity once.
pub type Items = Arc<[Arc<Item>]>;

/// One target of one job. Its labels stay where discovery has them: in its group.
#[derive(Clone, Debug)]
pub struct Item {
    /// Identity, see [`identity`].
    pub hash: u64,
    /// Hash of the labels that are served.
    content: u64,
    group: Arc<Group>,
    /// Which target of the group it is.
    index: usize,
}

impl Item {
    /// A target of a group, with its identity.
    #[must_use]
    pub fn new(hash: u64, group: &Arc<Group>, index: usize) -> Self {
        let content = Labels::hash64_of(group.labels.overlaid(&group.targets[index]));
        Self { hash, content, group: Arc::clone(group), index }
    }

    /// The same target in a group that is the same but for other targets.
    #[must_use]
    pub fn in_group(&self, group: &Arc<Group>, index: usize) -> Self {
        Self { group: Arc::clone(group), index, ..*self }
    }

    /// What is served: labels before relabelling, with `__address__`, in order of name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.group.labels.overlaid(self.own())
    }

    /// Hash of [`Self::labels`], equal on every replica.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.content
    }

    /// A label that is served.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.own().get(name).or_else(|| self.group.labels.get(name))
    }

    /// As [`Self::get`]; empty where the label is absent.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// `__address__` before relabelling.
    #[must_use]
    pub fn address(&self) -> &str {
        self.value("__address__")
    }

    /// The node the target runs on, see [`node_of`].
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        node_of(|name| self.get(name))
    }

    fn own(&self) -> &Labels {
        &self.group.targets[self.index]
    }

    /// A target that is alone in its group.
    #[cfg(test)]
    pub(crate) fn alone(hash: u64, labels: Labels) -> Self {
        let group = Group { targets: vec![labels], ..Group::default() };
        Self::new(hash, &Arc::new(group), 0)
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        let is_in_same_place = Arc::ptr_eq(&self.group, &other.group) && self.index == other.index;
        // Texts that are shared are compared by where they are; labels can be divided between target and group in another way.
        let has_same_parts = || self.own() == other.own() && self.group.labels == other.group.labels;
        self.hash == other.hash
            && self.content == other.content
            && (is_in_same_place || has_same_parts() || self.labels().eq(other.labels()))
    }
}

impl Eq for Item {}

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
pub fn node_of<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    const DIRECT: [&str; 3] = [
        "__meta_kubernetes_pod_node_name",
        "__meta_kubernetes_node_name",
        "__meta_kubernetes_endpoint_node_name",
    ];
    let direct = DIRECT.iter().find_map(|name| get(name));
    let of_slice = || {
        let kind = get("__meta_kubernetes_endpointslice_address_target_kind");
        get("__meta_kubernetes_endpointslice_address_target_name").filter(|_| kind == Some("Node"))
    };
    direct.or_else(of_slice).or_else(|| get("__meta_kubernetes_endpointslice_endpoint_node_name"))
}

/// Puts items in order and drops repeated identities.
#[must_use]
pub fn arranged(items: impl IntoIterator<Item = Arc<Item>>) -> Items {
    let mut items: Vec<Arc<Item>> = items.into_iter().collect();
    items.sort_by(|one, other| one.hash.cmp(&other.hash).then_with(|| one.labels().cmp(other.labels())));
    items.dedup_by_key(|item| item.hash);
    // Looked up once for each, and not once for each comparison.
    let mut by_address: Vec<(&str, u64, &Arc<Item>)> =
        items.iter().map(|item| (item.address(), item.hash, item)).collect();
    by_address.sort_by_key(|(address, hash, _)| (*address, *hash));
    by_address.into_iter().map(|(.., item)| Arc::clone(item)).collect()
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
        let one = Item::alone(1, labels(&[("__address__", "a:1"), ("__meta_x", "1")]));
        let two = Item::alone(1, labels(&[("__address__", "a:1"), ("__meta_x", "2")]));
        let other = Item::alone(0, labels(&[("__address__", "b:1")]));
        let [one, two, other] = [one, two, other].map(Arc::new);
        let forward = arranged([&one, &two, &other].map(Arc::clone));
        assert_eq!(forward, arranged([&other, &two, &one].map(Arc::clone)));
        assert_eq!(forward[..], [one, other]);
    }

    #[test]
    fn labels_of_a_target_win_over_those_of_its_group() {
        let group = Arc::new(Group {
            labels: labels(&[("env", "group"), ("team", "a")]),
            targets: vec![
                labels(&[("__address__", "a:1"), ("env", "own")]),
                labels(&[("__address__", "b:1")]),
            ],
            ..Group::default()
        });
        let [one, two] = [0, 1].map(|index| Item::new(7, &group, index));
        let whole = labels(&[("__address__", "a:1"), ("env", "own"), ("team", "a")]);
        assert!(one.labels().eq(whole.iter()));
        assert_eq!((one.value("env"), two.value("env"), one.value("nope")), ("own", "group", ""));
        assert_eq!(one, Item::alone(7, whole.clone()), "where labels come from does not matter");
        assert_eq!(one.content(), whole.hash64());
        assert_ne!(one, two);
    }

    #[test]
    fn the_node_is_found_in_upstream_order() {
        let node = |pairs: &[(&str, &str)]| Item::alone(0, labels(pairs)).node().map(str::to_owned);
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
