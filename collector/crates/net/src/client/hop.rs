//! Where a request goes, and where it goes next.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

use super::Request;
use super::destination::Place;
use crate::error::NetError;

/// One host on the way of a request.
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) place: Arc<Place>,
    pub(super) headers: Arc<HeaderMap>,
    pub(super) body: Bytes,
    /// This is the host that the caller named, reached as safely as the caller asked, and no hop on the way here was
    /// another one.
    pub(super) is_at_home: bool,
    pub(super) unix_socket: Option<Arc<Path>>,
    keeps_to_host: bool,
    home: Arc<Place>,
}

impl Hop {
    pub(super) fn first(request: Request, place: Arc<Place>) -> Self {
        Self {
            method: request.method,
            home: Arc::clone(&place),
            place,
            headers: request.headers,
            body: request.body,
            is_at_home: true,
            unix_socket: request.unix_socket,
            keeps_to_host: request.keeps_to_host,
        }
    }

    /// Whether the caller wants to go there, see [`Request::keeps_to_host`]. A target that is no URL is an error of
    /// [`Self::redirect`] for those who go anywhere.
    pub(super) fn may_follow(&self, status: StatusCode, location: &HeaderValue) -> bool {
        if !self.keeps_to_host {
            return true;
        }
        let target =
            std::str::from_utf8(location.as_bytes()).ok().and_then(|text| self.place.url().join(text).ok());
        target.is_some_and(|target| keeps_request(status) && self.is_home(&target))
    }

    fn is_home(&self, url: &Url) -> bool {
        let is_downgrade = self.home.is_secure() && url.scheme() == "http";
        self.home.url().host_str() == url.host_str() && !is_downgrade
    }

    pub(super) fn redirect(&mut self, status: StatusCode, location: &HeaderValue) -> Result<(), NetError> {
        let from = Arc::clone(&self.place);
        let refused =
            |reason: &str| NetError::Redirect { peer: from.peer().to_owned(), reason: reason.to_owned() };
        let location =
            std::str::from_utf8(location.as_bytes()).map_err(|_| refused("its target is not a URL"))?;
        let url = from.url().join(location).map_err(|_| refused("its target is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refused("its target is neither http nor https"));
        }
        self.place = Arc::new(Place::of(url)?);
        if !keeps_request(status) && !self.method.is_safe() {
            self.method = Method::GET;
            self.body = Bytes::new();
            let headers = Arc::make_mut(&mut self.headers);
            for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
                headers.remove(name);
            }
        }
        self.is_at_home &= self.is_home(self.place.url());
        if !self.is_at_home {
            // Once away, what the caller sent as a credential does not come back either.
            let headers = Arc::make_mut(&mut self.headers);
            for name in
                [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::WWW_AUTHENTICATE]
            {
                headers.remove(name);
            }
        }
        Ok(())
    }

    /// Whether the host is the one that the caller named, whatever came between.
    pub(super) fn is_same_host(&self) -> bool {
        self.home.url().host_str() == self.place.url().host_str()
    }
}

/// Whether method and body stay.
fn keeps_request(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
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
            request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static("secret"));
            let mut hop = Hop::first(request, Arc::new(Place::parse(&first).unwrap()));
            let mut is_still_home = true;
            for (scheme, host) in places {
                let location = HeaderValue::try_from(format!("{scheme}://{host}/next")).unwrap();
                hop.redirect(StatusCode::FOUND, &location).unwrap();
                is_still_home &= host == "home.example" && !(first_scheme == "https" && scheme == "http");
                prop_assert_eq!(hop.is_at_home, is_still_home);
                prop_assert_eq!(hop.headers.contains_key(header::AUTHORIZATION), is_still_home);
            }
        }
    }
}
