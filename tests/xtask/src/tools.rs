//! Programs that are not ours: real exporters, real receivers, real rivals, a control plane, a browser.
//!
//! They come from Debian's packages, or are built from Go modules ([`go`]). What stands in the folder that `KUBEBUILDER_ASSETS` names
//! is used first. Where there is no apt-get, or the user may not install, nothing fails: tests
//! that need a missing program are skipped by name. Debian starts the services of some packages at once, which would
//! take ports and processor time that nobody asked for: a `policy-rc.d` forbids it while we install, and an existing one
//! is left alone.

mod go;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{cargo, say};

/// A program, where it comes from, and what cannot be done without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    program: &'static str,
    source: Source,
    used_for: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A package of Debian.
    Debian(&'static str),
    Go(go::Module),
}

const TOOLS: [Tool; 7] = [
    Tool {
        program: "prometheus",
        source: Source::Debian("prometheus"),
        used_for: "tests that write to a real Prometheus and ask it PromQL; bench; the demo's second endpoint",
    },
    Tool {
        program: "prometheus-node-exporter",
        source: Source::Debian("prometheus-node-exporter"),
        used_for: "tests that scrape a real exporter",
    },
    Tool {
        program: "vmagent",
        source: Source::Debian("victoria-metrics"),
        used_for: "tests of the HTTP SD endpoint; bench",
    },
    Tool {
        program: "chromium",
        source: Source::Debian("chromium"),
        used_for: "the test that looks at the demo's page",
    },
    Tool {
        program: "etcd",
        source: Source::Debian("etcd-server"),
        used_for: "tests against a real API server; `cargo xtask up`",
    },
    Tool {
        program: "kube-apiserver",
        source: Source::Go(go::Module {
            version: "1.35.4",
            kind: go::Kind::Kubernetes,
            takes: "which takes some 3 minutes on two cores and 1.5 GB for Go's caches",
        }),
        used_for: "tests against a real API server; `cargo xtask up`",
    },
    Tool {
        program: "kustomize",
        source: Source::Go(go::Module {
            version: "5.7.1",
            kind: go::Kind::Package("sigs.k8s.io/kustomize/kustomize/v5"),
            takes: "which takes half a minute",
        }),
        used_for: "tests that render and apply deploy/kubernetes",
    },
];

/// Services that these packages bring.
const SERVICES: &str = "prometheus prometheus-node-exporter victoria-metrics etcd";

/// As root. `policy-rc.d` with 101 means: start nothing.
const SCRIPT: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get -qq update
apt-get -qq -y --no-install-recommends install "$@"
"#;

/// Installs and builds what is missing if that is possible, says what it does, and returns what is missing afterwards.
pub(crate) fn install() -> Result<Vec<Tool>> {
    let before = missing()?;
    let packages: Vec<&str> = before
        .iter()
        .filter_map(|tool| match tool.source {
            Source::Debian(package) => Some(package),
            Source::Go(_) => None,
        })
        .collect();
    if let (false, Some(become_root)) = (packages.is_empty(), become_root()) {
        install_packages(&packages, &become_root)?;
    }
    for Tool { program, source, .. } in &before {
        let Source::Go(module) = source else { continue };
        if let Err(error) = go::build(program, module) {
            say(&format!("tools: {program} could not be built: {error:#}"));
        }
    }
    let after = missing()?;
    match after.is_empty() {
        true => say("tools: all there"),
        false => tell_missing(&after),
    }
    Ok(after)
}

fn install_packages(packages: &[&str], become_root: &[&str]) -> Result<()> {
    say(&format!("tools: installing Debian packages {}", packages.join(" ")));
    let (program, words) = become_root.split_first().context("no command to become root with")?;
    let status = Command::new(program)
        .args(words)
        .args(["sh", "-c", SCRIPT, "sh"])
        .args(packages)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("starting apt-get")?;
    if !status.success() {
        say(&format!("tools: apt-get failed ({status})"));
    }
    if Path::new("/run/systemd/system").exists() {
        say(&format!(
            "tools: their services were not started, but would be at the next boot; to prevent it:\n  \
             systemctl disable {SERVICES}"
        ));
    }
    Ok(())
}

/// Which tools are not there.
fn missing() -> Result<Vec<Tool>> {
    let mut missing = Vec::new();
    for tool in TOOLS {
        let is_built = match tool.source {
            Source::Debian(_) => false,
            Source::Go(module) => {
                let link = cargo::target()?.join("tools/bin").join(tool.program);
                link.read_link()
                    .is_ok_and(|to| go::path(tool.program, module.version).is_ok_and(|path| path == to))
                    && link.is_file()
            }
        };
        if !is_built && find_on_path(tool.program).is_none() {
            missing.push(tool);
        }
    }
    Ok(missing)
}

fn tell_missing(tools: &[Tool]) {
    for Tool { program, source, used_for } in tools {
        let source = match source {
            Source::Debian(package) => format!("Debian package {package}"),
            Source::Go(module) => format!("built from Go modules, version {}", module.version),
        };
        say(&format!("tools: {program} is missing ({source}); skipped without it: {used_for}"));
    }
}

/// The words before a command that let it run as root without asking; `None` where nothing can be installed.
fn become_root() -> Option<Vec<&'static str>> {
    find_on_path("apt-get")?;
    let prints = |program: &str, words: &[&str]| {
        let output =
            Command::new(program).args(words).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if prints("id", &["-u"]).as_deref() == Some("0") {
        return Some(vec!["env"]);
    }
    prints("sudo", &["-n", "true"]).map(|_| vec!["sudo", "-n"])
}

/// Where a program is that we did not build ourselves.
fn find_on_path(program: &str) -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = assets.into_iter().chain(std::env::split_paths(&path));
    let folders = folders.chain(["/usr/bin", "/usr/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_is_for() {
        assert!(TOOLS.iter().all(|tool| !tool.program.is_empty() && !tool.used_for.is_empty()));
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find_on_path("sh").is_some());
        assert_eq!(find_on_path("no-such-program-anywhere"), None);
    }
}
