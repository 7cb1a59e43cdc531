//! Probes: targets behind a prober, one job for each Probe.
//!
//! The prober is what is scraped; the target is a parameter of the request and becomes `instance`. Of static targets and
//! ingresses the former win, as upstream.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use config::{Problem, schema_of};
use discovery::{SdConfigs, StaticConfig};
use schemars::JsonSchema;
use scrape::ScrapeConfig;
use serde::Deserialize;
use serde_json::Value;

use super::client::OwnTls;
use super::crd::{Common, KeyRef, Login, NamespaceSelector, ProxyConfig, Relabeling, SafeTlsConfig};
use super::draft::{Draft, node_of};
use super::rules::{RuleList, copy, rewrite, set};
use super::sd::Search;
use crate::selector::Selector;

/// `spec` of a Probe.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    /// Becomes `job`.
    job_name: String,
    /// What asks the targets.
    prober: Prober,
    /// The parameter `module`.
    module: String,
    /// More parameters.
    params: Vec<Param>,
    /// What is asked.
    targets: Targets,
    /// How often targets are scraped.
    interval: String,
    /// How long a scrape may take; not longer than the interval.
    scrape_timeout: String,
    /// Rules over the labels of series, after those of the scrape class.
    metric_relabelings: Vec<Relabeling>,
    /// Whether redirects are followed.
    follow_redirects: Option<bool>,
    /// Whether HTTP/2 is spoken where the server offers it.
    enable_http2: Option<bool>,
    /// Token. Deprecated.
    bearer_token_secret: Option<KeyRef>,
    /// TLS.
    tls_config: Option<SafeTlsConfig>,
    #[serde(flatten)]
    login: Login,
    /// What every kind can say.
    #[serde(flatten)]
    common: Common,
}

/// What asks the targets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Prober {
    /// Host and perhaps port.
    url: String,
    /// `http` or `https`, in any case; `http` where empty.
    scheme: String,
    /// `/probe` where empty.
    path: String,
    #[serde(flatten)]
    proxy: ProxyConfig,
}

/// A parameter of the request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
struct Param {
    /// Its name.
    name: String,
    /// Its values.
    values: Vec<String>,
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Targets {
    /// Targets that are listed; they win over ingresses.
    static_config: Option<StaticTargets>,
    /// Hosts and paths of ingresses.
    ingress: Option<Ingresses>,
}

/// Targets that are listed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct StaticTargets {
    /// What is asked, as the prober takes it.
    #[serde(rename = "static")]
    targets: Vec<String>,
    /// Labels that all of them get; `namespace` is that of the Probe unless it stands here.
    labels: BTreeMap<String, String>,
    /// Rules over the labels of targets, after those of the scrape class.
    relabeling_configs: Vec<Relabeling>,
}

/// Hosts and paths of ingresses.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Ingresses {
    /// Which ones.
    selector: Selector,
    /// Where they are.
    namespace_selector: NamespaceSelector,
    /// Rules over the labels of targets, after those of the scrape class.
    relabeling_configs: Vec<Relabeling>,
}

/// The schema of [`Spec`].
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<Spec>);

/// Makes the job of a Probe.
pub(super) fn make(draft: &mut Draft<'_>, spec: &Value) {
    let Some(spec) = draft.read::<Spec>(&node_of(spec), "spec", &SCHEMA) else { return };
    if let Err(message) = check_prober(&spec.prober.url) {
        let problem = Problem::at("spec::prober::url", message);
        draft.refuse(
            problem.with_hint("write a host name or an IP address, and perhaps a port: `prober:9115`"),
        );
    }
    let class = draft.class(&spec.common.scrape_class);
    let mut config = ScrapeConfig::new(draft.job_name(None));
    config.honor_timestamps = draft.honors_timestamps(Some(true));
    config.metrics_path =
        if spec.prober.path.is_empty() { "/probe".to_owned() } else { spec.prober.path.clone() };
    config.scrape_interval = draft.period("spec::interval", &spec.interval);
    config.scrape_timeout = draft.period("spec::scrapeTimeout", &spec.scrape_timeout);
    config.scheme = draft.scheme("spec::prober::scheme", &spec.prober.scheme);
    config.params = spec.params();
    draft.common(&mut config, &spec.common, class, None);
    let client = &mut config.client;
    client.follow_redirects = spec.follow_redirects.unwrap_or(true);
    client.enable_http2 = spec.enable_http2.unwrap_or(true);
    client.proxy = draft.proxy("spec::prober", &spec.prober.proxy);
    client.tls_config = draft.tls("spec::tlsConfig", OwnTls::safe(spec.tls_config.as_ref()), class);
    client.bearer_token = draft.bearer("spec", spec.bearer_token_secret.as_ref());
    draft.login("spec", client, &spec.login, class);
    let mut rules = RuleList::of_job();
    if !spec.job_name.is_empty() {
        rules.push("spec::jobName", set("job", &spec.job_name));
    }
    let Targets { static_config, ingress } = &spec.targets;
    let (field, own) = match (static_config, ingress) {
        (Some(targets), _) => {
            config.sd = targets.sd(&draft.monitor.namespace);
            rules.push("spec", copy(&["__address__"], "__param_target"));
            ("spec::targets::staticConfig::relabelingConfigs", &targets.relabeling_configs)
        }
        (None, Some(ingresses)) => {
            draft.refuse_all("spec::targets::ingress::selector", ingresses.selector.check());
            let search = ingresses.search(draft);
            config.sd = draft.search(search);
            ingresses.rules(&mut rules);
            ("spec::targets::ingress::relabelingConfigs", &ingresses.relabeling_configs)
        }
        (None, None) => {
            let problem = Problem::at("spec::targets", "there is nothing to probe");
            return draft.refuse(problem.with_hint("give `staticConfig` or `ingress`"));
        }
    };
    rules.push("spec", copy(&["__param_target"], "instance"));
    rules.push("spec::prober::url", set("__address__", &spec.prober.url));
    draft.relabel(&mut rules, class, field, own);
    let metric_rules = draft.metric_rules(class, "spec::metricRelabelings", &spec.metric_relabelings);
    draft.add("spec", config, rules, metric_rules);
}

impl Spec {
    /// Parameters; `module` of the Probe wins over one of the list, and of two of a name the last.
    fn params(&self) -> BTreeMap<String, Vec<String>> {
        let listed = self.params.iter().map(|param| (param.name.clone(), param.values.clone()));
        let mut params: BTreeMap<_, _> = listed.collect();
        if !self.module.is_empty() {
            params.insert("module".to_owned(), vec![self.module.clone()]);
        }
        params
    }
}

impl StaticTargets {
    fn sd(&self, namespace: &str) -> SdConfigs {
        let mut labels = self.labels.clone();
        labels.entry("namespace".to_owned()).or_insert_with(|| namespace.to_owned());
        let targets = self.targets.iter().map(|target| target.as_str().into()).collect();
        let config = StaticConfig { targets, labels: labels.iter().collect() };
        SdConfigs { static_configs: [config].into(), ..SdConfigs::default() }
    }
}

impl Ingresses {
    fn search(&self, draft: &Draft<'_>) -> Search {
        Search {
            role: "ingress",
            namespaces: draft.searched(&self.namespace_selector),
            attach_node: None,
            selectors: None,
        }
    }

    fn rules(&self, list: &mut RuleList) {
        list.select("spec::targets::ingress::selector", "ingress", &self.selector);
        let parts = ["__meta_kubernetes_ingress_scheme", "__address__", "__meta_kubernetes_ingress_path"];
        list.push("spec", rewrite(&parts, "(.+);(.+);(.+)", "__param_target", "${1}://${2}${3}"));
        list.push("spec", copy(&["__meta_kubernetes_namespace"], "namespace"));
        list.push("spec", copy(&["__meta_kubernetes_ingress_name"], "ingress"));
        list.push("spec", copy(&["__address__"], "__tmp_ingress_address"));
    }
}

/// Whether the text is a host with or without a port.
fn check_prober(url: &str) -> Result<(), String> {
    let wrong = || Err(format!("`{url}` is not `host` or `host:port`"));
    let (host, port) = match url.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match url.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (url, None),
        },
    };
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return wrong();
    }
    if host.parse::<std::net::IpAddr>().is_ok() || is_host_name(host) { Ok(()) } else { wrong() }
}

fn is_host_name(host: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_part = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(is_inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::check_prober;

    #[test]
    fn a_prober_is_a_host_with_or_without_a_port() {
        for good in
            ["prober", "prober.monitoring.svc:9115", "10.0.0.1", "10.0.0.1:1", "[::1]:9115", "::1", "a_b.c."]
        {
            assert_eq!(check_prober(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "http://prober",
            "prober:",
            "prober:0",
            "prober:x",
            "prober:70000",
            "a/b",
            "a b",
            "-a",
            "a..b",
        ] {
            assert!(check_prober(bad).is_err(), "{bad}");
        }
    }
}
