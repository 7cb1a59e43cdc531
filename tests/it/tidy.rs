//! The law of the tree, as tests: layers, doors, headers, generated files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::Case;
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("crates_import_downwards_only", layers_hold),
    Case::new("the_layer_check_sees_an_upward_edge", layer_check_can_fail),
    Case::new("outside_crates_enter_through_their_door", doors_hold),
    Case::new("the_top_level_has_its_seven_names", top_level_holds),
    Case::new("every_source_file_says_what_it_is", headers_hold),
    Case::new("the_generated_schema_is_fresh", schema_is_fresh),
    Case::new("documents_name_no_file_that_is_gone", documents_hold),
];

/// Bands from bottom to top; a crate may depend on bands below it and, except for parts, on its own.
const BANDS: &[(&str, &[&str])] = &[
    ("ground", &["model", "config"]),
    ("words", &["exposition", "relabel", "wire", "translate"]),
    ("reach", &["cluster", "discovery", "hostmetrics", "kubelet", "net", "queue", "scrape", "telemetry"]),
    ("spine", &["pipeline"]),
    ("parts", &["receivers", "processors", "exporters", "extensions"]),
    ("bins", &["muster", "muster-allocator"]),
    ("tests", &["it", "world", "demo", "bench", "fuzz-targets", "xtask"]),
];

/// Outside crates and the only crates that may depend on them. Test crates may use what they need.
const DOORS: &[(&str, &[&str])] = &[
    ("crc32c", &["queue"]),
    ("flate2", &["wire"]),
    ("granit-parser", &["config"]),
    ("httparse", &["net"]),
    ("hickory-resolver", &["discovery"]),
    ("hyper", &["net"]),
    ("hyper-util", &["net"]),
    ("inotify", &["discovery"]),
    ("k8s-openapi", &["cluster"]),
    ("kube", &["cluster"]),
    ("jump-consistent-hash", &["muster-allocator"]),
    ("libdeflater", &["wire"]),
    ("prost", &["wire"]),
    ("regex", &["relabel"]),
    ("reqwest", &["net"]),
    ("ring", &["net"]),
    ("rustls", &["net"]),
    ("snap", &["wire"]),
    ("tokio-rustls", &["net"]),
    ("zstd", &["wire"]),
];

/// Crates of *words* and below must not be able to touch the world.
const WORLDLY: &[&str] = &["tokio", "hyper", "reqwest", "tracing"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands below the root").to_path_buf()
}

/// Workspace crates with their ordinary dependencies.
fn dependencies() -> Result<BTreeMap<String, Vec<String>>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let mut dependencies = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().context("a package has a name")?;
        let of_package = package["dependencies"].as_array().context("a package has dependencies")?;
        let ordinary = of_package.iter().filter(|dependency| dependency["kind"].is_null());
        let names =
            ordinary.filter_map(|dependency| dependency["name"].as_str()).map(str::to_owned).collect();
        dependencies.insert(name.to_owned(), names);
    }
    Ok(dependencies)
}

fn band(name: &str) -> Option<usize> {
    BANDS.iter().position(|(_, crates)| crates.contains(&name))
}

/// Edges that go up, or sideways between parts.
fn wrong_edges(dependencies: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, needs) in dependencies {
        let Some(own) = band(name) else {
            wrong.push(format!("{name} stands in no band of tests/it/tidy.rs"));
            continue;
        };
        for need in needs {
            let Some(other) = band(need) else { continue };
            let is_sideways_part = other == own && BANDS[own].0 == "parts";
            let is_spine_of_allocator =
                name == "muster-allocator" && ["spine", "parts"].contains(&BANDS[other].0);
            if other > own || is_sideways_part || is_spine_of_allocator {
                wrong.push(format!("{name} ({}) imports {need} ({})", BANDS[own].0, BANDS[other].0));
            }
        }
    }
    wrong
}

fn layers_hold() -> Result<()> {
    let wrong = wrong_edges(&dependencies()?);
    ensure!(wrong.is_empty(), "edges against ARCHITECTURE.md:\n{}", wrong.join("\n"));
    Ok(())
}

fn layer_check_can_fail() -> Result<()> {
    let edge = |from: &str, to: &str| BTreeMap::from([(from.to_owned(), vec![to.to_owned()])]);
    for (from, to) in [
        ("wire", "net"),
        ("scrape", "pipeline"),
        ("receivers", "exporters"),
        ("muster-allocator", "pipeline"),
        ("new", "model"),
    ] {
        ensure!(wrong_edges(&edge(from, to)).len() == 1, "{from} -> {to} was not seen");
    }
    ensure!(wrong_edges(&edge("scrape", "relabel")).is_empty(), "scrape -> relabel is allowed");
    Ok(())
}

fn doors_hold() -> Result<()> {
    let dependencies = dependencies()?;
    let mut wrong = Vec::new();
    for (name, needs) in &dependencies {
        let band = band(name).map_or("", |band| BANDS[band].0);
        if band == "tests" {
            continue;
        }
        for need in needs {
            let door = DOORS.iter().find(|(outside, _)| outside == need);
            if door.is_some_and(|(_, homes)| !homes.contains(&name.as_str())) {
                wrong.push(format!("{name} uses {need}"));
            }
            if ["ground", "words"].contains(&band) && WORLDLY.contains(&need.as_str()) {
                wrong.push(format!("{name} is pure and uses {need}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "outside crates away from their door:\n{}", wrong.join("\n"));
    Ok(())
}

fn top_level_holds() -> Result<()> {
    const FOLDERS: [&str; 6] = ["collector", "deploy", "hostmetrics", "kubelet", "target-allocator", "tests"];
    for entry in std::fs::read_dir(root())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_known = FOLDERS.contains(&name.as_str()) || name == "target" || name.starts_with('.');
        ensure!(is_known || !entry.file_type()?.is_dir(), "`{name}` is no folder of the top level");
    }
    Ok(())
}

/// Every Rust source of the workspace.
fn sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["collector", "hostmetrics", "kubelet", "target-allocator", "tests"]
        .map(|name| root().join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    ensure!(found.len() > 50, "found only {} sources: is the walk broken?", found.len());
    Ok(found)
}

fn headers_hold() -> Result<()> {
    let mut wrong = Vec::new();
    for path in sources()? {
        let text = std::fs::read_to_string(&path)?;
        let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        // Tests beside their module need no header, and may hold any text.
        let is_tests =
            name.ends_with("/tests.rs") || name.contains("/src/tests/") || name.contains("/tests/tests");
        if !is_tests && !text.starts_with("//!") {
            wrong.push(format!("{name}: no header"));
        }
        if !is_tests && !text.is_ascii() {
            wrong.push(format!("{name}: not ASCII"));
        }
        for (index, line) in text.lines().enumerate() {
            let words = ["TO", "DO"].concat();
            if line.contains(&format!("{words}:")) || line.contains(&format!("{words} ")) {
                wrong.push(format!("{name}:{}: an open end without an issue", index + 1));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn schema_is_fresh() -> Result<()> {
    let fresh = programs::output(&programs::muster(), &["schema"])?;
    let path = root().join("deploy/schema/collector.schema.json");
    let kept = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(fresh == kept, "deploy/schema/collector.schema.json is stale: run `cargo xtask bless`");
    Ok(())
}

/// Files that a document names in backquotes with a known ending have to exist.
fn documents_hold() -> Result<()> {
    let mut gone = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text =
            std::fs::read_to_string(root().join(document)).with_context(|| format!("reading {document}"))?;
        for word in text.split('`').skip(1).step_by(2) {
            let is_file = [".rs", ".md", ".toml", ".json"].iter().any(|ending| word.ends_with(ending));
            let is_path =
                word.contains('/') && !word.contains([' ', '<', '*', '{']) && !word.starts_with(['/', '$']);
            if is_file
                && is_path
                && !root().join(word).exists()
                && !root().join("collector/crates").join(word).exists()
            {
                gone.push(format!("{document}: `{word}`"));
            }
        }
    }
    if !gone.is_empty() {
        bail!("named and not there:\n{}", gone.join("\n"));
    }
    Ok(())
}
