//! Which requests go through a proxy.
//!
//! Rules of Go's `golang.org/x/net/http/httpproxy`, which Prometheus uses: without `no_proxy` everything goes
//! through `proxy_url`; with it, or with proxies from the environment, loopback never does.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Uri};
use url::{Host, Url};

/// A proxy and how to speak to it.
#[derive(Clone)]
pub(crate) struct ProxyTarget {
    /// Scheme, host and port; no credentials.
    pub(crate) uri: Uri,
    pub(crate) kind: ProxyKind,
    /// User and password of the URL.
    pub(crate) user: Option<(String, String)>,
    /// Sent with each CONNECT.
    pub(crate) connect_headers: HeaderMap,
}

impl std::fmt::Debug for ProxyTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyTarget").field("uri", &self.uri).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Http,
    Https,
    Socks5,
}

impl ProxyTarget {
    /// From `http://user:password@host:port`, also `https` and `socks5`.
    pub(crate) fn parse(text: &str, connect_headers: HeaderMap) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        let (kind, default_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            other => return Err(format!("a proxy is reached by http, https or socks5, not `{other}`")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("no host in the URL")?;
        let port = url.port().unwrap_or(default_port);
        let uri = format!("{}://{host}:{port}/", url.scheme());
        let uri = uri.parse().map_err(|error| format!("not a URL: {error}"))?;
        let user = (!url.username().is_empty())
            .then(|| (percent_decoded(url.username()), percent_decoded(url.password().unwrap_or_default())));
        Ok(Self { uri, kind, user, connect_headers })
    }

    /// `Proxy-Authorization`, if the URL has credentials.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.user.as_ref()?;
        let mut value = HeaderValue::try_from(basic(user, password)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The value of a header for basic authentication.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The choice for each request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxy {
    for_http: Option<Arc<ProxyTarget>>,
    for_https: Option<Arc<ProxyTarget>>,
    /// Absent: no exceptions, not even loopback.
    exceptions: Option<Arc<NoProxy>>,
}

impl Proxy {
    /// One proxy for everything, except what `no_proxy` names.
    pub(crate) fn fixed(target: ProxyTarget, no_proxy: Option<&str>) -> Self {
        let target = Arc::new(target);
        let exceptions = no_proxy.map(|text| Arc::new(NoProxy::parse(text)));
        Self { for_http: Some(Arc::clone(&target)), for_https: Some(target), exceptions }
    }

    /// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say (or the same in lower case). A proxy without a
    /// scheme is an HTTP proxy.
    pub(crate) fn from_environment(
        env: impl Fn(&str) -> Option<String>,
        connect_headers: &HeaderMap,
    ) -> Result<Self, String> {
        let read = |upper: &str| {
            let lower = upper.to_ascii_lowercase();
            [upper, &lower].into_iter().filter_map(&env).find(|text| !text.is_empty())
        };
        let target = |name: &str| -> Result<Option<Arc<ProxyTarget>>, String> {
            let Some(text) = read(name) else { return Ok(None) };
            let text = if text.contains("://") { text } else { format!("http://{text}") };
            let target = ProxyTarget::parse(&text, connect_headers.clone());
            target.map(|target| Some(Arc::new(target))).map_err(|reason| format!("{name}: {reason}"))
        };
        Ok(Self {
            for_http: target("HTTP_PROXY")?,
            for_https: target("HTTPS_PROXY")?,
            exceptions: Some(Arc::new(NoProxy::parse(&read("NO_PROXY").unwrap_or_default()))),
        })
    }

    /// The proxy for a destination, if any.
    pub(crate) fn of(&self, is_https: bool, host: &str, port: u16) -> Option<&Arc<ProxyTarget>> {
        let target = if is_https { &self.for_https } else { &self.for_http };
        let is_excepted = || self.exceptions.as_ref().is_some_and(|exceptions| exceptions.has(host, port));
        target.as_ref().filter(|_| !is_excepted())
    }
}

/// `NO_PROXY`: names, addresses and networks that are reached directly.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoProxy {
    has_all: bool,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
enum Rule {
    Network { address: IpAddr, prefix: u8 },
    Address { address: IpAddr, port: Option<u16> },
    Domain { suffix: String, with_itself: bool, port: Option<u16> },
}

impl NoProxy {
    /// Comma-separated. What cannot be understood matches nothing, as in Go.
    pub(crate) fn parse(text: &str) -> Self {
        let mut exceptions = Self::default();
        for word in
            text.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty())
        {
            if word == "*" {
                exceptions.has_all = true;
            } else if let Some(rule) = Rule::parse(&word) {
                exceptions.rules.push(rule);
            }
        }
        exceptions
    }

    fn has(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        let address: Option<IpAddr> = bare.parse().ok();
        let is_loopback = bare == "localhost" || address.is_some_and(|address| address.is_loopback());
        self.has_all || is_loopback || self.rules.iter().any(|rule| rule.matches(bare, address, port))
    }
}

impl Rule {
    fn parse(word: &str) -> Option<Self> {
        if let Some((address, prefix)) = word.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let prefix: u8 = prefix.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            return (prefix <= longest).then_some(Self::Network { address, prefix });
        }
        let (name, port) = split_port(word)?;
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        if let Ok(address) = bare.parse() {
            return Some(Self::Address { address, port });
        }
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        let with_itself = !name.starts_with('.');
        let suffix = if with_itself { format!(".{name}") } else { name.to_owned() };
        (suffix.len() > 1).then_some(Self::Domain { suffix, with_itself, port })
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Self::Network { address: network, prefix } => {
                address.is_some_and(|address| is_within(address, *network, *prefix))
            }
            Self::Address { address: known, port: wanted } => {
                address == Some(*known) && wanted.is_none_or(|wanted| wanted == port)
            }
            Self::Domain { suffix, with_itself, port: wanted } => {
                let is_named = host.ends_with(suffix) || (*with_itself && *host == suffix[1..]);
                address.is_none() && is_named && wanted.is_none_or(|wanted| wanted == port)
            }
        }
    }
}

/// `name`, `name:port`, `[::1]`, `[::1]:port`, `::1`.
fn split_port(word: &str) -> Option<(&str, Option<u16>)> {
    if word.parse::<IpAddr>().is_ok() {
        return Some((word, None));
    }
    match word.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && !port.ends_with(']') => {
            Some((name, Some(port.parse().ok()?)))
        }
        _ => Some((word, None)),
    }
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 4),
        IpAddr::V6(address) => (address.to_bits(), 6),
    };
    let ((one, one_family), (two, two_family)) = (bits(address), bits(network));
    let differing = (one ^ two).leading_zeros();
    one_family == two_family && differing >= u32::from(prefix)
}

/// Host and port of a URL, with the port that its scheme implies.
pub(crate) fn peer_of(url: &Url) -> String {
    let host = match url.host() {
        Some(Host::Ipv6(address)) => format!("[{address}]"),
        Some(host) => host.to_string(),
        None => String::new(),
    };
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(no_proxy: &str, direct: &[&str], proxied: &[&str]) {
        let exceptions = NoProxy::parse(no_proxy);
        let has = |target: &str| {
            let (host, port) =
                target.rsplit_once('|').map_or((target, 443), |(host, port)| (host, port.parse().unwrap()));
            exceptions.has(host, port)
        };
        for target in direct {
            assert!(has(target), "{target} should be direct with {no_proxy}");
        }
        for target in proxied {
            assert!(!has(target), "{target} should be proxied with {no_proxy}");
        }
    }

    #[test]
    fn loopback_is_direct_once_there_are_exceptions() {
        check("", &["localhost", "127.0.0.1", "[::1]"], &["10.0.0.1", "example.com"]);
    }

    #[test]
    fn names_cover_their_subdomains() {
        check("example.com", &["example.com", "a.b.Example.com", "example.com."], &["badexample.com", "com"]);
        check(".example.com", &["a.example.com"], &["example.com"]);
        check("*.example.com", &["a.example.com"], &["example.com"]);
        check("example.com:8080", &["example.com|8080"], &["example.com|443"]);
    }

    #[test]
    fn addresses_and_networks_match_addresses() {
        check("10.1.0.0/16, 192.168.0.1", &["10.1.2.3", "192.168.0.1"], &["10.2.0.1", "192.168.0.2"]);
        check(
            "fd00::/8,[2001:db8::1]:443",
            &["[fd12::1]", "[2001:db8::1]"],
            &["[2001:db8::2]", "[2001:db8::1]|80"],
        );
        check("0.0.0.0/0", &["10.1.2.3"], &["[fd00::1]", "example.com"]);
        check("*", &["example.com", "10.0.0.1"], &[]);
        check("10.0.0.0/99, :80, :", &[], &["10.0.0.1", "example.com"]);
    }

    #[test]
    fn the_environment_chooses_by_scheme() {
        let env = |name: &str| match name {
            "HTTP_PROXY" => Some("proxy:3128".to_owned()),
            "https_proxy" => Some("http://me:s%40fe@secure:8080".to_owned()),
            "no_proxy" => Some("internal".to_owned()),
            _ => None,
        };
        let proxy = Proxy::from_environment(env, &HeaderMap::new()).unwrap();
        assert_eq!(proxy.of(false, "example.com", 80).unwrap().uri, "http://proxy:3128/");
        let secure = proxy.of(true, "example.com", 443).unwrap();
        assert_eq!(secure.user, Some(("me".to_owned(), "s@fe".to_owned())));
        assert!(proxy.of(true, "a.internal", 443).is_none());
    }

    #[test]
    fn a_fixed_proxy_without_exceptions_is_for_everything() {
        let target = ProxyTarget::parse("http://proxy", HeaderMap::new()).unwrap();
        assert_eq!(target.uri, "http://proxy:80/");
        let proxy = Proxy::fixed(target.clone(), None);
        assert!(proxy.of(false, "127.0.0.1", 80).is_some());
        assert!(Proxy::fixed(target, Some("")).of(false, "127.0.0.1", 80).is_none());
        assert!(ProxyTarget::parse("ftp://proxy", HeaderMap::new()).is_err());
    }
}
