//! Programs that are not ours: real exporters, real receivers, real rivals, a browser.
//!
//! They come from Debian's packages. Where there is no apt-get, or the user may not install, nothing fails: tests
//! that need a missing program are skipped by name. Debian starts the services of some packages at once, which would
//! take ports and processor time that nobody asked for: a `policy-rc.d` forbids it while we install, and an existing one
//! is left alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::say;

/// A program, the Debian package that has it, and what cannot be done without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    pub(crate) used_for: &'static str,
}

const TOOLS: [Tool; 4] = [
    Tool {
        program: "prometheus",
        package: "prometheus",
        used_for: "tests that write to a real Prometheus and ask it PromQL; bench; the demo's second endpoint",
    },
    Tool {
        program: "prometheus-node-exporter",
        package: "prometheus-node-exporter",
        used_for: "tests that scrape a real exporter",
    },
    Tool {
        program: "vmagent",
        package: "victoria-metrics",
        used_for: "tests of the HTTP SD endpoint; bench",
    },
    Tool { program: "chromium", package: "chromium", used_for: "the test that looks at the demo's page" },
];

/// Services that these packages bring.
const SERVICES: &str = "prometheus prometheus-node-exporter victoria-metrics";

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

/// Installs what is missing if that is possible, says what it does, and returns what is missing afterwards.
pub(crate) fn install() -> Result<Vec<Tool>> {
    let before = missing();
    if before.is_empty() {
        say("tools: all there");
        return Ok(before);
    }
    let Some(become_root) = become_root() else {
        tell_missing(&before);
        return Ok(before);
    };
    let packages = before.iter().map(|tool| tool.package).collect::<Vec<_>>();
    say(&format!("tools: installing Debian packages {}", packages.join(" ")));
    let (program, words) = become_root.split_first().context("no command to become root with")?;
    let status = Command::new(program)
        .args(words)
        .args(["sh", "-c", SCRIPT, "sh"])
        .args(&packages)
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
    let after = missing();
    match after.is_empty() {
        true => say("tools: all there"),
        false => tell_missing(&after),
    }
    Ok(after)
}

/// Which tools are not there.
pub(crate) fn missing() -> Vec<Tool> {
    TOOLS.into_iter().filter(|tool| find(tool.program).is_none()).collect()
}

fn tell_missing(tools: &[Tool]) {
    for Tool { program, package, used_for } in tools {
        say(&format!(
            "tools: {program} is missing (Debian package {package}); skipped without it: {used_for}"
        ));
    }
}

/// The words before a command that let it run as root without asking; `None` where nothing can be installed.
fn become_root() -> Option<Vec<&'static str>> {
    find("apt-get")?;
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

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/bin", "/usr/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_is_for() {
        assert!(TOOLS.iter().all(|tool| !tool.package.is_empty() && !tool.used_for.is_empty()));
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
