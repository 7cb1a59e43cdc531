//! TLS of servers.
//!
//! The files are looked at again for each connection. When they changed and the new content is unusable, the
//! old one stays in use and one warning is written, as `configtls` does on a failed reload.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use config::Secret;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::BuildError;
use crate::tls::{Material, TlsError, provider};
use crate::tls_config::{TlsServerConfig, wanted_versions};

/// Certificate, key and trusted clients of a server. Speaks HTTP/1.1 and HTTP/2.
#[derive(Debug)]
pub struct ServerTls {
    cert: Material,
    key: Material,
    client_ca: Option<Material>,
    versions: Vec<&'static SupportedProtocolVersion>,
    current: Mutex<Current>,
}

struct Current {
    contents: Contents,
    config: Arc<ServerConfig>,
    /// The last reload failed and that was said.
    is_stale: bool,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").field("is_stale", &self.is_stale).finish_non_exhaustive()
    }
}

#[derive(PartialEq)]
struct Contents {
    cert: Arc<[u8]>,
    key: Arc<[u8]>,
    client_ca: Option<Arc<[u8]>>,
}

impl ServerTls {
    /// Reads the files. Relative names count from `base_dir`.
    ///
    /// # Errors
    /// When a key is missing or a file is unreadable or unusable.
    pub fn build(config: &TlsServerConfig, base_dir: &Path) -> Result<Self, BuildError> {
        if let Some((key, message)) = config.check().into_iter().next() {
            return Err(BuildError::new(format!("tls.{key}"), message));
        }
        let find = |text: (&str, Option<&Secret>), file: (&str, &str)| {
            Material::find((text.0, text.1.map(Secret::expose)), (file.0, Some(file.1)), "tls", base_dir)
        };
        let missing = |key: &str| BuildError::new(format!("tls.{key}"), "missing");
        let cert = find(("cert_pem", config.cert_pem.as_ref()), ("cert_file", &config.cert_file));
        let key = find(("key_pem", config.key_pem.as_ref()), ("key_file", &config.key_file));
        let versions = wanted_versions(config.min_version, config.max_version)
            .map_err(|message| BuildError::new("tls.max_version", message))?;
        let cert = cert.ok_or_else(|| missing("cert_file"))?;
        let key = key.ok_or_else(|| missing("key_file"))?;
        let client_ca = find(("", None), ("client_ca_file", &config.client_ca_file));
        let contents = Contents::read(&cert, &key, client_ca.as_ref()).map_err(unusable)?;
        let config = contents.config(&cert, &key, client_ca.as_ref(), &versions).map_err(unusable)?;
        let current = Mutex::new(Current { contents, config: Arc::new(config), is_stale: false });
        Ok(Self { cert, key, client_ca, versions, current })
    }

    /// What to greet the next client with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match self.reload(&current.contents) {
            Ok(None) => current.is_stale = false,
            Ok(Some((contents, config))) => {
                *current = Current { contents, config: Arc::new(config), is_stale: false };
                tracing::info!("certificates of the server changed");
            }
            Err(error) => {
                if !current.is_stale {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "cannot use the changed certificates of the server, keeping the old ones"
                    );
                }
                current.is_stale = true;
            }
        }
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    fn reload(&self, old: &Contents) -> Result<Option<(Contents, ServerConfig)>, TlsError> {
        let contents = Contents::read(&self.cert, &self.key, self.client_ca.as_ref())?;
        if contents == *old {
            return Ok(None);
        }
        let config = contents.config(&self.cert, &self.key, self.client_ca.as_ref(), &self.versions)?;
        Ok(Some((contents, config)))
    }
}

impl Contents {
    fn read(cert: &Material, key: &Material, client_ca: Option<&Material>) -> Result<Self, TlsError> {
        Ok(Self {
            cert: cert.read()?,
            key: key.read()?,
            client_ca: client_ca.map(Material::read).transpose()?,
        })
    }

    fn config(
        &self,
        cert: &Material,
        key: &Material,
        client_ca: Option<&Material>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(|source| cert.unusable(source))?;
        let builder = match client_ca.zip(self.client_ca.as_ref()) {
            Some((material, pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in material.certificates(pem)? {
                    roots.add(certificate).map_err(|source| material.unusable(source))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
                builder.with_client_cert_verifier(verifier.map_err(|source| material.unusable(source))?)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(cert.certificates(&self.cert)?, key.private_key(&self.key)?)
            .map_err(|source| key.unusable(source))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn unusable(error: TlsError) -> BuildError {
    BuildError::new(error.key(), "cannot set up TLS").because(error)
}
