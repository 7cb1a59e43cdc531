//! Role `ingress`: each path of each rule; meant for probes from outside.

use std::sync::Arc;

use cluster::{Ingress, IngressRule, intern};

use super::{attach_namespace, source};
use crate::Group;
use crate::kubernetes::labels::{Builder, What};
use crate::kubernetes::world::Asking;

/// The group of an ingress.
pub(in crate::kubernetes) fn ingress(ingress: &Ingress, asking: &mut Asking<'_>) -> Group {
    let metadata = &ingress.metadata;
    let mut labels = Builder::default();
    labels
        .set(asking.names, "namespace", &metadata.namespace)
        .set_option(asking.names, "ingress_class_name", ingress.class_name.as_ref())
        .object(asking.names, &What::INGRESS, metadata);
    attach_namespace(&mut labels, asking, &metadata.namespace);
    let mut targets = Vec::new();
    for rule in &ingress.rules {
        let is_secure = ingress.tls_hosts.iter().any(|pattern| covers(pattern, &rule.host));
        for path in paths(rule) {
            let mut target = Builder::default();
            target
                .address(asking.names, Arc::clone(&rule.host))
                .say(asking.names, "ingress_scheme", if is_secure { "https" } else { "http" })
                .set(asking.names, "ingress_host", &rule.host)
                .set(asking.names, "ingress_path", &path);
            targets.push(target.finish());
        }
    }
    Group { source: source("ingress", &metadata.key()), labels: labels.finish(), targets }
}

/// The paths of a rule; one that says nothing about HTTP has the root.
fn paths(rule: &IngressRule) -> Vec<Arc<str>> {
    let root = || intern("/");
    let or_root = |path: &Arc<str>| if path.is_empty() { root() } else { Arc::clone(path) };
    rule.paths.as_ref().map_or_else(|| vec![root()], |paths| paths.iter().map(or_root).collect())
}

/// Whether a host is the pattern, or stands at the place of its `*`, which is one whole part of a name.
fn covers(pattern: &str, host: &str) -> bool {
    let behind = |text: &str| text.split_once('.').map(|(_, behind)| behind.to_owned());
    let is_wild = pattern == "*" || pattern.starts_with("*.");
    pattern == host || (is_wild && behind(pattern) == behind(host))
}
