//! Redirects to link-local addresses, which are refused.
//!
//! A target that answers `302 http://169.254.169.254/...` makes whoever follows it ask the metadata service of its own
//! machine. Prometheus follows; here only the key `follow_link_local_redirects` allows it. A target that is itself
//! link-local is scraped as any other.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

/// Says why a redirect to this URL is not followed, if it is not. A name is looked up unless a proxy does that; one that
/// cannot be resolved is left to whoever connects. (A name that changes its address between the two gets through.)
pub(super) async fn refuse(url: &Url, is_resolved_by_us: bool) -> Result<(), String> {
    let addresses: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![address.into()],
        Some(Host::Domain(name)) if is_resolved_by_us => {
            let port = url.port_or_known_default().unwrap_or_default();
            let found = tokio::net::lookup_host((name, port)).await;
            found.map(|found| found.map(|address: SocketAddr| address.ip()).collect()).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    match addresses.into_iter().find(|address| is_link_local(*address)) {
        None => Ok(()),
        Some(address) => Err(format!(
            "its target {} has the link-local address {address}; set `follow_link_local_redirects: true` if that is meant",
            url.host_str().unwrap_or_default()
        )),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_link_local_addresses_are_refused() {
        for refused in [
            "http://169.254.169.254/latest",
            "http://169.254.0.1:8080/",
            "https://[fe80::1]/",
            "http://[febf::2]/",
            "http://[::ffff:169.254.169.254]/",
            // Other spellings of the same number.
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
        ] {
            let reason = refuse(&Url::parse(refused).unwrap(), true).await.unwrap_err();
            assert!(reason.contains("follow_link_local_redirects"), "{reason}");
        }
        for followed in [
            "http://127.0.0.1/",
            "http://10.0.0.1/",
            "http://169.253.0.1/",
            "http://[fec0::1]/",
            "http://localhost/",
            "http://name.invalid/",
        ] {
            refuse(&Url::parse(followed).unwrap(), true).await.unwrap();
        }
    }
}
