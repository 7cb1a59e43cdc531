//! kubeconfig files: which API server, and how it lets us in.
//!
//! As client-go reads them: `KUBECONFIG` may list several files, of which the first that names something wins; without it
//! `~/.kube/config`. Names of files in them count from the folder of the file. Credentials that a program would have to be started
//! for (`exec`, `auth-provider`) are refused by name.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{Secret, UrlText};
use net::{ClientOptions, Credentials, Route, TlsClientConfig};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::{AccessError, Surroundings};

/// An API server and how to speak to it.
#[derive(Debug)]
pub(crate) struct KubeConfig {
    /// Its URL, without a slash at its end.
    pub(crate) server: String,
    pub(crate) options: ClientOptions,
}

/// One file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: String,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
    /// Folder of the file that names it.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: String,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
    proxy_url: UrlText,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct NamedUser {
    name: String,
    user: User,
    /// Folder of the file that names it.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: String,
    client_certificate_data: String,
    client_key: String,
    client_key_data: Secret,
    token: Secret,
    #[serde(rename = "tokenFile")]
    token_file: String,
    username: String,
    password: Secret,
    exec: serde_json::Value,
    auth_provider: serde_json::Value,
}

impl KubeConfig {
    /// Reads the files.
    ///
    /// # Errors
    /// When there is none, one cannot be read, or the context and what it names are not there or cannot be used.
    pub(crate) fn load(context: &str, surroundings: &Surroundings) -> Result<Self, AccessError> {
        let mut all = File::default();
        let mut names = Vec::new();
        for path in paths(surroundings)? {
            names.push(path.display().to_string());
            // client-go passes over files that are not there.
            let Some(file) = read(&path)? else { continue };
            if all.current_context.is_empty() {
                all.current_context = file.current_context;
            }
            let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
            all.contexts.extend(file.contexts);
            all.clusters.extend(
                file.clusters.into_iter().map(|named| NamedCluster { folder: folder.clone(), ..named }),
            );
            all.users
                .extend(file.users.into_iter().map(|named| NamedUser { folder: folder.clone(), ..named }));
        }
        all.choose(context)
            .map_err(|message| AccessError::new(format!("kubeconfig {}: {message}", names.join(", "))))
    }
}

/// The files to look at, in their order.
fn paths(surroundings: &Surroundings) -> Result<Vec<PathBuf>, AccessError> {
    let listed = surroundings.variable("KUBECONFIG").unwrap_or_default();
    let listed: Vec<PathBuf> =
        std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return Ok(listed);
    }
    let home = surroundings.variable("HOME").filter(|home| !home.is_empty());
    let message = "auth_type kubeConfig needs a kubeconfig file: set KUBECONFIG to its path";
    Ok(vec![Path::new(&home.ok_or_else(|| AccessError::new(message))?).join(".kube/config")])
}

fn read(path: &Path) -> Result<Option<File>, AccessError> {
    let doing = |what: String| AccessError::new(format!("kubeconfig {}: {what}", path.display()));
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(doing("cannot be read".to_owned()).because(error)),
    };
    if metadata.len() > config::MAX_BYTES as u64 {
        return Err(doing(format!("is larger than the limit MAX_BYTES ({} bytes)", config::MAX_BYTES)));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| doing("cannot be read".to_owned()).because(error))?;
    let parsed = config::parse(&text, &path.display().to_string())
        .map_err(|problem| AccessError::new("cannot read the kubeconfig").because(problem))?;
    match config::read_lenient::<File>(&parsed.root, "") {
        Ok((file, _unknown_keys)) => Ok(Some(file)),
        Err(problems) => {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(AccessError::new(format!("cannot read the kubeconfig: {}", told.join("; "))))
        }
    }
}

impl File {
    fn choose(self, context: &str) -> Result<KubeConfig, String> {
        let wanted = if context.is_empty() { &self.current_context } else { context };
        if wanted.is_empty() {
            return Err("there is no current-context; name one by the key `context`".to_owned());
        }
        let known = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let found = self.contexts.iter().find(|named| named.name == *wanted).ok_or_else(|| {
            let names = self.contexts.iter().map(|named| &*named.name).collect();
            format!("context `{wanted}` is not there; known: {}", known(names))
        })?;
        let Context { cluster, user } = &found.context;
        let cluster = self.clusters.iter().find(|named| named.name == *cluster).ok_or_else(|| {
            let names = self.clusters.iter().map(|named| &*named.name).collect();
            format!(
                "context `{wanted}` names cluster `{cluster}`, which is not there; known: {}",
                known(names)
            )
        })?;
        let nobody = NamedUser::default();
        let user = match self.users.iter().find(|named| named.name == *user) {
            Some(user) => user,
            None if user.is_empty() => &nobody,
            None => {
                let names = self.users.iter().map(|named| &*named.name).collect();
                let names = known(names);
                return Err(format!(
                    "context `{wanted}` names user `{user}`, who is not there; known: {names}"
                ));
            }
        };
        together(cluster, user)
    }
}

fn together(named_cluster: &NamedCluster, named_user: &NamedUser) -> Result<KubeConfig, String> {
    let (cluster, user) = (&named_cluster.cluster, &named_user.user);
    let of_cluster = |key: &str| format!("clusters: {}: {key}", named_cluster.name);
    let of_user = |key: &str| format!("users: {}: {key}", named_user.name);
    let server = cluster.server.trim_end_matches('/');
    server.parse::<config::HttpUrl>().map_err(|message| format!("{}: {message}", of_cluster("server")))?;
    for (key, value) in [("exec", &user.exec), ("auth-provider", &user.auth_provider)] {
        if !value.is_null() {
            let remedy = "use a token, tokenFile or a client certificate";
            return Err(format!("{} would start a program, which is not supported; {remedy}", of_user(key)));
        }
    }
    let file = |folder: &Path, name: &str| {
        if name.is_empty() { String::new() } else { folder.join(name).display().to_string() }
    };
    let data = |key: String, text: &str| -> Result<Option<Secret>, String> {
        let text: String = text.split_whitespace().collect();
        let bytes = STANDARD.decode(&text).map_err(|_| format!("{key} is not base64"))?;
        let pem = String::from_utf8(bytes).map_err(|_| format!("{key} holds no text"))?;
        Ok(Some(Secret::new(pem)).filter(|pem| !pem.is_empty()))
    };
    // Data wins over files, as in client-go.
    let ca_pem = data(of_cluster("certificate-authority-data"), &cluster.certificate_authority_data)?;
    let cert_pem = data(of_user("client-certificate-data"), &user.client_certificate_data)?;
    let key_pem = data(of_user("client-key-data"), user.client_key_data.expose())?;
    let unless = |pem: &Option<Secret>, folder: &Path, name: &str| {
        if pem.is_some() { String::new() } else { file(folder, name) }
    };
    let tls = TlsClientConfig {
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
        server_name_override: cluster.tls_server_name.clone(),
        ca_file: unless(&ca_pem, &named_cluster.folder, &cluster.certificate_authority),
        cert_file: unless(&cert_pem, &named_user.folder, &user.client_certificate),
        key_file: unless(&key_pem, &named_user.folder, &user.client_key),
        ca_pem,
        cert_pem,
        key_pem,
        ..TlsClientConfig::default()
    };
    let credentials = if !user.token_file.is_empty() {
        Credentials::TokenFile(named_user.folder.join(&user.token_file))
    } else if !user.token.is_empty() {
        Credentials::Token(user.token.clone())
    } else if !user.username.is_empty() {
        Credentials::Basic(user.username.clone(), user.password.clone())
    } else {
        Credentials::None
    };
    let proxy =
        if cluster.proxy_url.is_empty() { Route::Direct } else { Route::Proxy(cluster.proxy_url.clone()) };
    Ok(KubeConfig { server: server.to_owned(), options: ClientOptions { tls, credentials, proxy } })
}

#[cfg(test)]
mod tests;
