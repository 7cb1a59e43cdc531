//! What endpoints of ServiceMonitors and PodMonitors have in common.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use scrape::ScrapeConfig;
use serde::Deserialize;

use super::class::ScrapeClass;
use super::client::OwnTls;
use super::crd::{Common, KeyRef, Login, ProxyConfig, Relabeling};
use super::draft::Draft;
use super::rules::RuleList;

/// How an endpoint is scraped, whatever its targets are.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Scraping {
    /// Path of the request; `/metrics` where empty.
    path: String,
    /// `http` or `https`, in any case; `http` where empty.
    scheme: String,
    /// Parameters of the request.
    params: BTreeMap<String, Vec<String>>,
    /// How often targets are scraped.
    interval: String,
    /// How long a scrape may take; not longer than the interval.
    scrape_timeout: String,
    /// Whether labels of samples win over labels of targets.
    honor_labels: bool,
    /// Whether timestamps that targets expose count.
    honor_timestamps: Option<bool>,
    /// Whether series with exposed timestamps get stale markers, too.
    track_timestamps_staleness: Option<bool>,
    /// Rules over the labels of series, after those of the scrape class.
    metric_relabelings: Vec<Relabeling>,
    /// Rules over the labels of targets, after those of the scrape class.
    relabelings: Vec<Relabeling>,
    /// Whether pods that have ended are left out.
    pub(super) filter_running: Option<bool>,
    /// Whether redirects are followed.
    follow_redirects: Option<bool>,
    /// Whether HTTP/2 is spoken where the server offers it.
    enable_http2: Option<bool>,
    /// Token. Deprecated.
    bearer_token_secret: Option<KeyRef>,
    #[serde(flatten)]
    login: Login,
    #[serde(flatten)]
    proxy: ProxyConfig,
}

impl Scraping {
    /// The job of the endpoint at `path` of the monitor, without its targets, their rules and how it logs in.
    pub(super) fn config(
        &self,
        draft: &mut Draft<'_>,
        path: &str,
        index: usize,
        (common, body_size): (&Common, &str),
        class: Option<&ScrapeClass>,
    ) -> ScrapeConfig {
        let mut config = ScrapeConfig::new(draft.job_name(Some(index)));
        config.honor_labels = draft.honors_labels(self.honor_labels);
        config.honor_timestamps = draft.honors_timestamps(self.honor_timestamps);
        config.track_timestamps_staleness = self.track_timestamps_staleness.unwrap_or(false);
        config.scrape_interval = draft.period(&format!("{path}::interval"), &self.interval);
        config.scrape_timeout = draft.period(&format!("{path}::scrapeTimeout"), &self.scrape_timeout);
        if !self.path.is_empty() {
            config.metrics_path.clone_from(&self.path);
        }
        config.params.clone_from(&self.params);
        config.scheme = draft.scheme(&format!("{path}::scheme"), &self.scheme);
        let body_size = draft.size("spec::bodySizeLimit", body_size);
        draft.common(&mut config, common, class, body_size);
        config
    }

    /// How its targets are reached. A file with a token has to be in `config` already.
    pub(super) fn client(
        &self,
        draft: &mut Draft<'_>,
        path: &str,
        config: &mut ScrapeConfig,
        own: Option<OwnTls<'_>>,
        class: Option<&ScrapeClass>,
    ) {
        let client = &mut config.client;
        client.follow_redirects = self.follow_redirects.unwrap_or(true);
        client.enable_http2 = self.enable_http2.unwrap_or(true);
        client.proxy = draft.proxy(path, &self.proxy);
        client.tls_config = draft.tls(&format!("{path}::tlsConfig"), own, class);
        client.bearer_token = draft.bearer(path, self.bearer_token_secret.as_ref());
        draft.login(path, client, &self.login, class);
    }

    /// Adds the job with these rules, and behind them those of the class and the endpoint's own.
    pub(super) fn add(
        &self,
        draft: &mut Draft<'_>,
        path: &str,
        config: ScrapeConfig,
        mut rules: RuleList,
        class: Option<&ScrapeClass>,
    ) {
        draft.relabel(&mut rules, class, &format!("{path}::relabelings"), &self.relabelings);
        let metric_rules =
            draft.metric_rules(class, &format!("{path}::metricRelabelings"), &self.metric_relabelings);
        draft.add(path, config, rules, metric_rules);
    }
}
