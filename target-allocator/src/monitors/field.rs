//! Names of fields: from keys of a job back to the monitor it was made from, and as people read them.

use config::Problem;

use super::{Kind, sd};

/// Keys of jobs whose fields stand in `spec` itself, whatever endpoint the job was made from.
const OF_SPEC: [&str; 7] = [
    "always_scrape_classic_histograms",
    "body_size_limit",
    "metric_name_escaping_scheme",
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
    "scrape_native_histograms",
    "scrape_protocols",
];

/// Keys whose field has another name.
const RENAMED: [(&str, &str); 4] = [
    ("always_scrape_classic_histograms", "scrapeClassicHistograms"),
    ("bearer_token", "bearerTokenSecret"),
    ("metric_name_escaping_scheme", "nameEscapingScheme"),
    ("tls_config::key", "tlsConfig::keySecret"),
];

/// Where a key of a job came from.
pub(super) struct Origin<'a> {
    pub(super) kind: Kind,
    /// The part of the monitor that the job was made from.
    pub(super) path: &'a str,
    /// The field of each rule.
    pub(super) rules: &'a [String],
    /// The field of each rule over series.
    pub(super) metric_rules: &'a [String],
}

impl Origin<'_> {
    /// The field that a key of the job was made from.
    pub(super) fn field_of(&self, key: &str) -> String {
        let rule = |prefix: &str, fields: &[String]| {
            let index: usize = key.strip_prefix(prefix)?.split("::").next()?.parse().ok()?;
            fields.get(index).cloned()
        };
        let of_rules = rule("relabel_configs::", self.rules)
            .or_else(|| rule("metric_relabel_configs::", self.metric_rules));
        if let Some(field) = of_rules.or_else(|| self.field_of_search(key)) {
            return field;
        }
        let first = key.split("::").next().unwrap_or_default();
        let section = if OF_SPEC.contains(&first) {
            "spec"
        } else if self.kind == Kind::Probe && first.contains("proxy") {
            "spec::prober"
        } else {
            self.path
        };
        format!("{section}::{}", of_key(key))
    }
}

impl Origin<'_> {
    /// The field that a way to find targets was made from.
    fn field_of_search(&self, key: &str) -> Option<String> {
        match self.kind {
            Kind::ScrapeConfig => sd::field_of(key),
            Kind::Probe if key.starts_with("static_configs::0") => {
                let rest = key["static_configs::0".len()..].replace("::targets", "::static");
                Some(format!("spec::targets::staticConfig{rest}"))
            }
            Kind::Probe if key.starts_with("kubernetes_sd_configs") => {
                Some("spec::targets::ingress".to_owned())
            }
            _ => key.starts_with("kubernetes_sd_configs").then(|| "spec::selector".to_owned()),
        }
    }
}

/// The field of the same meaning as a key: `scrape_timeout` is `scrapeTimeout`.
pub(super) fn of_key(key: &str) -> String {
    RENAMED
        .iter()
        .find(|(known, _)| *known == key)
        .map_or_else(|| camel(key), |(_, field)| (*field).to_owned())
}

fn camel(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    let mut is_start = false;
    for c in key.chars() {
        match c {
            '_' => is_start = true,
            c if is_start => {
                text.extend(c.to_uppercase());
                is_start = false;
            }
            c => text.push(c),
        }
    }
    text
}

/// A path as `kubectl explain` writes it: `spec::endpoints::0::port` as `spec.endpoints[0].port`.
pub(super) fn shown(path: &str) -> String {
    let mut field = String::with_capacity(path.len());
    for step in path.split("::") {
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            field.push_str(&format!("[{step}]"));
        } else {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(step);
        }
    }
    field
}

/// What is wrong, and what to do.
pub(super) fn reason(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{}; {hint}", problem.message),
        None => problem.message.clone(),
    }
}
