//! TLS of clients, and the pieces that clients and servers share.
//!
//! Certificates and keys come from text or from files that may change; a rustls configuration is made from
//! what they hold at the moment. Where rustls is stricter than Go in a way that breaks working set-ups, this
//! follows Go: a server may present the very certificate that was given as its authority, even one marked as
//! an authority, which is what `openssl req -x509` and many kubelets produce.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls::{ProtocolVersion, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::BoxError;
use crate::file::WatchedFile;

/// The cryptography of all our connections.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// Certificates or keys that cannot be used. The key of the configuration is part of the message, its content
/// never.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read {path}, named by `{key}`")]
    Read { key: String, path: String, source: std::io::Error },
    #[error("`{key}` is not usable as PEM")]
    Pem { key: String, source: rustls_pki_types::pem::Error },
    #[error("`{key}` holds no certificate")]
    NoCertificate { key: String },
    #[error("`{key}` is not usable")]
    Unusable { key: String, source: BoxError },
}

impl TlsError {
    /// The key of the configuration at fault.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Read { key, .. }
            | Self::Pem { key, .. }
            | Self::NoCertificate { key }
            | Self::Unusable { key, .. } => key,
        }
    }
}

/// Certificates or a key, given as text or as the name of a file.
#[derive(Debug)]
pub(crate) struct Material {
    key: String,
    origin: Origin,
}

enum Origin {
    Text(Arc<[u8]>),
    File(WatchedFile),
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text"),
            Self::File(file) => file.fmt(f),
        }
    }
}

impl Material {
    /// From text, else from a file, else none. Empty means absent. Keys are `prefix.text_key` and so on.
    pub(crate) fn find(
        (text_key, text): (&str, Option<&str>),
        (file_key, file): (&str, Option<&str>),
        prefix: &str,
        base_dir: &Path,
    ) -> Option<Self> {
        let of_text = |text: &str| Origin::Text(text.as_bytes().into());
        let of_file = |name: &str| Origin::File(WatchedFile::new(base_dir, name));
        let is_given = |value: &&str| !value.is_empty();
        match (text.filter(is_given), file.filter(is_given)) {
            (Some(text), _) => Some(Self { key: format!("{prefix}.{text_key}"), origin: of_text(text) }),
            (None, Some(name)) => Some(Self { key: format!("{prefix}.{file_key}"), origin: of_file(name) }),
            (None, None) => None,
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn read(&self) -> Result<Arc<[u8]>, TlsError> {
        match &self.origin {
            Origin::Text(text) => Ok(Arc::clone(text)),
            Origin::File(file) => file.read().map_err(|source| TlsError::Read {
                key: self.key.clone(),
                path: file.path().display().to_string(),
                source,
            }),
        }
    }

    /// At least one certificate.
    pub(crate) fn certificates(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|source| TlsError::Pem { key: self.key.clone(), source })?;
        if certificates.is_empty() {
            Err(TlsError::NoCertificate { key: self.key.clone() })
        } else {
            Ok(certificates)
        }
    }

    pub(crate) fn private_key(&self, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(pem).map_err(|source| TlsError::Pem { key: self.key.clone(), source })
    }

    pub(crate) fn unusable(&self, source: impl Into<BoxError>) -> TlsError {
        TlsError::Unusable { key: self.key.clone(), source: source.into() }
    }
}

/// Versions that configurations can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

/// The versions from `min` to `max` that rustls speaks: 1.2 and 1.3.
pub(crate) fn versions(
    min: Option<Version>,
    max: Option<Version>,
) -> Result<Vec<&'static SupportedProtocolVersion>, &'static str> {
    if max.is_some_and(|max| max < Version::Tls12) {
        return Err("TLS 1.1 and older are not spoken; the lowest that works is 1.2");
    }
    let of = |known: &SupportedProtocolVersion| match known.version {
        ProtocolVersion::TLSv1_3 => Version::Tls13,
        _ => Version::Tls12,
    };
    let is_within = |known: &&&'static SupportedProtocolVersion| {
        min.is_none_or(|min| of(known) >= min) && max.is_none_or(|max| of(known) <= max)
    };
    let versions: Vec<_> = rustls::ALL_VERSIONS.iter().filter(is_within).copied().collect();
    if versions.is_empty() { Err("`min_version` is above `max_version`") } else { Ok(versions) }
}

/// What a client's TLS is made from.
#[derive(Debug)]
pub(crate) struct TlsSource {
    pub(crate) ca: Option<Material>,
    /// Trust the system's authorities beside `ca`; without `ca` they are trusted anyway.
    pub(crate) with_system_roots: bool,
    pub(crate) cert: Option<Material>,
    pub(crate) key: Option<Material>,
    /// Asked for in the handshake and checked instead of the host of the URL.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// `false` accepts any certificate.
    pub(crate) verifies: bool,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
}

/// What the materials of a source hold at one moment.
pub(crate) struct Contents {
    ca: Option<Arc<[u8]>>,
    cert: Option<Arc<[u8]>>,
    key: Option<Arc<[u8]>>,
}

impl Contents {
    /// Files that did not change give the same allocations again.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let is_same = |one: &Option<Arc<[u8]>>, two: &Option<Arc<[u8]>>| match (one, two) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, None) => true,
            _ => false,
        };
        is_same(&self.ca, &other.ca) && is_same(&self.cert, &other.cert) && is_same(&self.key, &other.key)
    }
}

impl TlsSource {
    pub(crate) fn read(&self) -> Result<Contents, TlsError> {
        let read = |material: &Option<Material>| material.as_ref().map(Material::read).transpose();
        Ok(Contents { ca: read(&self.ca)?, cert: read(&self.cert)?, key: read(&self.key)? })
    }

    /// Parses what is given as text, so that a mistake there is found before the first request. Files may
    /// come later.
    pub(crate) fn check_texts(&self) -> Result<(), TlsError> {
        let is_text = |material: &Option<Material>| {
            material.as_ref().is_none_or(|material| matches!(material.origin, Origin::Text(_)))
        };
        if is_text(&self.ca) && is_text(&self.cert) && is_text(&self.key) {
            let contents = self.read()?;
            self.roots_of(&contents)?;
            self.identity_of(&contents)?;
        }
        Ok(())
    }

    /// What is wrong with what is given as text: no PEM, no certificate, a key of another certificate. The system's
    /// authorities are not asked for.
    pub(crate) fn check_pem(&self) -> Vec<TlsError> {
        let text = |material: &Option<Material>| match material {
            Some(Material { origin: Origin::Text(text), .. }) => Some(Arc::clone(text)),
            _ => None,
        };
        let contents = Contents { ca: text(&self.ca), cert: text(&self.cert), key: text(&self.key) };
        let roots = if contents.ca.is_some() { self.roots_of(&contents).err() } else { None };
        let pair = || match self.identity_of(&contents)? {
            Some((chain, key, material)) => CertifiedKey::from_der(chain, key, &provider())
                .map(drop)
                .map_err(|source| material.unusable(source)),
            None => Ok(()),
        };
        roots.into_iter().chain(pair().err()).collect()
    }

    pub(crate) fn client_config(
        &self,
        contents: &Contents,
        alpn: &[&[u8]],
    ) -> Result<ClientConfig, TlsError> {
        let unusable =
            |source: rustls::Error| TlsError::Unusable { key: "tls".to_owned(), source: source.into() };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.versions)
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(contents)?);
        let mut config = match self.identity_of(contents)? {
            Some((chain, key, material)) => {
                builder.with_client_auth_cert(chain, key).map_err(|source| material.unusable(source))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }

    fn verifier(&self, contents: &Contents) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let algorithms = provider().signature_verification_algorithms;
        if !self.verifies {
            return Ok(Arc::new(Anybody { algorithms }));
        }
        let (roots, pinned) = self.roots_of(contents)?;
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
        let inner = inner.map_err(|source| self.unusable_ca(source))?;
        Ok(Arc::new(Trusted { inner, pinned }))
    }

    /// Whom to trust, and the certificates that were given by name.
    fn roots_of(
        &self,
        contents: &Contents,
    ) -> Result<(Arc<RootCertStore>, Vec<CertificateDer<'static>>), TlsError> {
        let (Some(material), Some(pem)) = (&self.ca, &contents.ca) else {
            return Ok((system_roots(), Vec::new()));
        };
        let mut roots = if self.with_system_roots {
            RootCertStore::clone(&system_roots())
        } else {
            RootCertStore::empty()
        };
        let given = material.certificates(pem)?;
        for certificate in &given {
            roots.add(certificate.clone()).map_err(|source| material.unusable(source))?;
        }
        Ok((Arc::new(roots), given))
    }

    #[expect(clippy::type_complexity, reason = "the three go into one builder call")]
    fn identity_of(
        &self,
        contents: &Contents,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, &Material)>, TlsError> {
        let (Some(cert), Some(cert_pem)) = (&self.cert, &contents.cert) else { return Ok(None) };
        let (Some(key), Some(key_pem)) = (&self.key, &contents.key) else { return Ok(None) };
        Ok(Some((cert.certificates(cert_pem)?, key.private_key(key_pem)?, key)))
    }

    fn unusable_ca(&self, source: impl Into<BoxError>) -> TlsError {
        let key = self.ca.as_ref().map_or("tls", Material::key).to_owned();
        TlsError::Unusable { key, source: source.into() }
    }
}

/// The authorities of the system, read once. A system without any (an empty container image) trusts nobody,
/// which shows in the handshake.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "cannot read some of the system's authorities"
            );
        }
        let (n_added, n_ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(n_added, n_ignored, "read the system's authorities");
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(load))
}

/// Usual verification, but a certificate that was itself given as authority is accepted whatever its
/// constraints say.
#[derive(Debug)]
struct Trusted {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(refused) if is_authority_as_server(&refused) && self.pinned.contains(end_entity) => {
                // The period of validity was checked before the constraints were; the name was not yet.
                let certificate = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// rustls has no variant for this; its text is the name of the variant in webpki.
fn is_authority_as_server(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.to_string().contains("CaUsedAsEndEntity")
        }
        _ => false,
    }
}

/// `insecure_skip_verify`: any certificate will do, but the peer must own its key.
#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A name for the handshake: a host name or an IP address, also in brackets.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, &'static str> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| "not a host name or an IP address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_below_1_2_are_raised_as_a_minimum_and_refused_as_a_maximum() {
        assert_eq!(versions(Some(Version::Tls10), None).unwrap().len(), 2);
        assert_eq!(versions(Some(Version::Tls13), None).unwrap(), [&rustls::version::TLS13]);
        assert_eq!(versions(None, Some(Version::Tls12)).unwrap(), [&rustls::version::TLS12]);
        assert!(versions(None, Some(Version::Tls11)).unwrap_err().contains("1.2"));
        assert!(versions(Some(Version::Tls13), Some(Version::Tls12)).is_err());
    }
}
