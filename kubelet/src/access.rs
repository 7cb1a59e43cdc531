//! How a kubelet and an API server are reached.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use net::{BoxError, Client, ClientOptions, Credentials, Route, TlsClientConfig};

use crate::config::{ApiConfig, AuthType, Config};
use crate::endpoint::base_url;
use crate::kube_config::KubeConfig;
use crate::request::Server;

/// Where Kubernetes puts the credentials of a pod.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What is taken from the process and its machine.
#[derive(Clone)]
pub struct Surroundings {
    /// The folder with `token` and `ca.crt`.
    service_account: PathBuf,
    hostname: String,
    variable: Variable,
}

/// Tells the value of an environment variable.
type Variable = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = match hostname.trim() {
            "" => "localhost".to_owned(),
            name => name.to_owned(),
        };
        Self {
            service_account: PathBuf::from(SERVICE_ACCOUNT),
            hostname,
            variable: Arc::new(|name| std::env::var(name).ok()),
        }
    }

    /// The same with the service account of this folder.
    #[must_use]
    pub fn with_service_account(self, folder: impl Into<PathBuf>) -> Self {
        Self { service_account: folder.into(), ..self }
    }

    /// The same with other environment variables.
    #[must_use]
    pub fn with_variables(self, variables: &[(&str, &str)]) -> Self {
        let all: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let find =
            move |wanted: &str| all.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        Self { variable: Arc::new(find), ..self }
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    fn token_file(&self) -> PathBuf {
        self.service_account.join("token")
    }

    fn ca_file(&self) -> String {
        self.service_account.join("ca.crt").display().to_string()
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("service_account", &self.service_account).finish_non_exhaustive()
    }
}

/// A kubelet or API server that cannot be asked, whatever it would answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AccessError {
    message: String,
    #[source]
    source: Option<BoxError>,
}

impl AccessError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// The kubelet, directly or through the API server.
pub(crate) fn kubelet(config: &Config, surroundings: &Surroundings) -> Result<Server, AccessError> {
    if config.auth_type == AuthType::KubeConfig {
        let KubeConfig { server, mut options } = KubeConfig::load(&config.context, surroundings)?;
        options.tls.insecure_skip_verify |= config.tls.insecure_skip_verify;
        return server_of(options, format!("{server}/api/v1/nodes/{}/proxy", config.endpoint));
    }
    let base = base_url(&config.endpoint, config.auth_type, || surroundings.hostname.clone())
        .map_err(|message| AccessError::new(format!("endpoint: {message}")))?;
    let mut tls = config.tls.clone();
    let has_ca = !tls.ca_file.is_empty() || tls.ca_pem.is_some();
    let credentials = match config.auth_type {
        AuthType::ServiceAccount => {
            if !has_ca && !tls.insecure_skip_verify {
                tls.ca_file = surroundings.ca_file();
            }
            Credentials::TokenFile(surroundings.token_file())
        }
        _ => Credentials::None,
    };
    // Upstream trusts the system's authorities beside the one that is named.
    tls.include_system_ca_certs_pool = true;
    server_of(ClientOptions { tls, credentials, proxy: Route::Environment }, base)
}

/// The API server of the cluster.
pub(crate) fn api(config: &ApiConfig, surroundings: &Surroundings) -> Result<Server, AccessError> {
    if config.auth_type == AuthType::KubeConfig {
        let KubeConfig { server, options } = KubeConfig::load(&config.context, surroundings)?;
        return server_of(options, server);
    }
    let variable = |name: &str| surroundings.variable(name).filter(|value| !value.is_empty());
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    else {
        let message = "k8s_api_config: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod; \
                       write auth_type: kubeConfig";
        return Err(AccessError::new(message));
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let is_open = config.auth_type.is_none();
    let tls = TlsClientConfig {
        insecure_skip_verify: is_open,
        ca_file: if is_open { String::new() } else { surroundings.ca_file() },
        ..TlsClientConfig::default()
    };
    let credentials =
        if is_open { Credentials::None } else { Credentials::TokenFile(surroundings.token_file()) };
    // The API server of the cluster is not reached through proxies, as upstream has it.
    server_of(ClientOptions { tls, credentials, proxy: Route::Direct }, format!("https://{host}:{port}"))
}

fn server_of(options: ClientOptions, base: String) -> Result<Server, AccessError> {
    let client = Client::build_from(&options).map_err(|error| {
        AccessError::new(format!("cannot prepare requests to {base}: {}", error.key)).because(error)
    })?;
    Ok(Server::new(client, base))
}
