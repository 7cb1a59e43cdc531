//! Where a request goes, read once.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use http::header::HeaderValue;
use url::{Position, Url};

use crate::error::{BoxError, NetError};
use crate::proxy::{basic, peer_of, percent_decoded};

/// The URL of a request, with what every request to it needs. Whoever sends often to the same URL keeps one: cloning gives
/// another handle.
///
/// Any text makes one. A text that is no URL fails the requests that are sent there, see [`NetError::Unsendable`].
#[derive(Clone)]
pub struct Destination(Result<Arc<Place>, Arc<str>>);

impl Destination {
    pub(super) fn place(&self) -> Result<Arc<Place>, NetError> {
        match &self.0 {
            Ok(place) => Ok(Arc::clone(place)),
            Err(text) => Place::parse(text).map(Arc::new),
        }
    }

    fn text(&self) -> &str {
        match &self.0 {
            Ok(place) => place.url.as_str(),
            Err(text) => text,
        }
    }
}

impl From<&str> for Destination {
    fn from(text: &str) -> Self {
        Self(Place::parse(text).map(Arc::new).map_err(|_| text.into()))
    }
}

impl From<&String> for Destination {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Destination {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Destination {}

/// Without user and password.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(place) => write!(f, "Destination({}://{}{})", place.url.scheme(), place.peer(), place.path()),
            Err(text) => write!(f, "Destination({})", without_user(text)),
        }
    }
}

/// A URL that HTTP can carry.
pub(super) struct Place {
    url: Url,
    /// Host and port, with the port that the scheme implies.
    authority: Box<str>,
}

impl Place {
    /// # Errors
    /// When it is no URL of HTTP.
    pub(super) fn parse(text: &str) -> Result<Self, NetError> {
        let refused = |reason: &str, source: Option<BoxError>| NetError::Unsendable {
            peer: without_user(text),
            reason: reason.to_owned(),
            source,
        };
        let url = Url::parse(text).map_err(|error| refused("not a URL", Some(error.into())))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("neither http nor https", None));
        }
        Self::of(url)
    }

    /// # Errors
    /// When HTTP cannot carry it. The scheme is the caller's concern.
    pub(super) fn of(url: Url) -> Result<Self, NetError> {
        let place = Self { authority: peer_of(&url).into(), url };
        place.uri()?;
        Ok(place)
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Host and port, also those that the scheme implies: whom errors name.
    pub(super) fn peer(&self) -> &str {
        &self.authority
    }

    /// What the header `Host` says.
    pub(super) fn host_header(&self) -> &str {
        let implied = if self.is_secure() { ":443" } else { ":80" };
        self.authority.strip_suffix(implied).unwrap_or(&self.authority)
    }

    /// Path and query, as they are sent.
    pub(super) fn path(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The URL as it is sent: without user, password and fragment.
    pub(super) fn uri(&self) -> Result<Uri, NetError> {
        let parsed = if self.has_user() {
            let scheme = self.url.scheme();
            format!("{scheme}://{}{}", self.host_header(), self.path()).parse()
        } else {
            self.url[..Position::AfterQuery].parse()
        };
        parsed.map_err(|error: http::uri::InvalidUri| NetError::Unsendable {
            peer: self.peer().to_owned(),
            reason: "not a URL that HTTP can carry".to_owned(),
            source: Some(error.into()),
        })
    }

    /// User and password of the URL as a header.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        if !self.has_user() {
            return None;
        }
        let user = percent_decoded(self.url.username());
        let password = percent_decoded(self.url.password().unwrap_or_default());
        let mut value = HeaderValue::try_from(basic(&user, &password)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn has_user(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }
}

/// A text that may be a URL, without what may be a password in it.
fn without_user(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_sent_without_user_password_and_fragment() {
        for (text, peer, host, path, uri) in [
            ("http://a/", "a:80", "a", "/", "http://a/"),
            ("http://A:9100", "a:9100", "a:9100", "/", "http://a:9100/"),
            ("https://a:443/b?c=d#e", "a:443", "a", "/b?c=d", "https://a/b?c=d"),
            ("http://a:443/?", "a:443", "a:443", "/?", "http://a:443/?"),
            ("http://[::1]:8080/m", "[::1]:8080", "[::1]:8080", "/m", "http://[::1]:8080/m"),
            ("http://me:safe@[::1]/m?a#f", "[::1]:80", "[::1]", "/m?a", "http://[::1]/m?a"),
            ("http://me@a:81/m#f", "a:81", "a:81", "/m", "http://a:81/m"),
        ] {
            let place = Place::parse(text).unwrap();
            assert_eq!((place.peer(), place.host_header(), place.path()), (peer, host, path), "{text}");
            assert_eq!(place.uri().unwrap().to_string(), uri, "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        for text in ["http://me:safe@a/b", "ftp://me:safe@a/b", "http://me:safe@[bad/"] {
            let shown = format!("{:?}", Destination::from(text));
            assert!(!shown.contains("safe") && shown.starts_with("Destination("), "{shown}");
        }
    }

    #[test]
    fn an_unusable_text_is_refused_with_each_request() {
        let destination = Destination::from("ftp://a/");
        for _ in 0..2 {
            assert!(destination.place().err().is_some_and(|error| error.is_unsendable()));
        }
        assert_eq!(destination, Destination::from("ftp://a/".to_owned()));
    }
}
