//! What a request to an API server is about: resource, namespace, name and the words after the question mark.

use std::collections::HashMap;

/// A kind as the API serves it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// `Pod`.
    pub kind: &'static str,
    /// `v1`, or group and version: `discovery.k8s.io/v1`.
    pub version: &'static str,
    /// `pods`.
    pub plural: &'static str,
    /// Whether its objects have a namespace.
    pub is_namespaced: bool,
}

const fn resource(
    kind: &'static str,
    version: &'static str,
    plural: &'static str,
    is_namespaced: bool,
) -> Resource {
    Resource { kind, version, plural, is_namespaced }
}

/// Every kind that the fake serves.
pub static RESOURCES: [Resource; 16] = [
    resource("Namespace", "v1", "namespaces", false),
    resource("Node", "v1", "nodes", false),
    resource("Pod", "v1", "pods", true),
    resource("Service", "v1", "services", true),
    resource("Endpoints", "v1", "endpoints", true),
    resource("Secret", "v1", "secrets", true),
    resource("ConfigMap", "v1", "configmaps", true),
    resource("EndpointSlice", "discovery.k8s.io/v1", "endpointslices", true),
    resource("Ingress", "networking.k8s.io/v1", "ingresses", true),
    resource("ReplicaSet", "apps/v1", "replicasets", true),
    resource("StatefulSet", "apps/v1", "statefulsets", true),
    resource("Job", "batch/v1", "jobs", true),
    resource("ServiceMonitor", "monitoring.coreos.com/v1", "servicemonitors", true),
    resource("PodMonitor", "monitoring.coreos.com/v1", "podmonitors", true),
    resource("Probe", "monitoring.coreos.com/v1", "probes", true),
    resource("ScrapeConfig", "monitoring.coreos.com/v1alpha1", "scrapeconfigs", true),
];

impl Resource {
    /// The one of this plural; a test that names none of them is wrong.
    pub fn of(plural: &str) -> &'static Resource {
        let found = RESOURCES.iter().find(|resource| resource.plural == plural);
        found.unwrap_or_else(|| panic!("the fake API serves no `{plural}`"))
    }

    /// Whether objects in a list say what they are: those of custom resources do.
    pub(super) fn is_custom(&self) -> bool {
        self.version.starts_with("monitoring.")
    }
}

/// A path below a kind's collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) resource: &'static Resource,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

impl Address {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (version, rest) = match path.strip_prefix("/api/") {
            Some(rest) => rest.split_once('/')?,
            None => {
                let rest = path.strip_prefix("/apis/")?;
                let slash = rest.match_indices('/').nth(1)?.0;
                (&rest[..slash], &rest[slash + 1..])
            }
        };
        let words: Vec<&str> = rest.split('/').collect();
        let (namespace, words) = match words.as_slice() {
            ["namespaces", namespace, words @ ..] if !words.is_empty() => (Some(*namespace), words.to_vec()),
            words => (None, words.to_vec()),
        };
        let (plural, name) = match words.as_slice() {
            [plural] => (*plural, None),
            [plural, name] => (*plural, Some(*name)),
            _ => return None,
        };
        let resource =
            RESOURCES.iter().find(|resource| (resource.version, resource.plural) == (version, plural))?;
        let is_possible = resource.is_namespaced || namespace.is_none();
        let owned = |word: Option<&str>| word.map(str::to_owned);
        is_possible.then(|| Self { resource, namespace: owned(namespace), name: owned(name) })
    }
}

/// Words after the question mark, percent-decoded.
pub(super) fn query(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = || u8::from_str_radix(std::str::from_utf8(after.get(..2)?).ok()?, 16).ok();
        let (decoded, taken) = match byte {
            b'+' => (b' ', 0),
            b'%' => hex().map_or((byte, 0), |byte| (byte, 2)),
            _ => (byte, 0),
        };
        bytes.push(decoded);
        rest = &after[taken..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> Option<(&'static str, Option<String>, Option<String>)> {
        Address::parse(path).map(|address| (address.resource.kind, address.namespace, address.name))
    }

    #[test]
    fn paths_name_a_kind_a_namespace_and_an_object() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parsed("/api/v1/pods"), Some(("Pod", None, None)));
        assert_eq!(parsed("/api/v1/namespaces"), Some(("Namespace", None, None)));
        assert_eq!(parsed("/api/v1/namespaces/a"), Some(("Namespace", None, some("a"))));
        assert_eq!(parsed("/api/v1/namespaces/a/pods/b"), Some(("Pod", some("a"), some("b"))));
        let slices = "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices";
        assert_eq!(parsed(slices), Some(("EndpointSlice", some("a"), None)));
        for path in
            ["/api", "/apis/x/v1", "/api/v1/unknown", "/api/v1/namespaces/a/nodes", "/api/v1/pods/a/b/c"]
        {
            assert_eq!(parsed(path), None, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = query("labelSelector=a%3Db%2Cc+in+(d)&watch=1&x");
        assert_eq!(query["labelSelector"], "a=b,c in (d)");
        assert_eq!((query["watch"].as_str(), query["x"].as_str()), ("1", ""));
    }
}
