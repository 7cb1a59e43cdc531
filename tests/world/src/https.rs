//! A client that shows a certificate: one request over TLS, on a connection of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::http::{Answer, MAX_BODY_BYTES};

const DEADLINE: Duration = Duration::from_secs(10);

/// Whom a client trusts, and who it says it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// File with the authority of the server's certificate.
    pub authority: PathBuf,
    /// Files with our certificate and its key, if we show one.
    pub pair: Option<(PathBuf, PathBuf)>,
}

impl Identity {
    /// Trusts the authority of [`crate::control_plane`] and shows a certificate of the one of [`crate::kubelet`].
    pub fn known() -> Self {
        let file = |name: &str| crate::kubelet::file(name);
        let pair = Some((file("client.pem"), file("client.key")));
        Self { authority: crate::control_plane::ca_file(), pair }
    }

    /// The same without a certificate of its own.
    pub fn unknown() -> Self {
        Self { pair: None, ..Self::known() }
    }

    fn tls(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.authority)? {
            roots.add(authority)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
        Ok(match &self.pair {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_file(key)
                    .with_context(|| format!("reading {}", key.display()))?;
                builder.with_client_auth_cert(certificates(chain)?, key)?
            }
            None => builder.with_no_client_auth(),
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let reading = || format!("reading {}", path.display());
    let found = CertificateDer::pem_file_iter(path).with_context(reading)?;
    found.collect::<Result<_, _>>().with_context(reading)
}

/// GET of `path` from `address`, whose certificate has the name `localhost`. Any status is an answer.
pub async fn get(address: &str, path: &str, identity: &Identity) -> Result<Answer> {
    let exchange = exchange(address, path, identity);
    let answered = tokio::time::timeout(DEADLINE, exchange).await;
    let what = || format!("GET https://{address}{path}");
    answered.with_context(|| format!("no answer within {DEADLINE:?}")).flatten().with_context(what)
}

async fn exchange(address: &str, path: &str, identity: &Identity) -> Result<Answer> {
    let connector = TlsConnector::from(Arc::new(identity.tls()?));
    let stream = TcpStream::connect(address).await?;
    let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Dropped with this exchange, so that a call given up on leaves no connection behind.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = ::http::Request::get(path).header("host", address).body(Full::new(Bytes::new()))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
}
