//! The programs that are compared, each scraping a fleet and remote-writing to a sink.
//!
//! Every program runs with its defaults but for the sink's address and, where the fleet has no gzip, its own switch not to ask
//! for it. Debian's Prometheus is too old for such a switch: it asks, and gets plain text.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use world::child::{Child, Usage, binary};
use world::peers::{self, Mode, Peer};

/// What can be measured.
pub(crate) const PROGRAMS: [&str; 3] = ["muster", "vmagent", "prometheus"];

/// Our own program with keys of its exporter beside the endpoint: as it is by default, with each protocol, and with its queue on the disk.
const MUSTERS: [(&str, &str); 5] = [
    ("muster", ""),
    ("muster-1.0", ", protobuf_message: prometheus.WriteRequest"),
    ("muster-2.0", ", protobuf_message: io.prometheus.write.v2.Request"),
    ("muster-zstd", ", vm_protocol: true"),
    ("muster-disk", ON_DISK),
];
/// Keys of the exporter that queues on the disk.
pub(crate) const ON_DISK: &str = ", sending_queue: {storage: file_storage}";

/// What a program is to do.
pub(crate) struct Task<'a> {
    /// Targets, as `static_configs` have them.
    pub(crate) groups: &'a Value,
    pub(crate) interval: Duration,
    pub(crate) gzip: bool,
    /// The sink's URL.
    pub(crate) sink: &'a str,
}

/// A program under measurement.
pub(crate) enum Running {
    Ours { child: Child, folder: TempDir },
    Peer(Peer),
}

impl Running {
    fn child(&self) -> &Child {
        match self {
            Self::Ours { child, .. } => child,
            Self::Peer(peer) => &peer.child,
        }
    }

    /// Where it keeps what has to survive.
    pub(crate) fn data(&self) -> PathBuf {
        match self {
            Self::Ours { folder, .. } => folder.path().join("data"),
            Self::Peer(peer) => peer.folder.path().join("data"),
        }
    }

    /// Tells it to end and waits for it.
    pub(crate) async fn end(&mut self, grace: Duration) -> Result<()> {
        let child = match self {
            Self::Ours { child, .. } => child,
            Self::Peer(peer) => &mut peer.child,
        };
        let status = child.terminate(grace).await?;
        ensure!(status.success(), "{}: {status}: {}", child.name(), child.last_words());
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child().id()
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let child = self.child();
        child.usage().with_context(|| {
            format!("{} has ended, or cannot be looked at: {}", child.name(), child.last_words())
        })
    }
}

/// Whether a program can be measured here.
pub(crate) fn is_there(program: &str) -> bool {
    program.starts_with("muster") || peers::find(program).is_some()
}

/// Starts a program by its name.
pub(crate) async fn start(program: &str, task: &Task<'_>) -> Result<Running> {
    let scrape = scrape_configs(program, task);
    let variant = MUSTERS.iter().find(|(name, _)| *name == program);
    if let Some((_, keys)) = variant {
        return muster(&scrape, task.sink, keys);
    }
    match program {
        "vmagent" => Ok(Running::Peer(peers::vmagent(&scrape, task.sink, &[]).await?)),
        "prometheus" => {
            let config = format!("{scrape}\nremote_write: [{{url: '{}'}}]\n", task.sink);
            Ok(Running::Peer(peers::prometheus(Mode::Agent, &config).await?))
        }
        other => bail!("unknown program `{other}`; known are {}", PROGRAMS.join(", ")),
    }
}

/// A Prometheus configuration that scrapes every target. JSON is YAML, too.
fn scrape_configs(program: &str, task: &Task<'_>) -> String {
    let seconds = task.interval.as_secs();
    let uncompressed = match program {
        _ if task.gzip => "",
        name if name.starts_with("muster") => "enable_compression: false, ",
        "vmagent" => "disable_compression: true, ",
        _ => "",
    };
    format!(
        "global: {{scrape_interval: {seconds}s, scrape_timeout: {seconds}s}}\n\
         scrape_configs: [{{job_name: even, {uncompressed}static_configs: {}}}]",
        task.groups
    )
}

/// Our own program with these scrape configurations, and these keys of its exporter beside the endpoint.
pub(crate) fn muster(scrape: &str, sink: &str, keys: &str) -> Result<Running> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let indented: Vec<String> = scrape.lines().map(|line| format!("      {line}")).collect();
    let config = format!(
        "receivers:\n  prometheus:\n    config:\n{}\n\
         exporters: {{prometheusremotewrite: {{endpoint: '{sink}'{keys}}}}}\n\
         extensions: {{file_storage: {{directory: data, create_directory: true}}}}\n\
         service:\n  extensions: [file_storage]\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines: {{metrics: {{receivers: [prometheus], exporters: \
         [prometheusremotewrite]}}}}\n",
        indented.join("\n")
    );
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).context("writing the configuration")?;
    let mut command = Command::new(binary("muster")?);
    command.arg("--config").arg(&path).current_dir(folder.path());
    let child = Child::spawn("muster", &mut command, folder.path())?;
    Ok(Running::Ours { child, folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_is_told_not_to_ask_for_gzip_in_its_own_words() {
        let groups = serde_json::json!([{"targets": ["a:1"]}]);
        let config = |program: &str, gzip| {
            let task = Task { groups: &groups, interval: Duration::from_secs(15), gzip, sink: "http://s" };
            scrape_configs(program, &task)
        };
        assert!(config("muster", false).contains("enable_compression: false"));
        assert!(config("vmagent", false).contains("disable_compression: true"));
        for program in PROGRAMS {
            assert!(!config(program, true).contains("compression"), "{program}");
            assert!(config(program, true).contains("scrape_interval: 15s"), "{program}");
        }
        assert!(!config("prometheus", false).contains("compression"));
    }
}
