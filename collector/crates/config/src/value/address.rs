//! Where things are reached: URLs and socket addresses.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::{Secret, shown, written_as_text};

/// An `http://` or `https://` URL with a host.
///
/// Keeps the text as it was written. A password in it is shown as `xxxxx` by `Display`, `Debug` and `Serialize`, but not within
/// [`Secret::revealing`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    text: String,
    url: Url,
}

impl HttpUrl {
    /// The text as it was written, with everything in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed form.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }
}

written_as_text!(HttpUrl, "http-url", "An http:// or https:// URL.");

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text may hold a password, which only the parsed form can tell, so messages do not show it.
        if text.is_empty() {
            return Err("the URL must not be empty".to_owned());
        }
        let example = "write for example http://host:8080/path";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("the URL has no scheme; {example}"));
        };
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            return Err(format!("the scheme of the URL is {}, not http or https", shown(scheme)));
        }
        // The URL standard would skip superfluous slashes and take the path for the host.
        if rest.starts_with(['/', '\\']) {
            return Err(format!("the URL has no host; {example}"));
        }
        if text.contains(|letter: char| letter.is_control() || letter == ' ') {
            return Err("the URL holds white space or control characters".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("not a URL ({error}); {example}"))?;
        Ok(Self { text: text.to_owned(), url })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.url.password().is_none() || Secret::is_revealed() {
            return f.write_str(&self.text);
        }
        let mut redacted = self.url.clone();
        match redacted.set_password(Some("xxxxx")) {
            Ok(()) => f.write_str(redacted.as_str()),
            Err(()) => f.write_str("<secret>"),
        }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `host:port`; an empty host (`:8080`) means every address, an IPv6 host stands in brackets, port 0 lets the system choose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    text: String,
    port: u16,
}

impl HostPort {
    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without brackets; empty for "every address".
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.text.rsplit_once(':').map_or("", |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

written_as_text!(HostPort, "host-port", "An address of the form host:port.");

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err(format!("{} is an address with a scheme; leave the scheme out", shown(text)));
        }
        let form = "an address of the form host:port";
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("{} is not {form}", shown(text)));
        };
        let is_bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        if host.contains([':', '[', ']']) && !is_bracketed {
            return Err(format!("{} is not {form}; an IPv6 address stands in brackets", shown(text)));
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#'))
        {
            return Err(format!("{} is not {form}", shown(text)));
        }
        match port.parse() {
            Ok(port) if port_is_digits(text) => Ok(Self { text: text.to_owned(), port }),
            _ => Err(format!("{} is not {form}: the port must be a number up to 65535", shown(text))),
        }
    }
}

fn port_is_digits(text: &str) -> bool {
    text.rsplit(':').next().is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
