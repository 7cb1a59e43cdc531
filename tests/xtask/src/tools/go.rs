//! Programs that no package of Debian has, built from their Go modules into `target/tools`, once for each version.
//!
//! `target/tools/NAME-VERSION/NAME` is the program, `target/tools/bin/NAME` leads to it; tests look there. A Go toolchain from 1.21 on
//! is enough: it fetches the one that the module asks for. Modules are checked against Go's checksum database.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{cargo, say};

/// How a program is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) version: &'static str,
    pub(crate) kind: Kind,
    /// For whoever waits.
    pub(crate) takes: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `main` of ours around the library that this part of Kubernetes is.
    Kubernetes,
    /// A package that `go install` takes as it is.
    Package(&'static str),
}

const KUBERNETES: &str = "k8s.io/kubernetes";

/// The whole program: the API server is a library of the module `k8s.io/kubernetes`.
const MAIN: &str = r#"package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
"#;

/// Where this version of a program is, or will be.
pub(crate) fn path(program: &str, version: &str) -> Result<PathBuf> {
    Ok(cargo::target()?.join("tools").join(format!("{program}-{version}")).join(program))
}

/// Builds a program, says so, and leads `target/tools/bin` to it.
pub(crate) fn build(program: &str, module: &Module) -> Result<()> {
    let Some(go) = find_go() else { bail!("Go is not installed (1.21 or later, https://go.dev/dl)") };
    let path = path(program, module.version)?;
    let folder = path.parent().context("a program lies in a folder")?;
    fs::create_dir_all(folder)?;
    if !path.is_file() {
        say(&format!("tools: building {program} {} from its Go modules, {}", module.version, module.takes));
        let began = Instant::now();
        // The name is the program's once the program is whole.
        let unfinished = match module.kind {
            Kind::Kubernetes => kubernetes(&go, folder, program, module.version)?,
            Kind::Package(package) => installed(&go, folder, package, module.version)?,
        };
        fs::rename(unfinished, &path)?;
        say(&format!("tools: built {program} in {} s", began.elapsed().as_secs()));
    }
    let bin = cargo::target()?.join("tools/bin");
    fs::create_dir_all(&bin)?;
    let (link, new) = (bin.join(program), bin.join(format!("{program}.new")));
    fs::remove_file(&new).ok();
    std::os::unix::fs::symlink(&path, &new)?;
    fs::rename(&new, &link).with_context(|| format!("leading {} to {}", link.display(), path.display()))
}

fn find_go() -> Option<PathBuf> {
    super::find_on_path("go")
        .or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|go| go.is_file()))
}

/// Go at low priority, in a module of its own whatever stands around it.
fn go(go: &Path, folder: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(go).current_dir(folder).stdin(Stdio::null());
    command.env("GOWORK", "off").env("GOFLAGS", "-mod=mod -buildvcs=false").env("CGO_ENABLED", "0");
    command
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("starting go")?;
    if !output.status.success() {
        let words = command.get_args().skip(3).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = text.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>();
        bail!("go {words} failed ({}):\n{}", output.status, last.join("\n"));
    }
    Ok(output.stdout)
}

fn installed(program: &Path, folder: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let bin = folder.join("unfinished");
    let wanted = format!("{package}@v{version}");
    output(go(program, folder).args(["install", "-trimpath", "-ldflags=-s -w", &wanted]).env("GOBIN", &bin))?;
    // A major version is no part of the program's name.
    let name = package.rsplit('/').find(|part| !is_major_version(part)).context("a package has a name")?;
    Ok(bin.join(name))
}

fn is_major_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok())
}

fn kubernetes(program: &Path, folder: &Path, name: &str, version: &str) -> Result<PathBuf> {
    let source = folder.join("source");
    // What an earlier try left could be read as a broken module.
    fs::remove_dir_all(&source).ok();
    fs::create_dir_all(&source)?;
    let wanted = format!("{KUBERNETES}@v{version}");
    let answer = output(go(program, folder).args(["mod", "download", "-json", &wanted]))?;
    let answer: serde_json::Value = serde_json::from_slice(&answer).context("reading what go says")?;
    let file = answer["GoMod"].as_str().context("go says where the module's go.mod is")?;
    let theirs = fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    fs::write(source.join("go.mod"), go_mod(&theirs, version)?)?;
    fs::write(source.join("main.go"), MAIN)?;
    let unfinished = folder.join("unfinished");
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion=v{version}");
    let words = ["build", "-trimpath", "-ldflags", &flags, "-o"];
    output(go(program, &source).args(words).arg(&unfinished).arg("."))
        .with_context(|| format!("building {name}"))?;
    Ok(unfinished)
}

/// A module that requires Kubernetes. Its parts have the version 0.0.0 there, because they lie beside it; they are published as 0.MINOR.PATCH.
fn go_mod(theirs: &str, version: &str) -> Result<String> {
    let parts = version.strip_prefix("1.").context("Kubernetes has a version 1.MINOR.PATCH")?;
    let lines = || theirs.lines().map(str::trim);
    let go = lines().find(|line| line.starts_with("go ")).context("a go.mod says its version of Go")?;
    let mut text = format!("module control-plane\n\n{go}\n\nrequire {KUBERNETES} v{version}\n\n");
    let staged =
        lines().filter_map(|line| line.strip_suffix(" v0.0.0")).filter(|name| name.starts_with("k8s.io/"));
    for name in staged {
        text += &format!("replace {name} => {name} v0.{parts}\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_kubernetes_are_taken_as_they_are_published() {
        let theirs = "module k8s.io/kubernetes\n\ngo 1.25.0\n\nrequire (\n\tk8s.io/api v0.0.0\n\tk8s.io/klog/v2 v2.130.1\n\
                      \tk8s.io/kube-openapi v0.0.0-20250910181357-589584f1c912\n)\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        let expected = "module control-plane\n\ngo 1.25.0\n\nrequire k8s.io/kubernetes v1.35.4\n\n\
                        replace k8s.io/api => k8s.io/api v0.35.4\n";
        assert_eq!(go_mod(theirs, "1.35.4").unwrap(), expected);
    }

    #[test]
    fn a_major_version_is_no_name_of_a_program() {
        assert!(is_major_version("v5") && !is_major_version("vmagent") && !is_major_version("kustomize"));
    }
}
