//! How meta labels are put together.

use std::fmt::Display;
use std::sync::Arc;

use cluster::{Metadata, TextMap, intern};
use hashbrown::HashMap;
use model::Labels;

/// What all meta labels of this mechanism begin with.
const PREFIX: &str = "__meta_kubernetes_";

/// With more names than this the cache starts anew: keys of labels that are gone are not kept for ever.
const MAX_NAMES: usize = 100_000;

/// The name that a key makes, and the one that says that the key is present.
type ByKey = HashMap<Arc<str>, (Arc<str>, Arc<str>)>;

/// Names of labels that were made before.
#[derive(Default)]
pub(super) struct Names {
    fixed: HashMap<&'static str, Arc<str>>,
    /// By what they begin with.
    made: HashMap<&'static str, ByKey>,
    n_made: usize,
}

impl Names {
    /// `__meta_kubernetes_<name>`.
    fn meta(&mut self, name: &'static str) -> Arc<str> {
        let made = || intern(&format!("{PREFIX}{name}"));
        Arc::clone(self.fixed.entry(name).or_insert_with(made))
    }

    /// The names for a key: `__meta_kubernetes_<before>_<key>`, and the same with `present` behind `before`.
    fn of_key(&mut self, before: &'static str, present: &str, key: &Arc<str>) -> (Arc<str>, Arc<str>) {
        if self.n_made > MAX_NAMES {
            self.made.clear();
            self.n_made = 0;
        }
        let of_prefix = self.made.entry(before).or_default();
        if let Some(known) = of_prefix.get(key) {
            return known.clone();
        }
        let clean = clean(key);
        let names = (
            intern(&format!("{PREFIX}{before}_{clean}")),
            intern(&format!("{PREFIX}{before}{present}_{clean}")),
        );
        self.n_made += 1;
        drop(of_prefix.insert(Arc::clone(key), names.clone()));
        names
    }
}

/// Every character that may not stand in a name becomes `_`.
fn clean(key: &str) -> String {
    key.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '_' }).collect()
}

/// A label set under construction.
#[derive(Default)]
pub(super) struct Builder(Vec<(Arc<str>, Arc<str>)>);

impl Builder {
    pub(super) fn finish(self) -> Labels {
        Labels::from_shared(self.0)
    }

    /// `__address__`.
    pub(super) fn address(&mut self, names: &mut Names, value: Arc<str>) -> &mut Self {
        let name = Arc::clone(names.fixed.entry("").or_insert_with(|| intern("__address__")));
        self.0.push((name, value));
        self
    }

    /// A label that is no meta label.
    pub(super) fn plain(&mut self, name: &str, value: &Arc<str>) -> &mut Self {
        self.0.push((intern(name), Arc::clone(value)));
        self
    }

    /// `__meta_kubernetes_<name>`.
    pub(super) fn set(&mut self, names: &mut Names, name: &'static str, value: &Arc<str>) -> &mut Self {
        if !value.is_empty() {
            self.0.push((names.meta(name), Arc::clone(value)));
        }
        self
    }

    /// As [`Self::set`], where there is a value.
    pub(super) fn set_option(
        &mut self,
        names: &mut Names,
        name: &'static str,
        value: Option<&Arc<str>>,
    ) -> &mut Self {
        if let Some(value) = value {
            self.set(names, name, value);
        }
        self
    }

    /// As [`Self::set`], of a number, a word or a truth.
    pub(super) fn say(&mut self, names: &mut Names, name: &'static str, value: impl Display) -> &mut Self {
        self.set(names, name, &intern(&value.to_string()))
    }

    /// `<before>_<key>` for each entry, and `<before>present_<key>`.
    pub(super) fn map(
        &mut self,
        names: &mut Names,
        before: &'static str,
        present: &str,
        map: &TextMap,
    ) -> &mut Self {
        self.0.reserve(2 * map.len());
        let yes = intern("true");
        for (key, value) in map.iter() {
            let (name, is_present) = names.of_key(before, present, key);
            self.0.push((name, Arc::clone(value)));
            self.0.push((is_present, Arc::clone(&yes)));
        }
        self
    }

    /// A single name made of a key, such as `node_address_InternalIP`.
    pub(super) fn of_key(
        &mut self,
        names: &mut Names,
        before: &'static str,
        key: &Arc<str>,
        value: &Arc<str>,
    ) -> &mut Self {
        let (name, _) = names.of_key(before, "present", key);
        self.0.push((name, Arc::clone(value)));
        self
    }

    /// Name, labels and annotations of an object: `<what>_name`, `<what>_label_*` and so on.
    pub(super) fn object(&mut self, names: &mut Names, what: &What, metadata: &Metadata) -> &mut Self {
        self.set(names, what.name, &metadata.name);
        self.marks(names, what, metadata)
    }

    /// Labels and annotations of an object.
    pub(super) fn marks(&mut self, names: &mut Names, what: &What, metadata: &Metadata) -> &mut Self {
        self.map(names, what.label, "present", &metadata.labels);
        self.map(names, what.annotation, "present", &metadata.annotations)
    }

    /// Everything of another one.
    pub(super) fn extend(&mut self, other: &[(Arc<str>, Arc<str>)]) -> &mut Self {
        self.0.extend_from_slice(other);
        self
    }

    /// What was set so far, to be used several times.
    pub(super) fn pairs(self) -> Vec<(Arc<str>, Arc<str>)> {
        self.0
    }
}

/// Names that labels of an object begin with.
pub(super) struct What {
    name: &'static str,
    pub(super) label: &'static str,
    annotation: &'static str,
}

impl What {
    pub(super) const NODE: Self =
        Self { name: "node_name", label: "node_label", annotation: "node_annotation" };
    pub(super) const SERVICE: Self =
        Self { name: "service_name", label: "service_label", annotation: "service_annotation" };
    pub(super) const POD: Self = Self { name: "pod_name", label: "pod_label", annotation: "pod_annotation" };
    pub(super) const ENDPOINTS: Self =
        Self { name: "endpoints_name", label: "endpoints_label", annotation: "endpoints_annotation" };
    pub(super) const ENDPOINT_SLICE: Self = Self {
        name: "endpointslice_name",
        label: "endpointslice_label",
        annotation: "endpointslice_annotation",
    };
    pub(super) const INGRESS: Self =
        Self { name: "ingress_name", label: "ingress_label", annotation: "ingress_annotation" };
    pub(super) const NAMESPACE: Self =
        Self { name: "namespace", label: "namespace_label", annotation: "namespace_annotation" };
}

/// Host and port as one text; an IPv6 address gets brackets.
pub(super) fn host_port(host: &str, port: i32) -> Arc<str> {
    if host.contains(':') { format!("[{host}]:{port}").into() } else { format!("{host}:{port}").into() }
}
