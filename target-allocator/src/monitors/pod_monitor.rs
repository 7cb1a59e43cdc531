//! PodMonitors: ports of pods, one job for each listed endpoint.

use std::sync::LazyLock;

use config::{Problem, schema_of};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::MAX_ENDPOINTS;
use super::class::ScrapeClass;
use super::client::OwnTls;
use super::crd::{AttachMetadata, Common, NamespaceSelector, Port, SafeTlsConfig, SelectorMechanism};
use super::draft::{Draft, node_of};
use super::endpoint::Scraping;
use super::rules::{self, RuleList, copy, keep, meta_label, rewrite, set};
use super::sd::Search;
use crate::selector::Selector;

/// `spec` of a PodMonitor.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    /// The label of the pod that becomes `job`.
    job_label: String,
    /// Labels of pods that targets get.
    pod_target_labels: Vec<String>,
    /// What is scraped.
    pub(super) pod_metrics_endpoints: Vec<Endpoint>,
    /// Which pods.
    pub(super) selector: Selector,
    /// How they are selected.
    selector_mechanism: SelectorMechanism,
    /// Where they are.
    pub(super) namespace_selector: NamespaceSelector,
    /// Which labels of other objects targets get.
    attach_metadata: Option<AttachMetadata>,
    /// Largest answer.
    body_size_limit: String,
    /// What every kind can say.
    #[serde(flatten)]
    common: Common,
}

/// What is scraped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    /// The port of the container, by name.
    pub(super) port: String,
    /// The port of the container, by number, where `port` is not given.
    pub(super) port_number: i64,
    /// The port of the container, where neither is given. Deprecated.
    pub(super) target_port: Option<Port>,
    /// TLS.
    tls_config: Option<SafeTlsConfig>,
    #[serde(flatten)]
    pub(super) scraping: Scraping,
}

/// The schema of [`Spec`].
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<Spec>);

/// Makes the jobs of a PodMonitor.
pub(super) fn make(draft: &mut Draft<'_>, spec: &Value) {
    let Some(spec) = draft.read::<Spec>(&node_of(spec), "spec", &SCHEMA) else { return };
    draft.refuse_all("spec::selector", spec.selector.check());
    if spec.pod_metrics_endpoints.len() > MAX_ENDPOINTS {
        let message = format!("more endpoints than MAX_ENDPOINTS, {MAX_ENDPOINTS}");
        return draft
            .refuse(Problem::at("spec::podMetricsEndpoints", message).with_hint("split the monitor"));
    }
    let class = draft.class(&spec.common.scrape_class);
    for (index, endpoint) in spec.pod_metrics_endpoints.iter().enumerate() {
        endpoint.make(draft, &format!("spec::podMetricsEndpoints::{index}"), index, &spec, class);
    }
}

impl Endpoint {
    fn make(
        &self,
        draft: &mut Draft<'_>,
        path: &str,
        index: usize,
        spec: &Spec,
        class: Option<&ScrapeClass>,
    ) {
        let limits = (&spec.common, &*spec.body_size_limit);
        let mut config = self.scraping.config(draft, path, index, limits, class);
        self.scraping.client(draft, path, &mut config, OwnTls::safe(self.tls_config.as_ref()), class);
        let search = spec.search(draft, class);
        config.sd = draft.search(search);
        let rules = self.target_rules(draft, path, spec);
        self.scraping.add(draft, path, config, rules, class);
    }

    /// The rules that decide which ports are targets, and what labels they get. Pods that have ended are dropped before
    /// the selector, unlike those of ServiceMonitors.
    fn target_rules(&self, draft: &mut Draft<'_>, path: &str, spec: &Spec) -> RuleList {
        let mut list = RuleList::of_job();
        if self.scraping.filter_running.unwrap_or(true) {
            list.push("spec", rules::running());
        }
        if spec.selector_mechanism == SelectorMechanism::RelabelConfig {
            list.select("spec::selector", "pod", &spec.selector);
        }
        let target_port = format!("{path}::targetPort");
        if !self.port.is_empty() {
            let rule = keep(&["__meta_kubernetes_pod_container_port_name"], self.port.as_str());
            list.push(format!("{path}::port"), rule);
        } else if self.port_number != 0 {
            let number = self.port_number.to_string();
            list.push(
                format!("{path}::portNumber"),
                keep(&["__meta_kubernetes_pod_container_port_number"], number),
            );
        } else if let Some(port) = &self.target_port {
            draft.warn(
                Problem::warning(target_port.as_str(), "targetPort is deprecated")
                    .with_hint("use port or portNumber"),
            );
            if let Some(rule) = port.keep() {
                list.push(target_port.as_str(), rule);
            }
        }
        list.push("spec", copy(&["__meta_kubernetes_namespace"], "namespace"));
        list.push("spec", copy(&["__meta_kubernetes_pod_container_name"], "container"));
        list.push("spec", copy(&["__meta_kubernetes_pod_name"], "pod"));
        list.copy_labels("spec::podTargetLabels", "pod", &spec.pod_target_labels);
        list.copy_labels("prometheus_cr::pod_target_labels", "pod", &draft.policy.config().pod_target_labels);
        let job = format!("{}/{}", draft.monitor.namespace, draft.monitor.name);
        list.push("metadata::name", set("job", &job));
        if !spec.job_label.is_empty() {
            let label = meta_label("pod", &spec.job_label);
            list.push("spec::jobLabel", rewrite(&[&label], "(.+)", "job", "${1}"));
        }
        // A port number is no endpoint, as upstream.
        if !self.port.is_empty() {
            list.push(format!("{path}::port"), set("endpoint", &self.port));
        } else if let Some(port) =
            self.target_port.as_ref().map(ToString::to_string).filter(|port| !port.is_empty())
        {
            list.push(target_port, set("endpoint", &port));
        }
        list
    }
}

impl Spec {
    fn search(&self, draft: &Draft<'_>, class: Option<&ScrapeClass>) -> Search {
        let by_role = self.selector_mechanism == SelectorMechanism::RoleSelector;
        let attach = self.attach_metadata.as_ref().or(class.and_then(|class| class.attach_metadata.as_ref()));
        Search {
            role: "pod",
            namespaces: draft.searched(&self.namespace_selector),
            attach_node: attach.map(|attach| attach.node.unwrap_or(false)),
            selectors: by_role.then(|| (vec!["pod"], self.selector.to_string())),
        }
    }
}
