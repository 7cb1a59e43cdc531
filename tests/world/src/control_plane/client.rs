//! A small client of the Kubernetes API: JSON over one HTTP/2 connection, which any number of requests share.
//!
//! It is hyper and serde_json, not the product's client. The connection is made when it is first needed and again when it broke.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::stream::Events;
use crate::http::MAX_BODY_BYTES;

const DEADLINE: Duration = Duration::from_secs(30);
/// Requests under way when many objects are created; the API server allows 100 a connection.
const AT_ONCE: usize = 64;
/// Who owns the fields that [`Client::apply`] sets.
const FIELD_MANAGER: &str = "muster-tests";

type AskedFor = ::http::Request<Full<Bytes>>;

fn json_or_text(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// Talks to an API server as the owner of one bearer token.
#[derive(Debug)]
pub struct Client {
    address: String,
    token: String,
    tls: TlsConnectorDebug,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
    /// Resources of a group and version, by kind.
    kinds: std::sync::Mutex<HashMap<String, Arc<HashMap<String, Resource>>>>,
}

/// A connector that may stand in a struct that is printed.
struct TlsConnectorDebug(TlsConnector);

impl std::fmt::Debug for TlsConnectorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}

#[derive(Debug, Clone)]
struct Resource {
    plural: String,
    is_namespaced: bool,
}

/// The API server said no.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// Its answer, a `Status` object as a rule.
    pub answer: Value,
    what: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = self.answer["message"].as_str().unwrap_or("no message");
        write!(f, "{}: answered {}: {message}", self.what, self.status)
    }
}

impl std::error::Error for Refused {}

impl Client {
    /// For the API server at `https://127.0.0.1:PORT`, as the owner of `token`. Connects later.
    pub(crate) fn new(url: &str, token: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(super::file("ca.pem")).context("reading ca.pem")?;
        for authority in CertificateDer::pem_slice_iter(&pem) {
            roots.add(authority?)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            address: url.trim_start_matches("https://").to_owned(),
            token: token.to_owned(),
            tls: TlsConnectorDebug(TlsConnector::from(Arc::new(config))),
            connection: Mutex::default(),
            kinds: std::sync::Mutex::default(),
        })
    }

    /// GET; what is no JSON comes as a string.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, "application/json", Bytes::new()).await
    }

    /// GET of a list, of whose objects only the metadata is wanted.
    pub async fn get_metadata(&self, path: &str) -> Result<Value> {
        let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let mut request = self.ask("GET", path, "application/json", Bytes::new())?;
        request.headers_mut().insert("accept", ::http::HeaderValue::from_static(accept));
        self.answer(request).await
    }

    /// Opens a watch at a path with its query; the events come as they happen.
    pub async fn watch(&self, path: &str) -> Result<Events> {
        let opened = async {
            let request = self.ask("GET", path, "application/json", Bytes::new())?;
            let (head, body) = self.sender().await?.send_request(request).await?.into_parts();
            Ok::<_, anyhow::Error>((head.status.as_u16(), body))
        };
        let what = || format!("GET {path}");
        let opened = tokio::time::timeout(DEADLINE, opened).await;
        let (status, body) =
            opened.with_context(|| format!("no answer within {DEADLINE:?}")).flatten().with_context(what)?;
        if status == 200 {
            return Ok(Events::new(body));
        }
        let body = body.collect().await.with_context(what)?.to_bytes();
        Err(Refused { status, answer: json_or_text(&body), what: what() }.into())
    }

    /// POST of a JSON object.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("POST", path, "application/json", body.to_string().into()).await
    }

    /// Creates an object where its kind and namespace say. A `status` it brings is set afterwards: the API server takes none from
    /// who creates.
    pub async fn create(&self, object: &Value) -> Result<Value> {
        let collection = self.collection(object).await?;
        let created = self.post(&collection, object).await?;
        match object.get("status") {
            Some(_) => self.patch_status(object).await,
            None => Ok(created),
        }
    }

    /// Creates many objects, 64 at a time and in no order.
    pub async fn create_all(&self, objects: &[Value]) -> Result<()> {
        let created = futures_util::stream::iter(objects)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |object| async { self.create(object).await.map(drop) });
        created.await
    }

    /// Reads the object of this kind, namespace and name again.
    pub async fn read(&self, object: &Value) -> Result<Value> {
        self.get(&self.path(object).await?).await
    }

    /// Server-side apply: creates the object, or sets what it says in the one that is there.
    pub async fn apply(&self, object: &Value) -> Result<Value> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}&force=true", self.path(object).await?);
        self.request("PATCH", &path, "application/apply-patch+yaml", object.to_string().into()).await
    }

    /// Applies every document of a YAML text in order and gives what became of them.
    pub async fn apply_yaml(&self, text: &str) -> Result<Vec<Value>> {
        let mut applied = Vec::new();
        for object in super::objects::from_yaml(text)? {
            applied.push(self.apply(&object).await?);
        }
        Ok(applied)
    }

    /// Merges what `object` says into the one of its kind, namespace and name that is there; null removes.
    pub async fn patch(&self, object: &Value) -> Result<Value> {
        let path = self.path(object).await?;
        self.request("PATCH", &path, "application/merge-patch+json", object.to_string().into()).await
    }

    /// Puts `object` in the place of the one of its kind, namespace and name, as controllers do.
    pub async fn replace(&self, object: &Value) -> Result<Value> {
        let path = self.path(object).await?;
        self.request("PUT", &path, "application/json", object.to_string().into()).await
    }

    /// As [`Self::patch`], of `status` alone.
    pub async fn patch_status(&self, object: &Value) -> Result<Value> {
        let path = format!("{}/status", self.path(object).await?);
        let patch = json!({ "status": object["status"] }).to_string();
        self.request("PATCH", &path, "application/merge-patch+json", patch.into()).await
    }

    /// Deletes the object of this kind, namespace and name at once; a pod gets no time to end.
    pub async fn delete(&self, object: &Value) -> Result<()> {
        self.delete_within(object, 0).await
    }

    /// Deletes many objects, 64 at a time and in no order.
    pub async fn delete_all(&self, objects: &[Value]) -> Result<()> {
        let deleted = futures_util::stream::iter(objects)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |object| self.delete(object));
        deleted.await
    }

    /// Deletes it and gives it so many seconds: a pod on a node keeps standing with a `deletionTimestamp`, since no kubelet ends it.
    pub async fn delete_within(&self, object: &Value, seconds: u32) -> Result<()> {
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": seconds });
        let path = self.path(object).await?;
        self.request("DELETE", &path, "application/json", options.to_string().into()).await.map(drop)
    }

    /// The path of an object, from its `apiVersion`, `kind`, `namespace` and `name`.
    pub async fn path(&self, object: &Value) -> Result<String> {
        let name = object["metadata"]["name"].as_str().context("an object has a name")?;
        Ok(format!("{}/{name}", self.collection(object).await?))
    }

    async fn collection(&self, object: &Value) -> Result<String> {
        let version = object["apiVersion"].as_str().context("an object has an apiVersion")?;
        let kind = object["kind"].as_str().context("an object has a kind")?;
        let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let Some(Resource { plural, is_namespaced }) = self.resources(&root).await?.get(kind).cloned() else {
            bail!("the API server knows no {kind} in {version}");
        };
        let namespace = object["metadata"]["namespace"].as_str();
        match (is_namespaced, namespace) {
            (true, Some(namespace)) => Ok(format!("{root}/namespaces/{namespace}/{plural}")),
            (true, None) => bail!("{kind} {} has no namespace", object["metadata"]["name"]),
            (false, _) => Ok(format!("{root}/{plural}")),
        }
    }

    /// What is served below a group and version; asked for once.
    async fn resources(&self, root: &str) -> Result<Arc<HashMap<String, Resource>>> {
        if let Some(known) = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(root) {
            return Ok(Arc::clone(known));
        }
        let list = self.get(root).await?;
        let mut resources = HashMap::new();
        for resource in list["resources"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let (Some(plural), Some(kind)) = (resource["name"].as_str(), resource["kind"].as_str()) else {
                bail!("{root}: a resource without name or kind: {resource}");
            };
            // `pods/status` and the like are parts of a resource.
            if !plural.contains('/') {
                let is_namespaced = resource["namespaced"] == true;
                resources.insert(kind.to_owned(), Resource { plural: plural.to_owned(), is_namespaced });
            }
        }
        let resources = Arc::new(resources);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.insert(root.to_owned(), Arc::clone(&resources));
        Ok(resources)
    }

    async fn request(&self, method: &str, path: &str, content_type: &str, body: Bytes) -> Result<Value> {
        self.answer(self.ask(method, path, content_type, body)?).await
    }

    async fn answer(&self, request: AskedFor) -> Result<Value> {
        let what = format!(
            "{} {}",
            request.method(),
            request.uri().path_and_query().map_or("/", |path| path.as_str())
        );
        let exchange = async {
            let (head, body) = self.sender().await?.send_request(request).await?.into_parts();
            let body =
                Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(anyhow::Error::from_boxed)?;
            Ok::<_, anyhow::Error>((head.status.as_u16(), body.to_bytes()))
        };
        let answered = tokio::time::timeout(DEADLINE, exchange).await;
        let answered = answered.with_context(|| format!("no answer within {DEADLINE:?}")).flatten();
        let (status, body) = answered.with_context(|| what.clone())?;
        let answer = json_or_text(&body);
        match status {
            200..300 => Ok(answer),
            _ => Err(Refused { status, answer, what }.into()),
        }
    }

    fn ask(&self, method: &str, path: &str, content_type: &str, body: Bytes) -> Result<AskedFor> {
        let request = ::http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", content_type)
            .header("accept", "application/json");
        Ok(request.body(Full::new(body))?)
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TcpStream::connect(&self.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let stream = self.tls.0.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // It ends when the last sender is gone, or with an error that the requests tell.
        tokio::spawn(async move { driver.await.ok() });
        Ok(connection.insert(sender).clone())
    }
}
