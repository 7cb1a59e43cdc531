//! Requests to the API server.
//!
//! kube authenticates them and carries them over TLS; paths, limits of size and of time, and what failures mean are
//! said here.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::timeout;

use crate::failure::{Failure, Reason};
use crate::token::TokenFile;
use crate::{Kind, Scope};

/// Largest object that is read, in bytes; an API server accepts about 1.5 MiB, which as JSON may be several times that.
pub const MAX_OBJECT_BYTES: usize = 16 << 20;

/// Largest page of a list that is read, in bytes.
pub const MAX_PAGE_BYTES: usize = 256 << 20;

/// Of the body of a failure no more is read.
const MAX_FAILURE_BYTES: usize = 64 << 10;

/// How long the server may be silent before it answers, or in the middle of an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client, with what all requests share.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube::Client,
    token_file: Option<TokenFile>,
}

impl Api {
    pub(crate) fn new(client: kube::Client, token_file: Option<TokenFile>) -> Self {
        Self { client, token_file }
    }

    /// The namespace that the configuration names.
    pub(crate) fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Asks for a stream; what fails is no stream.
    pub(crate) async fn open(&self, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        if let Some(token_file) = &self.token_file {
            drop(request.headers_mut().insert(AUTHORIZATION, token_file.header().await?));
        }
        let sent = self.client.send(request).boxed();
        let answered = timeout(PATIENCE, sent).await.map_err(|_| silent())?;
        let response = answered.map_err(|error| Failure::new(Reason::Unreachable, chain(&error)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        // What of the body is missing only shortens the message.
        let body = collect(body, MAX_FAILURE_BYTES, "the answer").await.unwrap_or_default();
        Err(Failure::of(head.status, retry_after(&head.headers), &body))
    }

    /// Asks for a whole body.
    pub(crate) async fn read(
        &self,
        request: Request<Body>,
        max_bytes: usize,
        limit: &str,
    ) -> Result<Bytes, Failure> {
        collect(self.open(request).await?.into_body(), max_bytes, limit).await
    }
}

/// A request without a body.
pub(crate) fn get(path: &str, accept: &str) -> Request<Body> {
    request(Method::GET, path, accept, None, Vec::new())
}

/// A request.
pub(crate) fn request(
    method: Method,
    path: &str,
    accept: &str,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(ACCEPT, accept);
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    request.body(Body::from(body)).expect("paths are made of encoded parts")
}

/// The path of a collection with its selectors and further parameters.
pub(crate) fn collection(kind: Kind, scope: &Scope, parameters: &[(&str, &str)]) -> String {
    let mut path = kind.path(scope.namespace.as_deref().map(segment).as_deref());
    let selectors = [("labelSelector", scope.labels.as_deref()), ("fieldSelector", scope.fields.as_deref())];
    let selectors = selectors.into_iter().filter_map(|(name, text)| text.map(|text| (name, text)));
    for (index, (name, value)) in selectors.chain(parameters.iter().copied()).enumerate() {
        // Writing into a text cannot fail.
        let _written = write!(path, "{}{name}={}", if index == 0 { '?' } else { '&' }, segment(value));
    }
    path
}

/// The path of one object.
pub(crate) fn single(kind: Kind, namespace: Option<&str>, name: &str) -> String {
    format!("{}/{}", kind.path(namespace.map(segment).as_deref()), segment(name))
}

/// A text as it may stand in a path or a query.
fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn piece(body: &mut Body, patience: Duration) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = timeout(patience, body.frame()).await.map_err(|_| silent())?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|error| Failure::new(Reason::Unreachable, chain(&error)))?;
        // Trailers say nothing here.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

async fn collect(mut body: Body, max_bytes: usize, limit: &str) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    while let Some(data) = piece(&mut body, PATIENCE).await? {
        if whole.len() + data.len() > max_bytes {
            let message = format!("the answer is larger than {max_bytes} bytes ({limit})");
            return Err(Failure::new(Reason::TooLarge, message));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn silent() -> Failure {
    Failure::new(Reason::Unreachable, "the server is silent")
}

/// Seconds, as API servers write it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// An error with its causes; kube's own repeat theirs, which is said once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !message.contains(&said) {
            message = format!("{message}: {said}");
        }
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_namespace_selectors_and_parameters() {
        let scope = Scope::namespace("shop").with_labels("app in (a,b)").with_fields("metadata.name=x");
        assert_eq!(
            collection(Kind::POD, &scope, &[("limit", "500")]),
            "/api/v1/namespaces/shop/pods?labelSelector=app%20in%20%28a%2Cb%29&fieldSelector=metadata.name%3Dx&limit=500"
        );
        assert_eq!(
            collection(Kind::ENDPOINT_SLICE, &Scope::all(), &[]),
            "/apis/discovery.k8s.io/v1/endpointslices"
        );
        assert_eq!(single(Kind::NODE, Some("ignored"), "a/b"), "/api/v1/nodes/a%2Fb");
    }
}
