//! Target groups from DNS.
//!
//! As Prometheus `discovery/dns`: every name becomes a group of what its records say, with `__meta_dns_name` and the
//! record's own meta labels; the search domains of resolv.conf are tried; times to live are ignored, names are asked
//! again every `refresh_interval`; a name that cannot be asked keeps its last list.
//!
//! Different on purpose: after a failure the name servers are asked again sooner than after a whole interval; targets
//! of a group are sorted, so that servers that turn their answers round change nothing.

mod lookup;
mod names;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::config::Problem;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use model::Labels;
use telemetry::{Counter, Scope};

use crate::board::Post;
use crate::{DnsRecordType, DnsSdConfig, Group};

pub(crate) use lookup::System;
pub(crate) use names::check_name;

/// Names that one mechanism asks for at the same time.
const MAX_LOOKUPS_AT_ONCE: usize = 16;

/// Which name servers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServers {
    /// The file that lists them, with search domains; read again before every round.
    pub resolv_conf: PathBuf,
    /// Where they listen: 53 but in tests, because the file cannot say it.
    pub port: u16,
}

impl Default for NameServers {
    /// Those of the system.
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), port: 53 }
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// An address.
    Address(std::net::IpAddr),
    /// A service: host, with its final dot, and port.
    Service(String, u16),
    /// A mail server, with its final dot.
    Mail(String),
    /// A name server, with its final dot.
    NameServer(String),
}

/// Asks for the records of a name. The trait is there so that schedules can be tested without a server.
pub(crate) trait Look: Send + Sync + 'static {
    /// Gets ready for a round; an error is told for every name.
    fn begin(&mut self) -> BoxFuture<'_, Result<(), String>>;
    /// The records; empty where all servers agree that there are none.
    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Found>, String>>;
}

/// What upstream counts, too.
pub(crate) struct Counters {
    lookups: Counter,
    failures: Counter,
}

impl Counters {
    pub(crate) fn new(scope: &Scope) -> Self {
        let failures = "The number of DNS-SD lookup failures.";
        Self {
            lookups: scope.counter("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.", &[]),
            failures: scope.counter("prometheus_sd_dns_lookup_failures_total", failures, &[]),
        }
    }
}

/// Asks until the task is dropped. `index` is the place in `dns_sd_configs`.
pub(crate) async fn run(
    index: usize,
    config: DnsSdConfig,
    mut looking: impl Look,
    counters: Counters,
    post: Post,
) {
    let refresh = config.refresh_interval.as_duration();
    let mut known: BTreeMap<&str, Arc<Group>> = BTreeMap::new();
    let mut n_failures = 0;
    loop {
        let problems = round(index, &config, &mut looking, &counters, &mut known).await;
        n_failures = if problems.is_empty() { 0 } else { n_failures + 1 };
        let groups = known.values().cloned().collect();
        if config.names.iter().all(|name| known.contains_key(name.as_str())) {
            post.answer(groups, problems);
        } else {
            post.partial(groups, problems);
        }
        tokio::time::sleep(pause(n_failures, refresh)).await;
    }
}

/// A whole interval, or after the n-th failure in a row one second, doubling, at most an interval.
fn pause(n_failures: u32, refresh: Duration) -> Duration {
    match n_failures {
        0 => refresh,
        n => Duration::from_secs(1 << (n - 1).min(16)).min(refresh),
    }
}

/// Asks for every name once and gives what went wrong.
async fn round<'c>(
    index: usize,
    config: &'c DnsSdConfig,
    looking: &mut impl Look,
    counters: &Counters,
    known: &mut BTreeMap<&'c str, Arc<Group>>,
) -> Vec<Problem> {
    let ready = looking.begin().await;
    let looking = &*looking;
    let ask = |name| -> BoxFuture<'_, Result<Vec<Found>, String>> {
        match &ready {
            Ok(()) => looking.look(name),
            Err(why) => Box::pin(std::future::ready(Err(why.clone()))),
        }
    };
    let asking: Vec<_> = config.names.iter().map(|name| ask(name)).collect();
    let answers: Vec<_> = futures_util::stream::iter(asking).buffered(MAX_LOOKUPS_AT_ONCE).collect().await;
    let mut problems = Vec::new();
    for (at, (name, answer)) in config.names.iter().zip(answers).enumerate() {
        counters.lookups.inc();
        match answer {
            Ok(records) => keep(known, name, group(index, config, name, records)),
            Err(why) => {
                counters.failures.inc();
                let message = format!("cannot get targets from {name} ({}): {why}", config.record_type);
                problems.push(Problem::error(format!("names::{at}"), message));
            }
        }
    }
    problems
}

/// A group that stays the same keeps its identity, so that nobody behind looks at it again.
fn keep<'c>(known: &mut BTreeMap<&'c str, Arc<Group>>, name: &'c str, group: Group) {
    if known.get(name).is_none_or(|former| **former != group) {
        known.insert(name, Arc::new(group));
    }
}

fn group(index: usize, config: &DnsSdConfig, name: &str, mut records: Vec<Found>) -> Group {
    records.sort();
    records.dedup();
    let targets = records.iter().map(|record| target(record, config.port, name)).collect();
    Group { source: format!("dns/{index}/{name}").into(), labels: Labels::new(), targets }
}

fn target(record: &Found, port: u16, name: &str) -> Labels {
    let mut labels = crate::config::address(&match record {
        Found::Address(ip) => std::net::SocketAddr::new(*ip, port).to_string(),
        Found::Service(host, port) => host_port(host, *port),
        Found::Mail(host) | Found::NameServer(host) => host_port(host, port),
    });
    labels.set("__meta_dns_name", name);
    match record {
        Found::Address(_) => {}
        Found::Service(host, port) => {
            labels.set("__meta_dns_srv_record_target", host);
            labels.set("__meta_dns_srv_record_port", &port.to_string());
        }
        Found::Mail(host) => labels.set("__meta_dns_mx_record_target", host),
        Found::NameServer(host) => labels.set("__meta_dns_ns_record_target", host),
    }
    labels
}

fn host_port(host: &str, port: u16) -> String {
    format!("{}:{port}", host.trim_end_matches('.'))
}

impl DnsRecordType {
    /// Whether the records say a port themselves.
    pub(crate) fn has_port(self) -> bool {
        self == Self::Srv
    }
}

#[cfg(test)]
mod tests;
