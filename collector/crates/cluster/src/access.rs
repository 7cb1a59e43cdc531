//! Where the API server is, and who asks it.
//!
//! kube reads kubeconfig files with their contexts, and the account of a pod. What is wrong is said here with the name of
//! the file.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use config::{Secret, UrlText};
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use telemetry::error_chain;

use crate::api::Api;
use crate::token::TokenFile;

/// How long the server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach an API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// As a pod: address from the environment, token and authority from the files of its service account.
    Pod,
    /// As a kubeconfig file says.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context; the current one of the file where none is named.
        context: Option<String>,
    },
    /// As it is written out.
    Server(Box<ServerAccess>),
}

/// An API server that is written out. Names of files are absolute; of a text and a file at most one is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServerAccess {
    /// The address, with `http://` or `https://`.
    pub url: UrlText,
    /// User and password.
    pub basic: Option<(String, Secret)>,
    /// A token.
    pub token: Option<Secret>,
    /// A file with a token; it is read for every request.
    pub token_file: Option<PathBuf>,
    /// Authorities that may sign the server's certificate, as PEM.
    pub ca: Option<String>,
    /// A file with them.
    pub ca_file: Option<PathBuf>,
    /// The certificate of the client, as PEM.
    pub certificate: Option<String>,
    /// A file with it.
    pub certificate_file: Option<PathBuf>,
    /// The key of the client, as PEM.
    pub key: Option<Secret>,
    /// A file with it.
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have, where it is not that of the address.
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub accepts_any_certificate: bool,
}

/// Why there can be no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);

impl Access {
    /// As upstream: the kubeconfig where the file exists, otherwise the account of the pod.
    #[must_use]
    pub fn of_file_or_pod(path: &Path) -> Self {
        if path.exists() { Self::Kubeconfig { path: path.to_owned(), context: None } } else { Self::Pod }
    }

    pub(crate) async fn api(&self) -> Result<Api, ConnectError> {
        let source = self.source();
        let because =
            |error: &(dyn Error + 'static)| ConnectError(format!("{source}: {}", error_chain(error)));
        let mut config = match self {
            Self::Pod => kube::Config::incluster().map_err(|error| {
                let ConnectError(message) = because(&error);
                ConnectError(format!("{message}; outside of a pod, name a kubeconfig file"))
            })?,
            Self::Kubeconfig { path, context } => {
                let file = Kubeconfig::read_from(path).map_err(|error| because(&error))?;
                let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
                let config = kube::Config::from_custom_kubeconfig(file, &options).await;
                config.map_err(|error| because(&error))?
            }
            Self::Server(server) => {
                let options = KubeConfigOptions::default();
                let config = kube::Config::from_custom_kubeconfig(server.kubeconfig(), &options).await;
                config.map_err(|error| because(&error))?
            }
        };
        // Waits are ours: see `backoff`.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // kube would send the file as it is, with the newline at its end.
        let token_file = config.auth_info.token_file.take().filter(|_| config.auth_info.token.is_none());
        let client = kube::Client::try_from(config).map_err(|error| because(&error))?;
        Ok(Api::new(client, token_file.map(|path| TokenFile::new(path.into()))))
    }

    fn source(&self) -> String {
        match self {
            Self::Pod => "the service account of the pod".to_owned(),
            Self::Kubeconfig { path, .. } => format!("kubeconfig {}", path.display()),
            Self::Server(server) => format!("API server {}", server.url),
        }
    }
}

impl ServerAccess {
    /// The same as a kubeconfig, which kube knows how to take.
    fn kubeconfig(&self) -> Kubeconfig {
        const NAME: &str = "server";
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let data = |text: Option<&str>| text.map(|text| STANDARD.encode(text));
        let cluster = Cluster {
            server: Some(self.url.as_str().to_owned()),
            insecure_skip_tls_verify: Some(self.accepts_any_certificate),
            certificate_authority: path(&self.ca_file),
            certificate_authority_data: data(self.ca.as_deref()),
            tls_server_name: self.server_name.clone(),
            ..Cluster::default()
        };
        let user = AuthInfo {
            username: self.basic.as_ref().map(|(user, _)| user.clone()),
            password: self.basic.as_ref().map(|(_, password)| password.expose().to_owned().into()),
            token: self.token.as_ref().map(|token| token.expose().to_owned().into()),
            token_file: path(&self.token_file),
            client_certificate: path(&self.certificate_file),
            client_certificate_data: data(self.certificate.as_deref()),
            client_key: path(&self.key_file),
            client_key_data: data(self.key.as_ref().map(Secret::expose)).map(Into::into),
            ..AuthInfo::default()
        };
        let context = Context { cluster: NAME.to_owned(), user: Some(NAME.to_owned()), ..Context::default() };
        Kubeconfig {
            clusters: vec![NamedCluster {
                name: NAME.to_owned(),
                cluster: Some(cluster),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: NAME.to_owned(),
                auth_info: Some(user),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: NAME.to_owned(),
                context: Some(context),
                ..NamedContext::default()
            }],
            current_context: Some(NAME.to_owned()),
            ..Kubeconfig::default()
        }
    }
}

#[cfg(test)]
mod tests;
