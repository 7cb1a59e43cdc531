//! What the searches of the configuration's own jobs (`kubernetes_sd_configs`) make of a pod or a service: the first namespace or
//! selector for which they do not look at it.

use std::sync::Arc;

use cluster::{Cluster, EndpointSlice, Endpoints, Pod, Service, TextMap};
use discovery::{KubernetesSdConfig, Passed, Role, Sight};
use serde_json::{Value, json};

use super::object::{Reached, known};
use crate::jobs::JobSpec;

/// Jobs that are told; those that come nearest first.
const MAX_JOBS: usize = 20;

/// An object, and the objects through which searches of other roles come to it.
pub(super) struct Searched {
    own_namespace: Arc<str>,
    namespace: Arc<str>,
    role: Role,
    labels: TextMap,
    fields: Vec<(&'static str, Arc<str>)>,
    /// Names and labels of what leads to it, in the same namespace.
    endpoints: Vec<(Arc<str>, TextMap)>,
    slices: Vec<(Arc<str>, TextMap)>,
}

impl Searched {
    pub(super) fn pod(pod: &Pod, cluster: &Cluster) -> Self {
        let metadata = &pod.metadata;
        let is_pod =
            |reference: &cluster::Reference| *reference.kind == *"Pod" && reference.name == metadata.name;
        let endpoints = near::<Endpoints>(cluster, &metadata.namespace, |endpoints| {
            let subsets = endpoints.subsets.iter();
            let mut all =
                subsets.flat_map(|subset| subset.addresses.iter().chain(&subset.not_ready_addresses));
            all.any(|address| address.target_ref.as_deref().is_some_and(is_pod))
        });
        let slices = near::<EndpointSlice>(cluster, &metadata.namespace, |slice| {
            slice.endpoints.iter().any(|endpoint| endpoint.target_ref.as_deref().is_some_and(is_pod))
        });
        Self {
            own_namespace: Arc::clone(cluster.default_namespace()),
            namespace: Arc::clone(&metadata.namespace),
            role: Role::Pod,
            labels: metadata.labels.clone(),
            fields: vec![
                ("metadata.name", Arc::clone(&metadata.name)),
                ("metadata.namespace", Arc::clone(&metadata.namespace)),
                ("spec.nodeName", Arc::clone(&pod.node_name)),
                ("status.phase", Arc::clone(&pod.phase)),
                ("status.podIP", Arc::clone(&pod.ip)),
            ],
            endpoints,
            slices,
        }
    }

    pub(super) fn service(service: &Service, cluster: &Cluster) -> Self {
        let metadata = &service.metadata;
        let name = &metadata.name;
        Self {
            own_namespace: Arc::clone(cluster.default_namespace()),
            namespace: Arc::clone(&metadata.namespace),
            role: Role::Service,
            labels: metadata.labels.clone(),
            fields: vec![
                ("metadata.name", Arc::clone(name)),
                ("metadata.namespace", Arc::clone(&metadata.namespace)),
            ],
            endpoints: near::<Endpoints>(cluster, &metadata.namespace, |endpoints| {
                endpoints.metadata.name == *name
            }),
            slices: near::<EndpointSlice>(cluster, &metadata.namespace, |slice| {
                slice.service_name() == Some(name)
            }),
        }
    }

    /// Adds what every job that looks into the cluster makes of the object.
    pub(super) fn by(&self, jobs: &[Arc<JobSpec>], reached: &mut Reached) {
        let mut told: Vec<(u8, Value)> = Vec::new();
        for job in jobs.iter().filter(|job| job.uses_kubernetes()) {
            let searches = job.config().sd.kubernetes_sd_configs.iter();
            let searches = searches.filter(|search| JobSpec::is_search_here(search));
            let nearest =
                searches.map(|search| self.why_not(search)).min_by_key(|why| distance(why.as_ref()));
            let Some(why) = nearest else { continue };
            let (distance, is_reached) = (distance(why.as_ref()), why.is_none());
            if is_reached {
                reached.searching.push(job.name().to_owned());
            }
            let text = why.map_or_else(|| "looks at it; its rules decide".to_owned(), |(_, text)| text);
            reached.come_near(distance, || format!("job {}: {text}", job.name()));
            told.push((distance, json!({ "job": job.name(), "reaches": is_reached, "why": text })));
        }
        told.sort_by_key(|(distance, _)| *distance);
        reached.jobs = told.into_iter().take(MAX_JOBS).map(|(_, told)| told).collect();
    }

    /// Why a search does not come to the object, and how far it is from that; nothing where relabelling decides.
    fn why_not(&self, search: &KubernetesSdConfig) -> Option<(u8, String)> {
        let (of, through) = match search.role {
            Role::Endpoints => ("Endpoints", &self.endpoints),
            Role::EndpointSlice => ("EndpointSlice", &self.slices),
            _ => return self.passed(search, self.role, &self.labels, true).map(told),
        };
        if through.is_empty() {
            let of_namespace = self.passed(search, search.role, &TextMap::default(), false);
            let of_namespace = of_namespace.filter(|passed| matches!(passed, Passed::Namespace(_)));
            let unknown = || (2, format!("no {of} that is known leads to it"));
            return Some(of_namespace.map_or_else(unknown, told));
        }
        let mut nearest: Option<(u8, String)> = None;
        for (name, labels) in through {
            let (distance, why) = told(self.passed(search, search.role, labels, false)?);
            if nearest.as_ref().is_none_or(|(before, _)| distance < *before) {
                nearest = Some((distance, format!("through {of} {name}: {why}")));
            }
        }
        nearest
    }

    fn passed(
        &self,
        search: &KubernetesSdConfig,
        role: Role,
        labels: &TextMap,
        has_fields: bool,
    ) -> Option<Passed> {
        let fields: Vec<(&str, &str)> = self.fields.iter().map(|(path, value)| (*path, &**value)).collect();
        let fields = if has_fields { &fields[..] } else { &[] };
        search.passes(Sight { role, namespace: &self.namespace, labels, fields }, &self.own_namespace)
    }
}

fn told(passed: Passed) -> (u8, String) {
    let distance = match passed {
        Passed::Labels(_) | Passed::Fields(_) => 2,
        Passed::Namespace(_) => 3,
        Passed::Role(_) => 6,
    };
    (distance, passed.to_string())
}

/// 0 where nothing is in the way.
fn distance(why: Option<&(u8, String)>) -> u8 {
    why.map_or(0, |(distance, _)| *distance)
}

/// Names and labels of objects of a namespace.
fn near<T: cluster::Resource>(
    cluster: &Cluster,
    namespace: &str,
    leads_here: impl Fn(&T) -> bool,
) -> Vec<(Arc<str>, TextMap)> {
    let objects = known::<T>(cluster);
    let here = objects.values().filter(|object| *object.metadata().namespace == *namespace);
    let here = here.filter(|object| leads_here(object));
    here.map(|object| (Arc::clone(&object.metadata().name), object.metadata().labels.clone())).collect()
}
