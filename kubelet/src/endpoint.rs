//! Where the kubelet listens, from what the user wrote.

use std::net::Ipv6Addr;

use crate::config::AuthType;

/// The port of the kubelet's API.
const PORT: u16 = 10250;

/// The port on which older kubelets answer anybody.
const READ_ONLY_PORT: u16 = 10255;

/// The URL below which the kubelet's paths lie, without a slash at its end.
///
/// # Errors
/// A message when the text is not an address.
pub(crate) fn base_url(
    endpoint: &str,
    auth_type: AuthType,
    hostname: impl FnOnce() -> String,
) -> Result<String, String> {
    let (scheme, port) = if auth_type.is_none() { ("http", READ_ONLY_PORT) } else { ("https", PORT) };
    let url = match endpoint.trim() {
        "" => format!("{scheme}://{}:{port}", bracketed(&hostname())),
        url if url.starts_with("http://") || url.starts_with("https://") => url.to_owned(),
        other if other.contains("://") => return Err("the scheme is neither http nor https".to_owned()),
        address => format!("{scheme}://{}", bracketed(address)),
    };
    let url = url.trim_end_matches('/');
    url.parse::<config::HttpUrl>()?;
    Ok(url.to_owned())
}

/// An IPv6 address gets its brackets, also where a port stands behind it: `${env:K8S_NODE_IP}:10250`. The ports of a kubelet have
/// five digits, which no part of an address has.
fn bracketed(address: &str) -> String {
    if address.parse::<Ipv6Addr>().is_ok() {
        return format!("[{address}]");
    }
    match address.rsplit_once(':') {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => format!("[{host}]:{port}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &str, auth_type: AuthType, url: &str) {
        assert_eq!(base_url(endpoint, auth_type, || "node-a".to_owned()).as_deref(), Ok(url), "{endpoint}");
    }

    #[test]
    fn an_empty_endpoint_is_this_host_at_the_port_of_the_auth_type() {
        check("", AuthType::ServiceAccount, "https://node-a:10250");
        check("", AuthType::Tls, "https://node-a:10250");
        check("", AuthType::None, "http://node-a:10255");
        check("", AuthType::ReadOnly, "http://node-a:10255");
    }

    #[test]
    fn the_scheme_is_added_where_it_is_missing() {
        check("node-b:10250", AuthType::ServiceAccount, "https://node-b:10250");
        check("10.0.0.7:10255", AuthType::None, "http://10.0.0.7:10255");
        check("https://node-b:10250/", AuthType::ServiceAccount, "https://node-b:10250");
        check("https://node-b:10250", AuthType::None, "https://node-b:10250");
    }

    #[test]
    fn an_ipv6_address_needs_no_brackets() {
        check("fd00::7:10250", AuthType::ServiceAccount, "https://[fd00::7]:10250");
        check("[fd00::7]:10250", AuthType::ServiceAccount, "https://[fd00::7]:10250");
        check("fd00:0:0:0:0:0:0:7:10250", AuthType::ServiceAccount, "https://[fd00:0:0:0:0:0:0:7]:10250");
        check("fd00::7", AuthType::None, "http://[fd00::7]");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for endpoint in ["ftp://node", "https://", "no de:10250", "https://node:port"] {
            assert!(base_url(endpoint, AuthType::Tls, String::new).is_err(), "{endpoint}");
        }
    }
}
