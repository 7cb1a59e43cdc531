//! The keys of the configuration file, as upstream's v0.158 has them, and one of our own: `collectors`.

use config::{HostPort, Node, Period, Timeout};
use schemars::JsonSchema;
use serde::Deserialize;

use super::prometheus_cr::{LabelSelector, PrometheusCr};

/// The configuration file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct File {
    /// Where plain HTTP is served.
    #[serde(default = "port_8080")]
    pub listen_addr: HostPort,

    /// The kubeconfig file; in-cluster access where it is absent.
    #[serde(default)]
    pub kube_config_file_path: Option<String>,

    /// The namespace of the collectors; the environment variable `OTELCOL_NAMESPACE` wins.
    #[serde(default)]
    pub collector_namespace: Option<String>,

    /// Which pods are collectors; absent is none, empty is all.
    #[serde(default)]
    #[schemars(extend("x-null" = "none"))]
    pub collector_selector: Option<LabelSelector>,

    /// How long a pod may be unready before its targets move; 0 ignores health.
    #[serde(default = "config::timeout_secs::<30>")]
    pub collector_not_ready_grace_period: Timeout,

    /// Who the collectors are where Kubernetes is not asked. Exactly one of its keys.
    #[serde(default)]
    pub collectors: Option<Collectors>,

    /// How targets are shared out.
    #[serde(default)]
    pub allocation_strategy: StrategyName,

    /// Takes the targets for which `per-node` finds no member: `consistent-hashing`, `least-weighted`, or empty for none.
    #[serde(default)]
    pub allocation_fallback_strategy: Option<String>,

    /// Settings of single strategies.
    #[serde(default)]
    pub allocation_strategy_config: Option<StrategyConfig>,

    /// `relabel-config` leaves out targets that relabelling drops; any other word keeps them.
    #[serde(default = "relabel_config")]
    pub filter_strategy: String,

    /// How long more than half of a job's targets must be missing, right after discovery came back from trouble, until that is
    /// believed; 0 believes it at once.
    #[serde(default = "config::timeout_secs::<30>")]
    pub sudden_fall_hold: Timeout,

    /// A file in which the assignment is kept, so that a restart goes on with the same owners and handovers. Neither targets nor
    /// credentials are in it.
    #[serde(default)]
    pub state_file: Option<String>,

    /// A ConfigMap in the namespace of the collectors, in which the assignment is kept and through which replicas share it: members,
    /// turns of targets that change hands, and who has heard of them. It is created when it is not there. Instead of `state_file`.
    #[serde(default)]
    pub state_config_map: Option<String>,

    /// Shows credentials to plain HTTP clients; `<secret>` stands in their place otherwise.
    #[serde(default)]
    pub allow_insecure_auth_secrets: bool,

    /// A second listener with mutual TLS, whose clients see credentials.
    #[serde(default)]
    pub https: Option<Https>,

    /// Push of our own metrics. Read, not used: they are served at `/metrics`.
    #[serde(default)]
    pub telemetry: Option<Telemetry>,

    /// Monitors of the Prometheus operator.
    #[serde(default)]
    pub prometheus_cr: Option<PrometheusCr>,
}

/// The strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyName {
    /// By hash.
    #[default]
    ConsistentHashing,
    /// New targets to the member with the fewest.
    LeastWeighted,
    /// To the member on the target's node.
    PerNode,
}

/// Settings of single strategies.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct StrategyConfig {
    /// Settings of `per-node`.
    #[serde(default)]
    pub per_node: Option<PerNodeConfig>,
}

/// Settings of `per-node`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct PerNodeConfig {
    /// Takes the targets for which there is no member on their node.
    #[serde(default)]
    pub fallback_strategy: Option<FallbackConfig>,
}

/// A strategy that stands in for another.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct FallbackConfig {
    /// `consistent-hashing`, `least-weighted`, or empty for none.
    #[serde(default)]
    pub name: String,
}

/// Who the collectors are. Exactly one key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Collectors {
    /// Names; `{name, node}` where `per-node` is used and the name of the collector is not that of its node.
    #[serde(default, rename = "static")]
    pub fixed: Option<Vec<MemberConfig>>,

    /// A file with a YAML list as under `static`, or one name per line. It is followed; a list that is empty or broken
    /// does not replace a good one.
    #[serde(default)]
    pub file: Option<String>,

    /// Whoever asks for targets with a `collector_id` is a member. Behind a load balancer this needs one that passes
    /// requests on before the first list is answered.
    #[serde(default)]
    pub polling: Option<PollingConfig>,
}

/// A collector.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MemberConfig {
    /// Its name.
    Name(String),
    /// Its name and its node.
    Placed {
        /// What it sends as `collector_id`.
        name: String,
        /// Where it runs.
        #[serde(default)]
        node: Option<String>,
    },
}

/// Members are who asks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct PollingConfig {
    /// How long a member stays after it last asked. Longer than twice the interval at which collectors ask (30s where nothing
    /// else is configured); one that announces a longer interval is given twice that.
    #[serde(default = "config::secs::<60>")]
    pub grace: Period,

    /// How long members may gather, from the first one that asks, before the first list is answered. Not shorter than the
    /// interval at which collectors ask, or a restart of the allocator gives all targets to the first of them.
    #[serde(default = "config::timeout_secs::<30>")]
    pub settle: Timeout,
}

/// The HTTPS listener.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Https {
    /// Whether it is there.
    #[serde(default)]
    pub enabled: bool,
    /// Where it is served.
    #[serde(default = "port_8443")]
    pub listen_addr: HostPort,
    /// The authority that client certificates must come from.
    #[serde(default)]
    pub ca_file_path: String,
    /// Our certificate.
    #[serde(default)]
    pub tls_cert_file_path: String,
    /// Our key.
    #[serde(default)]
    pub tls_key_file_path: String,
}

impl Default for Https {
    fn default() -> Self {
        Self {
            enabled: false,
            listen_addr: port_8443(),
            ca_file_path: String::new(),
            tls_cert_file_path: String::new(),
            tls_key_file_path: String::new(),
        }
    }
}

/// Push of our own metrics.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// Where metrics go.
    #[serde(default)]
    pub metrics: Option<TelemetryMetrics>,
}

/// Push of our own metrics.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct TelemetryMetrics {
    /// OTLP exporters and their intervals.
    #[serde(default)]
    pub readers: Vec<Node>,
}

fn port_8080() -> HostPort {
    ":8080".parse().expect("a literal address")
}

fn port_8443() -> HostPort {
    ":8443".parse().expect("a literal address")
}

fn relabel_config() -> String {
    "relabel-config".to_owned()
}
