//! `muster-world up`: a control plane that stays, and files that tell how to use it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use world::control_plane::{ControlPlane, sample};

use super::say;

/// Started with it an allocator serves the sample.
fn allocator(kubeconfig: &Path) -> String {
    format!(
        "# Written by `cargo xtask up`: an allocator for the sample.\n\
         kube_config_file_path: {}\n\
         collector_namespace: {}\n\
         collector_selector:\n  matchLabels:\n    app.kubernetes.io/component: opentelemetry-collector\n\
         allocation_strategy: consistent-hashing\n\
         prometheus_cr:\n  enabled: true\n  service_monitor_selector: {{}}\n  pod_monitor_selector: {{}}\n  \
         probe_selector: {{}}\n  scrape_config_selector: {{}}\n",
        kubeconfig.display(),
        sample::NAMESPACE,
    )
}

pub(super) async fn run(folder: &Path) -> Result<()> {
    let mut ended = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let at_end = async move {
        tokio::select! { _ = ended.recv() => {}, _ = interrupted.recv() => {} }
    };
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let folder = fs::canonicalize(folder)?;
    let (pid, config, kubeconfig) =
        (folder.join("pid"), folder.join("allocator.yaml"), folder.join("kubeconfig"));
    fs::write(&pid, std::process::id().to_string()).with_context(|| format!("writing {}", pid.display()))?;
    fs::write(&config, allocator(&kubeconfig)).context("writing the allocator's configuration")?;
    let outcome = tokio::select! {
        outcome = serve(&kubeconfig, &config) => outcome,
        () = at_end => Ok(()),
    };
    for path in [&kubeconfig, &pid] {
        // Not there if it did not come so far.
        fs::remove_file(path).ok();
    }
    outcome
}

/// Starts a control plane and keeps it until the caller has enough.
async fn serve(kubeconfig: &Path, config: &Path) -> Result<()> {
    let plane = ControlPlane::start().await?;
    sample::create(&plane.admin()?).await?;
    // Complete before it has its name: whoever waits for it reads it at once.
    let unfinished = kubeconfig.with_extension("new");
    plane.write_kubeconfig(&unfinished, "admin", plane.admin_token(), sample::NAMESPACE)?;
    fs::rename(&unfinished, kubeconfig)?;
    say(&format!(
        "the API server is {}; kubeconfig: {}\n\
         kubectl --kubeconfig {} get pods,servicemonitors\n\
         cargo run -p muster-allocator -- --config-file {}",
        plane.url(),
        kubeconfig.display(),
        kubeconfig.display(),
        config.display(),
    ));
    std::future::pending().await
}
