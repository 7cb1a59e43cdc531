//! Records from the name servers that resolv.conf lists.
//!
//! As Prometheus `discovery/dns`: the first of the full names that exists counts, even where it has no such record; that
//! there is none is believed only when the servers said so of every one, and a failure in between makes it one of the
//! whole. A truncated answer is asked for again over TCP. The hosts file is not read.

use std::io::{self, Read};
use std::path::Path;

use futures_util::future::BoxFuture;
use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use super::{Found, Look, NameServers, names};
use crate::DnsRecordType;

/// Largest resolv.conf, in bytes.
const MAX_RESOLV_CONF_BYTES: u64 = 64 << 10;

/// The name servers of the system, as its file says now.
pub(crate) struct System {
    servers: NameServers,
    record_type: DnsRecordType,
    /// Made of the text that stands beside it.
    ready: Option<(String, Servers)>,
}

struct Servers {
    resolver: TokioResolver,
    search: Vec<Name>,
    n_dots: usize,
}

impl System {
    pub(crate) fn new(servers: NameServers, record_type: DnsRecordType) -> Self {
        Self { servers, record_type, ready: None }
    }

    async fn refresh(&mut self) -> Result<(), String> {
        let path = self.servers.resolv_conf.clone();
        let shown = path.display().to_string();
        let text = tokio::task::spawn_blocking(move || read(&path))
            .await
            .map_err(|_| "the process is shutting down".to_owned())?
            .map_err(|error| format!("cannot read {shown}: {error}"))?;
        if self.ready.as_ref().is_none_or(|(known, _)| *known != text) {
            let servers =
                Servers::build(&text, self.servers.port).map_err(|error| format!("{shown}: {error}"))?;
            self.ready = Some((text, servers));
        }
        Ok(())
    }

    async fn records(&self, name: &str) -> Result<Vec<Found>, String> {
        let Some((_, servers)) = &self.ready else { return Err("no name server is known".to_owned()) };
        let wanted = record_type(self.record_type);
        let mut failure = None;
        for candidate in names::candidates(name, &servers.search, servers.n_dots)? {
            let shown = candidate.to_ascii();
            match servers.resolver.lookup(candidate, wanted).await {
                Ok(lookup) => {
                    return Ok(lookup.answers().iter().filter_map(|record| found(&record.data)).collect());
                }
                Err(error) => match answered(&error) {
                    // The name is there, without such records.
                    Some(ResponseCode::NoError) => return Ok(Vec::new()),
                    Some(ResponseCode::NXDomain) => {}
                    Some(code) => failure = Some(format!("{shown}: the server answered {code}")),
                    None => failure = Some(format!("{shown}: {error}")),
                },
            }
        }
        // A name that could not be asked for may be the one that exists.
        failure.map_or(Ok(Vec::new()), Err)
    }
}

impl Look for System {
    fn begin(&mut self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.refresh())
    }

    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Found>, String>> {
        Box::pin(self.records(name))
    }
}

impl Servers {
    fn build(text: &str, port: u16) -> Result<Self, String> {
        let (mut config, read) =
            hickory_resolver::system_conf::parse_resolv_conf(text).map_err(|error| error.to_string())?;
        for server in &mut config.name_servers {
            server.connections.iter_mut().for_each(|connection| connection.port = port);
        }
        let search = config.search.clone();
        // Names are completed here, so that a failure of one can be told from its absence.
        let config = ResolverConfig::from_parts(None, Vec::new(), config.name_servers);
        let mut options = ResolverOpts::default();
        options.timeout = read.timeout;
        options.attempts = read.attempts;
        options.ndots = 0;
        options.edns0 = true;
        // Times to live are ignored: every round asks.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { resolver, search, n_dots: read.ndots })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_RESOLV_CONF_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_RESOLV_CONF_BYTES {
        let message = format!("the file is larger than max_resolv_conf_bytes ({MAX_RESOLV_CONF_BYTES})");
        return Err(io::Error::other(message));
    }
    Ok(text)
}

/// What a server answered where it gave no records.
fn answered(error: &NetError) -> Option<ResponseCode> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => Some(none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => Some(*code),
        _ => None,
    }
}

fn record_type(wanted: DnsRecordType) -> RecordType {
    match wanted {
        DnsRecordType::Srv => RecordType::SRV,
        DnsRecordType::A => RecordType::A,
        DnsRecordType::Aaaa => RecordType::AAAA,
        DnsRecordType::Mx => RecordType::MX,
        DnsRecordType::Ns => RecordType::NS,
    }
}

/// What the record says; aliases on the way to it say nothing.
fn found(record: &RData) -> Option<Found> {
    Some(match record {
        RData::A(address) => Found::Address(address.0.into()),
        RData::AAAA(address) => Found::Address(address.0.into()),
        RData::SRV(service) => Found::Service(service.target.to_ascii(), service.port),
        RData::MX(mail) => Found::Mail(mail.exchange.to_ascii()),
        RData::NS(server) => Found::NameServer(server.0.to_ascii()),
        _ => return None,
    })
}
