//! The allocator's jobs: from its answer to what can be scraped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use config::{Node, Problem};
use discovery::SdConfigs;
use scrape::{GlobalConfig, HttpFetch, Job, ScrapeConfig, ScrapeProtocol};

use super::Follower;

/// What is printed for a secret that may not leave the allocator over plain HTTP.
const REDACTED: &str = "<secret>";

/// A job that is new or changed.
pub(super) type Change = (String, Arc<Job>, Arc<HttpFetch>);

/// The jobs as they were said last.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    known: BTreeMap<String, ScrapeConfig>,
    is_known: bool,
}

/// Whether an answer is a map without a job.
///
/// # Errors
/// When it is no map at all; says what it is.
pub(super) fn is_empty(text: &str) -> Result<bool, String> {
    let root = parse(text)?;
    Ok(root.entries().len() == 0)
}

fn parse(text: &str) -> Result<Node, String> {
    let parsed = config::parse(text, "/scrape_configs").map_err(|problem| problem.to_string())?;
    if parsed.root.is_map() { Ok(parsed.root) } else { Err(format!("it is {}", parsed.root.kind())) }
}

impl Jobs {
    /// Whether the allocator (or what was kept of it) has said anything yet.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    pub(super) fn contains(&self, job: &str) -> bool {
        self.known.contains_key(job)
    }

    /// Takes an answer over. Gives the jobs that are new or changed, and what is wrong with the others: a job that cannot be
    /// read or run stays as it was, or stays away.
    pub(super) fn update(
        &mut self,
        text: &str,
        settings: &Follower,
        base_dir: &Path,
    ) -> (Vec<Change>, Vec<Problem>) {
        let text = text.replace("$(SHARD)", &settings.shard);
        let root = match parse(&text) {
            Ok(root) => root,
            Err(reason) => return (Vec::new(), vec![Problem::error("/scrape_configs", reason)]),
        };
        let (mut changes, mut problems) = (Vec::new(), Vec::new());
        let mut said = BTreeMap::new();
        for (name, node) in root.entries() {
            match Self::job(name, node, settings, base_dir) {
                Ok((config, job, fetch)) => {
                    if self.known.get(name) != Some(&config) {
                        changes.push((name.to_owned(), job, fetch));
                    }
                    said.insert(name.to_owned(), config);
                }
                Err(found) => {
                    // Over TLS our allocator tells credentials only to who has targets of the job; others need none.
                    let is_not_ours = settings.is_secure() && found.iter().all(is_about_redacted);
                    let found = if is_not_ours { Vec::new() } else { found };
                    problems.extend(found.into_iter().map(|problem| problem.under(&format!("job `{name}`"))));
                    if let Some(known) = self.known.remove(name) {
                        said.insert(name.to_owned(), known);
                    }
                }
            }
        }
        self.known = said;
        self.is_known = true;
        (changes, problems)
    }

    fn job(
        name: &str,
        node: &Node,
        settings: &Follower,
        base_dir: &Path,
    ) -> Result<(ScrapeConfig, Arc<Job>, Arc<HttpFetch>), Vec<Problem>> {
        // Keys of a newer allocator are tolerated, as upstream's receiver does.
        let mut node = node.clone();
        let mechanisms: Vec<String> =
            node.entries().map(|(key, _)| key.to_owned()).filter(|key| is_discovery(key)).collect();
        for key in mechanisms {
            node.remove(&key);
        }
        let (mut config, _tolerated) = config::read_lenient::<ScrapeConfig>(&node, "")?;
        config.job_name = name.to_owned();
        config.sd = SdConfigs::default();
        if let Some(client) = &settings.target_client {
            config.client = client.clone();
        } else if holds_redacted(&config) {
            return Err(vec![
                Problem::error(
                    CREDENTIALS,
                    format!("its credentials are redacted (`{REDACTED}`), so every scrape would be refused"),
                )
                .with_hint("let the allocator serve them: mutual TLS, or allow_insecure_auth_secrets"),
            ]);
        }
        config.fallback_scrape_protocol =
            config.fallback_scrape_protocol.or(Some(ScrapeProtocol::PrometheusText0));
        let job = Arc::new(Job::build(&config, &GlobalConfig::default(), base_dir)?);
        let fetch = Arc::new(HttpFetch::build(&job).map_err(|problem| vec![problem])?);
        Ok((config, job, fetch))
    }
}

/// The path of what is said of redacted credentials.
const CREDENTIALS: &str = "credentials";

fn is_about_redacted(problem: &Problem) -> bool {
    problem.path == CREDENTIALS
}

fn is_discovery(key: &str) -> bool {
    key == "static_configs" || key.ends_with("_sd_configs")
}

fn holds_redacted(config: &ScrapeConfig) -> bool {
    config.client.secrets().iter().any(|secret| secret.expose() == REDACTED)
}
