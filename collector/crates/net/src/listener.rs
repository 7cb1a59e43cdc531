//! Binding an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A bound address, not served yet.
#[derive(Debug)]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    address: SocketAddr,
}

/// An address that cannot be listened on. The message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct BindError {
    /// The address as it was given.
    pub address: String,
    /// Why not, and what helps.
    pub reason: String,
    /// What the system said.
    #[source]
    pub source: Option<io::Error>,
}

impl Listener {
    /// Listens on `host:port`. An empty host (`:8080`) means every address of this machine, a name its IPv4
    /// address first (as in Go), port 0 any free port. Must be called within a runtime; resolving a name
    /// blocks for that time.
    ///
    /// # Errors
    /// When the address is malformed, not of this machine, in use or forbidden.
    pub fn bind(address: &str) -> Result<Self, BindError> {
        let refused = |reason: String, source: Option<io::Error>| BindError {
            address: address.to_owned(),
            reason,
            source,
        };
        let candidates = resolve(address).map_err(|(reason, source)| refused(reason, source))?;
        let mut last = None;
        for candidate in candidates {
            match bind_one(candidate) {
                Ok(tcp) => {
                    let address = tcp
                        .local_addr()
                        .map_err(|error| refused("no local address".to_owned(), Some(error)))?;
                    return Ok(Self { tcp, address });
                }
                Err(error) => last = last.or(Some(error)),
            }
        }
        match last {
            Some(error) => Err(refused(remedy(&error), Some(error))),
            None => Err(refused("the name has no address; check its spelling and the DNS".to_owned(), None)),
        }
    }

    /// The address in use, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// What to try, in this order.
fn resolve(address: &str) -> Result<Vec<SocketAddr>, (String, Option<io::Error>)> {
    let malformed = || ("not of the form host:port, for example 0.0.0.0:4318 or :8080".to_owned(), None);
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let port: u16 = port.parse().map_err(|_| malformed())?;
    if host.is_empty() {
        // The IPv6 wildcard takes IPv4 too, where there is IPv6.
        let every = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        return Ok(every.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = (bare, port).to_socket_addrs();
    let mut found: Vec<_> = found
        .map_err(|error| ("the name has no address; check its spelling and the DNS".to_owned(), Some(error)))?
        .collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Without this a restart has to wait until the connections of the predecessor are forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Connections inherit it. Answers are small; waiting for more would only delay them.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn remedy(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is already in use; stop the program that uses it or choose another port".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need a privilege, choose a higher one".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; use one that it has, or 0.0.0.0 for all of them"
                .to_owned()
        }
        _ => "the system refused".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_form_of_address_can_be_bound() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", ":0", "localhost:0"] {
            let listener = Listener::bind(address).unwrap();
            assert_ne!(listener.local_addr().port(), 0, "{address}");
        }
        assert!(Listener::bind("localhost:0").unwrap().local_addr().is_ipv4());
    }

    #[tokio::test]
    async fn accepted_connections_send_at_once() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let _client = tokio::net::TcpStream::connect(listener.local_addr()).await.unwrap();
        let (stream, _) = listener.tcp.accept().await.unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_a_remedy() {
        let first = Listener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().to_string();
        let error = Listener::bind(&address).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {address}: the port is already in use; stop the program that uses it or choose \
                 another port"
            )
        );
    }

    #[tokio::test]
    async fn what_is_no_address_is_told() {
        for address in ["", "8080", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:http"] {
            let error = Listener::bind(address).unwrap_err();
            assert!(error.to_string().contains("host:port"), "{error}");
        }
        let elsewhere = Listener::bind("192.0.2.1:0").unwrap_err();
        assert!(elsewhere.to_string().contains("does not have that address"), "{elsewhere}");
    }
}
