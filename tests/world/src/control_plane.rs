//! A real Kubernetes control plane on loopback: etcd and kube-apiserver, without nodes, schedulers or controllers.
//!
//! It stores, checks, lists and watches objects exactly as a cluster does, and knows the four monitoring kinds. What a controller
//! would make (EndpointSlices of a Service, the token of a service account) is made by who needs it; [`objects`] helps.
//! `cargo xtask tools` provides the programs. Authority, certificate and keys are files in `testdata/control-plane`; they are
//! public, so nothing but loopback is listened on.
//!
//! Namespaces keep tests apart that share one ([`ControlPlane::shared`]). A namespace that was deleted stays `Terminating`, because
//! its controller is not there: take another name.

mod audit;
mod client;
pub mod crds;
mod folder;
pub mod objects;
pub mod sample;
mod stream;

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::sync::Mutex;

use crate::child::{self, Child, free_port};
use crate::peers;

pub use audit::Asked;
pub use client::{Client, Refused};
pub use stream::Events;

/// Programs without which there is no control plane.
pub const PROGRAMS: [&str; 2] = ["etcd", "kube-apiserver"];

/// Admission plugins that are of no use here.
const DISABLED: &str = "--disable-admission-plugins=ServiceAccount,ResourceQuota,LimitRanger,DefaultTolerationSeconds,\
    MutatingAdmissionPolicy,MutatingAdmissionWebhook,PodSecurity,PodTopologyLabels,Priority,RuntimeClass,StorageObjectInUseProtection,\
    TaintNodesByCondition,ValidatingAdmissionPolicy,ValidatingAdmissionWebhook";

const READY: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const PORT_TRIES: usize = 5;

/// A running control plane; dropping it ends both programs and removes their data. They end with this process in any case.
#[derive(Debug)]
pub struct ControlPlane {
    api: Mutex<Option<Child>>,
    etcd: Child,
    etcd_url: String,
    url: String,
    token: String,
    folder: folder::Folder,
}

static SHARED: Mutex<Option<Arc<ControlPlane>>> = Mutex::const_new(None);

impl ControlPlane {
    /// Starts one with nothing in it but the four monitoring kinds; takes about four seconds.
    pub async fn start() -> Result<Self> {
        let folder = folder::Folder::make()?;
        let token = secret();
        fs::write(folder.path().join("tokens.csv"), tokens(&token)).context("writing the tokens")?;
        fs::write(folder.path().join("audit.yaml"), audit::POLICY).context("writing the audit policy")?;
        let (etcd, etcd_url) = start_etcd(folder.path()).await?;
        let mut last = None;
        for _ in 0..PORT_TRIES {
            let port = free_port()?;
            let url = format!("https://127.0.0.1:{port}");
            match start_api(folder.path(), &etcd_url, port, &Client::new(&url, &token)?).await {
                Ok(api) => {
                    let api = Mutex::new(Some(api));
                    let plane = Self { api, etcd, etcd_url, url, token, folder };
                    crds::install(&plane.admin()?).await?;
                    return Ok(plane);
                }
                Err(error) if is_port_taken(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no port was tried")))
    }

    /// The one that the tests of a program share; the first call starts it. If a test took the API server away, it is back.
    pub async fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        let plane = match shared.as_ref() {
            Some(plane) => Arc::clone(plane),
            None => Arc::clone(shared.insert(Arc::new(Self::start().await?))),
        };
        plane.start_api().await?;
        Ok(plane)
    }

    /// Ends the shared one, which a program does before it exits: what is static is never dropped. Not from async code.
    pub fn end_shared() {
        SHARED.blocking_lock().take();
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bearer token of `admin`, who may do everything.
    pub fn admin_token(&self) -> &str {
        &self.token
    }

    /// A client that may do everything. Its connection belongs to the runtime that first uses it.
    pub fn admin(&self) -> Result<Client> {
        Client::new(&self.url, &self.token)
    }

    /// A client with this bearer token.
    pub fn client(&self, token: &str) -> Result<Client> {
        Client::new(&self.url, token)
    }

    /// A token for a service account, which is created if it is not there; the namespace has to be. It has the rights that roles
    /// give it and no other.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<String> {
        let admin = self.admin()?;
        admin.apply(&objects::service_account(namespace, name)).await?;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "expirationSeconds": 86_400 } });
        let answer = admin.post(&path, &request).await?;
        let token = answer["status"]["token"].as_str().context("a TokenRequest is answered with a token")?;
        Ok(token.to_owned())
    }

    /// What a service account has asked for so far, distinct and sorted; a watch counts when it has begun.
    pub fn asked_by(&self, namespace: &str, name: &str) -> Result<Vec<Asked>> {
        let mut asked = self.requests_of(namespace, name)?;
        asked.sort();
        asked.dedup();
        Ok(asked)
    }

    /// Every request of a service account so far, in order.
    pub fn requests_of(&self, namespace: &str, name: &str) -> Result<Vec<Asked>> {
        audit::asked(
            &self.folder.path().join("audit.log"),
            &format!("system:serviceaccount:{namespace}:{name}"),
        )
    }

    /// Writes a kubeconfig for the owner of `token` and says where; `namespace` is that of its context.
    pub fn kubeconfig(&self, user: &str, token: &str, namespace: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("{user}.kubeconfig"));
        self.write_kubeconfig(&path, user, token, namespace)?;
        Ok(path)
    }

    /// As [`Self::kubeconfig`], to a given file.
    pub fn write_kubeconfig(&self, path: &Path, user: &str, token: &str, namespace: &str) -> Result<()> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: muster\nclusters:\n- name: muster\n  cluster:\n    \
             server: {}\n    certificate-authority: {}\nusers:\n- name: {user}\n  user:\n    token: {token}\ncontexts:\n\
             - name: muster\n  context:\n    cluster: muster\n    user: {user}\n    namespace: {namespace}\n",
            self.url,
            ca_file().display(),
        );
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Takes the API server away at once; its data stays.
    pub async fn stop_api(&self) {
        self.api.lock().await.take();
    }

    /// Brings the API server back, at the same address and with the same data. Does nothing while it runs.
    pub async fn start_api(&self) -> Result<()> {
        let mut api = self.api.lock().await;
        if api.as_mut().is_some_and(|api| api.ended().is_none()) {
            return Ok(());
        }
        let port =
            self.url.rsplit(':').next().and_then(|port| port.parse().ok()).context("a URL has a port")?;
        *api = Some(start_api(self.folder.path(), &self.etcd_url, port, &self.admin()?).await?);
        Ok(())
    }

    /// Lets etcd forget what happened up to this version. The API server answers from memory all the same: start it again, and who asks
    /// for something older is told that it is gone.
    pub async fn compact(&self, version: u64) -> Result<()> {
        let url = format!("{}/v3/kv/compaction", self.etcd_url);
        let body = json!({ "revision": version.to_string() }).to_string();
        let answer = crate::http::post(&url, &[], body).await?;
        ensure!(answer.status == 200, "etcd does not compact: {}", answer.text());
        Ok(())
    }

    /// The processor time that etcd and the API server have taken since they were started last.
    pub async fn cpu(&self) -> Result<Duration> {
        let (etcd, api) = self.processes().await;
        let cpu = |pid| Some(child::usage(pid)?.cpu);
        let (etcd, api) = cpu(etcd).zip(cpu(api.context("the API server runs")?)).context("both run")?;
        Ok(etcd + api)
    }

    /// The process ids of etcd and of the API server, if that runs.
    pub async fn processes(&self) -> (u32, Option<u32>) {
        (self.etcd.id(), self.api.lock().await.as_ref().map(Child::id))
    }
}

/// The authority that signed the API server's certificate, in PEM.
pub fn ca_file() -> PathBuf {
    file("ca.pem")
}

/// How a server in this process shows the API server's certificate.
pub(crate) fn server_tls() -> Result<ServerConfig> {
    let read = |name: &str| fs::read(file(name)).with_context(|| format!("reading {name}"));
    let chain = CertificateDer::pem_slice_iter(&read("apiserver.pem")?).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&read("apiserver.key")?)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A file of the PKI: `ca.pem`, `apiserver.pem`, `apiserver.key`, `service-account.key` and `.pem`.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/control-plane").join(name)
}

/// `admin` may do everything, `nobody` has the rights of anybody who is known.
fn tokens(admin: &str) -> String {
    format!("{admin},admin,admin,\"system:masters\"\n{NOBODY},nobody,nobody\n")
}

/// The token of a user without any rights.
pub const NOBODY: &str = "token-of-nobody";

/// 128 bits from the standard library's seed for hash maps, in hexadecimal.
fn secret() -> String {
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

fn is_port_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

async fn start_etcd(folder: &Path) -> Result<(Child, String)> {
    let program = peers::need("etcd")?;
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        // Nobody is its peer; still it wants an address for one.
        let peer = format!("http://127.0.0.1:{}", free_port()?);
        let mut command = Command::new(&program);
        command.args(["--name=muster", "--data-dir=etcd", "--logger=zap", "--log-level=warn"]);
        command.arg(format!("--listen-client-urls={url}")).arg(format!("--advertise-client-urls={url}"));
        command.arg(format!("--listen-peer-urls={peer}")).arg(format!("--initial-cluster=muster={peer}"));
        command.arg(format!("--initial-advertise-peer-urls={peer}")).current_dir(folder);
        let mut child = Child::spawn_bound("etcd", &command, folder)?;
        match child.ready(&format!("{url}/health"), READY).await {
            Ok(()) => return Ok((child, url)),
            Err(error) if is_port_taken(&error) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no port was tried")))
}

async fn start_api(folder: &Path, etcd: &str, port: u16, admin: &Client) -> Result<Child> {
    let mut command = Command::new(peers::need("kube-apiserver")?);
    command.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        // There is no Service `kubernetes` whose endpoints would be kept.
        "--endpoint-reconciler-type=none",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        // Pods need no service account: its controller is not there to make the default one. Nor is there anything that quotas, limits,
        // priorities, policies or webhooks would say of a pod; all of it would be looked up for each.
        DISABLED,
        // Few ask, and nobody is to be held back for another one.
        "--enable-priority-and-fairness=false",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--allow-privileged=true",
        "--profiling=false",
        "--audit-policy-file=audit.yaml",
        "--audit-log-path=audit.log",
    ]);
    command.arg(format!("--secure-port={port}")).arg(format!("--etcd-servers={etcd}"));
    for (flag, name) in [
        ("--client-ca-file", "ca.pem"),
        ("--tls-cert-file", "apiserver.pem"),
        ("--tls-private-key-file", "apiserver.key"),
        ("--service-account-key-file", "service-account.pem"),
        ("--service-account-signing-key-file", "service-account.key"),
    ] {
        command.arg(format!("{flag}={}", file(name).display()));
    }
    // It shares two cores with what is tested: memory is cheaper there than collecting garbage.
    command.env("GOGC", "400").env("GOMEMLIMIT", "3GiB");
    let mut child = Child::spawn_bound("kube-apiserver", command.current_dir(folder), folder)?;
    let until = Instant::now() + READY;
    loop {
        if let Some(status) = child.ended() {
            bail!("kube-apiserver ended ({status}) before it was ready:\n{}", child.last_words());
        }
        let last = match admin.get("/readyz").await {
            Ok(_) => return Ok(child),
            Err(error) => error,
        };
        if Instant::now() > until {
            bail!("kube-apiserver is not ready after {READY:?}: {last:#}\n{}", child.last_words());
        }
        tokio::time::sleep(POLL).await;
    }
}
