//! Where a request goes, and where it goes next.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};
use url::Url;

use super::Request;
use crate::error::{BoxError, NetError};
use crate::proxy::{basic, peer_of, percent_decoded};

/// One host on the way of a request.
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// This is the host that the caller named, reached as safely as the caller asked, and no hop on the way here was
    /// another one.
    pub(super) is_at_home: bool,
    pub(super) unix_socket: Option<Arc<Path>>,
    keeps_to_host: bool,
    home: (Option<String>, bool),
}

impl Hop {
    pub(super) fn first(request: Request, url: Url) -> Self {
        let home = home_of(&url);
        Self {
            method: request.method,
            url,
            headers: request.headers,
            body: request.body,
            is_at_home: true,
            unix_socket: request.unix_socket,
            keeps_to_host: request.keeps_to_host,
            home,
        }
    }

    /// Whether the caller wants to go there, see [`Request::keeps_to_host`]. A target that is no URL is an error of
    /// [`Self::redirected`] for those who go anywhere.
    pub(super) fn may_follow(&self, status: StatusCode, location: &HeaderValue) -> bool {
        if !self.keeps_to_host {
            return true;
        }
        let target = std::str::from_utf8(location.as_bytes()).ok().and_then(|text| self.url.join(text).ok());
        target.is_some_and(|target| keeps_request(status) && self.is_home(&target))
    }

    fn is_home(&self, url: &Url) -> bool {
        let (host, was_secure) = &self.home;
        host.as_deref() == url.host_str() && !(*was_secure && url.scheme() == "http")
    }

    pub(super) fn redirected(mut self, status: StatusCode, location: &HeaderValue) -> Result<Self, NetError> {
        let peer = peer_of(&self.url);
        let refused = |reason: &str| NetError::Redirect { peer: peer.clone(), reason: reason.to_owned() };
        let location =
            std::str::from_utf8(location.as_bytes()).map_err(|_| refused("its target is not a URL"))?;
        let url = self.url.join(location).map_err(|_| refused("its target is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refused("its target is neither http nor https"));
        }
        if !keeps_request(status) && !self.method.is_safe() {
            self.method = Method::GET;
            self.body = Bytes::new();
            for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
                self.headers.remove(name);
            }
        }
        self.is_at_home &= self.is_home(&url);
        if !self.is_at_home {
            // Once away, what the caller sent as a credential does not come back either.
            for name in
                [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::WWW_AUTHENTICATE]
            {
                self.headers.remove(name);
            }
        }
        self.url = url;
        Ok(self)
    }

    /// Whether the host is the one that the caller named, whatever came between.
    pub(super) fn is_same_host(&self) -> bool {
        self.home.0.as_deref() == self.url.host_str()
    }
}

fn home_of(url: &Url) -> (Option<String>, bool) {
    (url.host_str().map(str::to_owned), url.scheme() == "https")
}

/// Whether method and body stay.
fn keeps_request(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(super) fn parse_url(text: &str) -> Result<Url, NetError> {
    let refused = |reason: &str, source: Option<BoxError>| NetError::Unsendable {
        peer: without_user(text),
        reason: reason.to_owned(),
        source,
    };
    let url = Url::parse(text).map_err(|error| refused("not a URL", Some(error.into())))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("neither http nor https", None));
    }
    Ok(url)
}

/// A text that may be a URL, without what may be a password in it.
fn without_user(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}"),
        None => text.to_owned(),
    }
}

/// The URL as it is sent: without user, password and fragment.
pub(super) fn uri_of(url: &Url) -> Result<Uri, NetError> {
    let whole = url.as_str();
    let end = whole.find('#').unwrap_or(whole.len());
    let has_user = !url.username().is_empty() || url.password().is_some();
    let parsed = if has_user {
        let mut bare = url.clone();
        // Both can only fail for URLs without a host.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        bare.set_fragment(None);
        bare.as_str().parse()
    } else {
        whole[..end].parse()
    };
    parsed.map_err(|error: http::uri::InvalidUri| NetError::Unsendable {
        peer: peer_of(url),
        reason: "not a URL that HTTP can carry".to_owned(),
        source: Some(error.into()),
    })
}

/// User and password of the URL as a header.
pub(super) fn authorization_in(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = percent_decoded(url.username());
    let password = percent_decoded(url.password().unwrap_or_default());
    let mut value = HeaderValue::try_from(basic(&user, &password)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
        let place = (
            prop::sample::select(vec!["http", "https"]),
            prop::sample::select(vec![
                "home.example",
                "a.home.example",
                "example",
                "127.0.0.1",
                "home.example.",
            ]),
        );
        prop::collection::vec(place, 1..6)
    }

    proptest! {
        /// Whatever the way, credentials are at home only where every host was the first one and TLS was never given up.
        #[test]
        fn credentials_are_carried_exactly_as_long_as_nothing_led_away(
            first_scheme in prop::sample::select(vec!["http", "https"]),
            places in places(),
        ) {
            let first = format!("{first_scheme}://home.example/");
            let mut request = Request::get(&first, Duration::ZERO, 0);
            request.headers.insert(header::AUTHORIZATION, HeaderValue::from_static("secret"));
            let mut hop = Hop::first(request, Url::parse(&first).unwrap());
            let mut is_still_home = true;
            for (scheme, host) in places {
                let location = HeaderValue::try_from(format!("{scheme}://{host}/next")).unwrap();
                hop = hop.redirected(StatusCode::FOUND, &location).unwrap();
                is_still_home &= host == "home.example" && !(first_scheme == "https" && scheme == "http");
                prop_assert_eq!(hop.is_at_home, is_still_home);
                prop_assert_eq!(hop.headers.contains_key(header::AUTHORIZATION), is_still_home);
            }
        }
    }
}
