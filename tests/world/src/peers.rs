//! Real programs beside ours: Prometheus, node_exporter, vmagent from Debian's packages, and where those of a control plane are.
//!
//! Each runs on a free loopback port in a folder of its own and ends with its [`Peer`]. A program that is not
//! installed is an error that says which package has it; [`find`] tells beforehand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::child::{Child, free_port};
use crate::http;

const READY: Duration = Duration::from_secs(30);
const PORT_TRIES: usize = 3;

/// Where a program is: in the folder that `KUBEBUILDER_ASSETS` names, on PATH, in the places that packages use, or in
/// `target/tools/bin`, where `cargo xtask tools` puts what it builds.
pub fn find(name: &str) -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::current_exe().unwrap_or_default();
    let built = own.ancestors().map(|folder| folder.join("tools/bin")).collect::<Vec<_>>();
    let folders = assets.into_iter().chain(std::env::split_paths(&path));
    let folders = folders.chain(["/usr/bin", "/usr/sbin"].map(PathBuf::from)).chain(built);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// As [`find`], with an error that says how to get it.
pub(crate) fn need(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("{name} is not installed; `cargo xtask tools` installs or builds it"))
}

/// A real program that runs; dropping it ends it and removes its folder.
#[derive(Debug)]
pub struct Peer {
    /// The process.
    pub child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its configuration, data and logs.
    pub folder: TempDir,
}

/// What a Prometheus is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A server that takes remote write at `/api/v1/write` and answers PromQL.
    Server,
    /// A server as well, which knows native histograms and therefore asks its targets for protobuf first.
    NativeServer,
    /// A server as well, which also writes the report series that are extra, such as `scrape_body_size_bytes`.
    ReportingServer,
    /// An agent: it scrapes and remote-writes and stores nothing to be queried.
    Agent,
}

impl Mode {
    fn features(self) -> &'static str {
        match self {
            Self::Server => "exemplar-storage",
            Self::NativeServer => "exemplar-storage,native-histograms",
            Self::ReportingServer => "exemplar-storage,extra-scrape-metrics",
            Self::Agent => "agent",
        }
    }
}

/// Prometheus with this configuration file.
pub async fn prometheus(mode: Mode, config: &str) -> Result<Peer> {
    start("prometheus", "/-/ready", |program, folder, address| {
        fs::write(folder.join("prometheus.yml"), config)?;
        let data = folder.join("data");
        let mut command = Command::new(program);
        command.arg(flag("--config.file", &folder.join("prometheus.yml")));
        command.arg(format!("--web.listen-address={address}"));
        command.arg(format!("--enable-feature={}", mode.features()));
        if mode == Mode::Agent {
            command.arg(flag("--storage.agent.path", &data));
        } else {
            command.arg("--web.enable-remote-write-receiver").arg(flag("--storage.tsdb.path", &data));
        }
        Ok(command)
    })
    .await
}

/// node_exporter, as a host runs it.
pub async fn node_exporter() -> Result<Peer> {
    node_exporter_with(&[]).await
}

/// node_exporter with these flags.
pub async fn node_exporter_with(flags: &[String]) -> Result<Peer> {
    start("prometheus-node-exporter", "/metrics", |program, _, address| {
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address={address}")).args(flags);
        Ok(command)
    })
    .await
}

/// vmagent with this scrape configuration, writing to `remote_write`; `flags` come last.
pub async fn vmagent(config: &str, remote_write: &str, flags: &[&str]) -> Result<Peer> {
    start("vmagent", "/health", |program, folder, address| {
        fs::write(folder.join("scrape.yml"), config)?;
        let mut command = Command::new(program);
        command.arg(flag("-promscrape.config", &folder.join("scrape.yml")));
        command.arg(format!("-remoteWrite.url={remote_write}"));
        command.arg(flag("-remoteWrite.tmpDataPath", &folder.join("data")));
        command.arg(format!("-httpListenAddr={address}")).args(flags);
        Ok(command)
    })
    .await
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// Starts a program on a free port, on another one if that was taken in the meantime.
async fn start(
    name: &str,
    ready: &str,
    command: impl Fn(&Path, &Path, &str) -> Result<Command>,
) -> Result<Peer> {
    let program = need(name)?;
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let folder = tempfile::tempdir().context("making a folder")?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = command(&program, folder.path(), &address)?;
        let mut child = Child::spawn(name, command.current_dir(folder.path()), folder.path())?;
        let url = format!("http://{address}");
        match child.ready(&format!("{url}{ready}"), READY).await {
            Ok(()) => return Ok(Peer { child, url, folder }),
            Err(error) if child.stderr().contains("address already in use") => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no port was tried")))
}

/// One element of an instant query's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its labels, the name included where there is one.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// An instant query to a Prometheus at `url`: a vector, or a scalar as one element without labels.
pub async fn promql(url: &str, query: &str) -> Result<Vec<Element>> {
    let query_url = format!("{url}/api/v1/query?query={}", percent(query));
    let answer = http::get(&query_url).await?.json()?;
    if answer["status"] != "success" {
        bail!("query {query}: {}", answer["error"]);
    }
    let value = |pair: &serde_json::Value| -> Result<f64> {
        let text = pair[1].as_str().context("a value that is no string")?;
        text.parse().with_context(|| format!("reading the value {text:?}"))
    };
    let data = &answer["data"];
    match data["resultType"].as_str() {
        Some("scalar") => Ok(vec![Element { labels: BTreeMap::new(), value: value(&data["result"])? }]),
        Some("vector") => {
            let elements = data["result"].as_array().map(Vec::as_slice).unwrap_or_default();
            let element = |element: &serde_json::Value| {
                let labels = serde_json::from_value(element["metric"].clone())?;
                Ok(Element { labels, value: value(&element["value"])? })
            };
            elements.iter().map(element).collect()
        }
        other => bail!("query {query}: a result of type {other:?}"),
    }
}

/// Percent-encodes everything that is not a letter or a digit.
pub fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_nowhere_is_not_found() {
        assert_eq!(find("no-such-program-anywhere"), None);
        assert!(find("sh").is_some());
        let error = need("no-such-program-anywhere").unwrap_err().to_string();
        assert!(error.contains("is not installed"), "{error}");
    }

    #[tokio::test]
    async fn promql_reads_vectors_and_scalars_and_tells_errors() {
        let server = http::Server::start(|request| async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let body = match query.as_str() {
                "query=up%7B%7D" => {
                    r#"{"status":"success","data":{"resultType":"vector","result":[
                       {"metric":{"job":"a"},"value":[1,"1"]},{"metric":{"job":"b"},"value":[1,"+Inf"]}]}}"#
                }
                "query=1" => r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#,
                _ => r#"{"status":"error","error":"parse error"}"#,
            };
            Ok(http::reply(200, "application/json", body))
        });
        let url = server.await.unwrap();
        let url = url.url("");
        let job = |name: &str| BTreeMap::from([("job".to_owned(), name.to_owned())]);
        let expected = vec![
            Element { labels: job("a"), value: 1.0 },
            Element { labels: job("b"), value: f64::INFINITY },
        ];
        assert_eq!(promql(&url, "up{}").await.unwrap(), expected);
        assert_eq!(promql(&url, "1").await.unwrap(), [Element { labels: BTreeMap::new(), value: 1.0 }]);
        assert_eq!(promql(&url, "up{").await.unwrap_err().to_string(), "query up{: \"parse error\"");
    }
}
