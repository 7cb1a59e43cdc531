//! Scrape classes: what the administrator says once for many monitors.
//!
//! A monitor names its class, or gets the one marked as default. As upstream, relabellings of the class stand before the
//! monitor's own, and its TLS, fallback protocol and metadata are used where the monitor has none. Different on purpose: the
//! authorization of a class is used only where the monitor has no way to log in of its own. Upstream emits both, the
//! result is refused as a whole, and no monitor is taken over any more.

use config::Problem;
use schemars::JsonSchema;
use scrape::ScrapeProtocol;
use serde::Deserialize;

use super::crd::{AttachMetadata, ClassAuthorization, Relabeling, TlsConfig};
use super::rules;

/// A scrape class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeClass {
    /// The name that monitors use.
    pub name: String,
    /// Whether it is used where a monitor names none.
    #[serde(default)]
    pub default: bool,
    /// The format of answers whose content type says nothing useful.
    #[serde(default)]
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// TLS.
    #[serde(default)]
    pub tls_config: Option<TlsConfig>,
    /// The `Authorization` header.
    #[serde(default)]
    pub authorization: Option<ClassAuthorization>,
    /// Which labels of other objects targets get.
    #[serde(default)]
    pub attach_metadata: Option<AttachMetadata>,
    /// Rules over the labels of targets, before the monitor's own.
    #[serde(default)]
    pub relabelings: Vec<Relabeling>,
    /// Rules over the labels of series, before the monitor's own.
    #[serde(default)]
    pub metric_relabelings: Vec<Relabeling>,
}

impl ScrapeClass {
    /// What is wrong with classes; paths begin with the index of the class.
    pub(super) fn check_all(classes: &[Self]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut default: Option<&str> = None;
        for (index, class) in classes.iter().enumerate() {
            let mut found = class.check();
            if classes[..index].iter().any(|other| other.name == class.name) {
                found.push(
                    Problem::at("name", format!("there are two scrape classes named `{}`", class.name))
                        .with_hint("rename one of them"),
                );
            }
            if let Some(first) = default.filter(|_| class.default) {
                found.push(
                    Problem::at("default", format!("class `{first}` is the default already"))
                        .with_hint("leave `default: true` to one of them"),
                );
            }
            if class.default {
                default.get_or_insert(&class.name);
            }
            problems.extend(found.into_iter().map(|problem| problem.under(&index.to_string())));
        }
        problems
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.name.is_empty() {
            problems.push(Problem::at("name", "a scrape class needs a name"));
        }
        problems.extend(rules::check("relabelings", &self.relabelings));
        problems.extend(rules::check("metricRelabelings", &self.metric_relabelings));
        if let Some(tls) = &self.tls_config {
            problems.extend(tls.check().into_iter().map(|problem| problem.under("tlsConfig")));
        }
        let kind = self.authorization.as_ref().map_or("", |authorization| authorization.own.kind.trim());
        if kind.eq_ignore_ascii_case("basic") {
            problems.push(
                Problem::at("authorization::type", "a scrape class cannot use `basic`")
                    .with_hint("use another type, or `basicAuth` in the monitors"),
            );
        }
        let has_both = |authorization: &ClassAuthorization| {
            authorization.own.credentials.is_some() && !authorization.credentials_file.is_empty()
        };
        if self.authorization.as_ref().is_some_and(has_both) {
            let message = "`credentials` and `credentialsFile` exclude each other";
            problems
                .push(Problem::at("authorization::credentialsFile", message).with_hint("give one of them"));
        }
        problems
    }
}

impl TlsConfig {
    /// What is given twice, as a reference and as a file, and pairs of which one half is missing.
    fn check(&self) -> Vec<Problem> {
        let (safe, files) = (&self.safe, &self.files);
        let mut problems = Vec::new();
        let twice = [
            ("caFile", "ca", !safe.ca.is_empty() && !files.ca_file.is_empty()),
            ("certFile", "cert", !safe.cert.is_empty() && !files.cert_file.is_empty()),
            ("keyFile", "keySecret", safe.key_secret.is_some() && !files.key_file.is_empty()),
        ];
        for (file, reference, _) in twice.into_iter().filter(|(.., is_twice)| *is_twice) {
            problems.push(
                Problem::at(file, format!("`{file}` and `{reference}` exclude each other"))
                    .with_hint("give one of them"),
            );
        }
        let has_cert = !safe.cert.is_empty() || !files.cert_file.is_empty();
        let has_key = safe.key_secret.is_some() || !files.key_file.is_empty();
        if has_cert != has_key {
            let (missing, remedy) = if has_cert { ("key", "keySecret") } else { ("certificate", "cert") };
            problems.push(
                Problem::at(remedy, format!("the {missing} is missing"))
                    .with_hint("certificate and key are given together"),
            );
        }
        problems
    }
}
