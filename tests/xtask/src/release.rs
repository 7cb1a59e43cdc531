//! Programs as they should be run: built by a profile of what they do (LLVM's profile-guided optimisation).
//!
//! Most of what a scrape costs are misses of caches, and a good part of those are code. A build that knows what runs and what
//! does not puts what runs side by side. `muster` is built to count, works for some minutes as `muster-bench train` has it,
//! and is built again by its counts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{cargo, say};

/// What is put into the folder.
const PROGRAMS: [&str; 3] = ["muster", "muster-allocator", "muster-bench"];

/// Builds all programs into [`folder`].
pub(crate) fn build() -> Result<()> {
    let compiler = Compiler::find()?;
    let target = cargo::target()?;
    let counts = target.join("profiling");
    let profile = counts.join("muster.profdata");
    if counts.exists() {
        std::fs::remove_dir_all(&counts).with_context(|| format!("removing {}", counts.display()))?;
    }
    let training = counts.join("training");
    std::fs::create_dir_all(&training).with_context(|| format!("making {}", training.display()))?;

    say("1 of 4: the programs, as `cargo build --release` has them");
    crate::build_measured()?;
    let bench = copy(&target.join("release"), &training, "muster-bench")?;

    say("2 of 4: a muster that counts what it does");
    let counted = counts.join("counted");
    let flags = format!("-Cprofile-generate={}", counts.join("raw").display());
    copy(&muster(&compiler, &counted, &flags)?, &training, "muster")?;

    say("3 of 4: its work");
    let status = Command::new(&bench).arg("train").status().context("starting the training")?;
    cargo::check(status, "muster-bench train")?;
    let mut merge = Command::new(&compiler.profdata);
    let status = merge.args(["merge", "-o"]).arg(&profile).arg(counts.join("raw")).status();
    cargo::check(status.context("starting llvm-profdata")?, "llvm-profdata merge")?;

    say("4 of 4: muster by its counts");
    let flags = format!("-Cprofile-use={}", profile.display());
    let built = muster(&compiler, &counts.join("built"), &flags)?;
    let folder = folder()?;
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    for program in PROGRAMS {
        let from = if program == "muster" { built.clone() } else { target.join("release") };
        copy(&from, &folder, program)?;
    }
    // Gigabytes that the next profile cannot use.
    std::fs::remove_dir_all(&counts).with_context(|| format!("removing {}", counts.display()))?;
    say(&format!("built {}", folder.display()));
    Ok(())
}

/// Becomes a program that [`build`] has built.
pub(crate) fn become_built(name: &str, words: &[String]) -> Result<()> {
    let path = folder()?.join(name);
    ensure!(path.is_file(), "{} is not there; `cargo xtask release` builds it", path.display());
    cargo::become_program(&path, words)
}

fn folder() -> Result<PathBuf> {
    Ok(cargo::target()?.join("profiled"))
}

/// Builds muster with these flags for the compiler; gives the folder in which it lies. Naming the machine's own kind of target
/// keeps the flags from build scripts.
fn muster(compiler: &Compiler, folder: &Path, flags: &str) -> Result<PathBuf> {
    let folder_text = folder.to_str().context("the target directory has a name that is not UTF-8")?;
    let words =
        ["build", "--release", "-p", "muster", "--target", &compiler.host, "--target-dir", folder_text];
    cargo::cargo(&words, &[("RUSTFLAGS", flags)])?;
    Ok(folder.join(&compiler.host).join("release"))
}

fn copy(from: &Path, to: &Path, program: &str) -> Result<PathBuf> {
    let (from, to) = (from.join(program), to.join(program));
    std::fs::copy(&from, &to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(to)
}

/// The compiler that cargo calls, as far as profiles are concerned.
#[derive(Debug)]
struct Compiler {
    /// The kind of machine that it runs on, such as `x86_64-unknown-linux-gnu`.
    host: String,
    /// The program that reads its counts: that of another version cannot.
    profdata: PathBuf,
}

impl Compiler {
    fn find() -> Result<Self> {
        let sysroot = PathBuf::from(output_of(&["--print", "sysroot"])?.trim());
        let version = output_of(&["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        Self::in_sysroot(&sysroot, host.context("`rustc -vV` names no host")?)
    }

    fn in_sysroot(sysroot: &Path, host: &str) -> Result<Self> {
        let profdata = sysroot.join("lib/rustlib").join(host).join("bin/llvm-profdata");
        if !profdata.is_file() {
            bail!(
                "{} is not there; `rustup component add llvm-tools` installs it, and without rustup the package that holds LLVM's tools \
                 for this compiler",
                profdata.display()
            );
        }
        Ok(Self { host: host.to_owned(), profdata })
    }
}

fn output_of(words: &[&str]) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(words).output().context("starting rustc")?;
    cargo::check(output.status, "rustc")?;
    String::from_utf8(output.stdout).context("what rustc prints is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_of_the_compiler_are_found_below_its_root_or_missed_with_a_remedy() {
        let sysroot = tempfile::tempdir().unwrap();
        let missed = Compiler::in_sysroot(sysroot.path(), "some-host").unwrap_err().to_string();
        assert!(missed.contains("some-host/bin/llvm-profdata is not there"), "{missed}");
        assert!(missed.contains("rustup component add llvm-tools"), "{missed}");
        let folder = sysroot.path().join("lib/rustlib/some-host/bin");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("llvm-profdata"), "").unwrap();
        let found = Compiler::in_sysroot(sysroot.path(), "some-host").unwrap();
        assert_eq!((&*found.host, found.profdata), ("some-host", folder.join("llvm-profdata")));
    }

    #[test]
    fn the_compiler_of_this_build_tells_its_host_and_its_root() {
        let root = output_of(&["--print", "sysroot"]).unwrap();
        assert!(Path::new(root.trim()).is_dir(), "{root}");
        assert!(output_of(&["-vV"]).unwrap().contains("\nhost: "));
    }
}
