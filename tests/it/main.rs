//! Whole-binary tests: the real programs, real peers, what a user sees.
//!
//! One binary with a harness of its own, because a test that lacks a real peer has to be counted as ignored, with the
//! name of what is missing, and never as passed.

mod alerts;
mod allocator;
mod debug_commands;
mod exposing;
mod fixtures;
mod following;
mod host_agent;
mod hostile;
mod http_sd;
mod kubelets;
mod kubernetes;
mod messages;
mod native;
mod otlp;
mod outages;
mod pages;
mod paths;
mod programs;
mod real_input;
mod rejections;
mod reload;
mod sender;
mod side_by_side;
mod tidy;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};

/// Stands among the needs of a test that mounts a file system, in a namespace of its own.
const PERMISSION_TO_MOUNT: &str = "permission to mount";

/// Areas whose cases judge by the clock.
const TIMED: [&str; 3] = ["following", "side_by_side", "outages"];

/// One test: what it states, what it needs beside the programs, how it is run.
struct Case {
    name: &'static str,
    needs: &'static [&'static str],
    run: fn() -> anyhow::Result<()>,
}

impl Case {
    const fn new(name: &'static str, run: fn() -> anyhow::Result<()>) -> Self {
        Self { name, needs: &[], run }
    }

    const fn needing(
        name: &'static str,
        needs: &'static [&'static str],
        run: fn() -> anyhow::Result<()>,
    ) -> Self {
        Self { name, needs, run }
    }

    fn trial(&self, area: &str) -> Trial {
        let missing: Vec<&str> = self.needs.iter().copied().filter(|need| !is_there(need)).collect();
        let name = match missing.as_slice() {
            [] => format!("{area}::{}", self.name),
            missing => format!("{area}::{} (skipped: without {})", self.name, missing.join(", ")),
        };
        let (run, label, is_timed) = (self.run, self.name, TIMED.contains(&area));
        let run = move || if is_timed { world::machine::undisturbed(label, run) } else { run() };
        Trial::test(name, move || run().map_err(|error| format!("{error:#}").into()))
            .with_ignored_flag(!missing.is_empty())
    }
}

fn is_there(need: &str) -> bool {
    if need != PERMISSION_TO_MOUNT {
        return world::peers::find(need).is_some();
    }
    let mut mount = Command::new("unshare");
    mount.args(["--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"]);
    mount.stdin(Stdio::null()).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}

fn main() -> ExitCode {
    let areas: [(&str, &[Case]); 26] = [
        ("tidy", tidy::CASES),
        ("fixtures", fixtures::CASES),
        ("messages", messages::CASES),
        ("native", native::CASES),
        ("debug_commands", debug_commands::CASES),
        ("otlp", otlp::CASES),
        ("exposing", exposing::CASES),
        ("reload", reload::CASES),
        ("alerts", alerts::CASES),
        ("rejections", rejections::CASES),
        ("allocator", allocator::CASES),
        ("http_sd", http_sd::CASES),
        ("following", following::CASES),
        ("host_agent", host_agent::CASES),
        ("real_input", real_input::CASES),
        ("pages", pages::CASES),
        ("paths", paths::CASES),
        ("sender", sender::CASES),
        ("side_by_side", side_by_side::CASES),
        ("hostile", hostile::CASES),
        ("kubelets", kubelets::CASES),
        ("kubernetes", kubernetes::CASES),
        ("members", kubernetes::members::CASES),
        ("replicas", kubernetes::replicas::CASES),
        ("kubernetes_serving", kubernetes::serving::CASES),
        ("outages", outages::CASES),
    ];
    let trials = areas.iter().flat_map(|(area, cases)| cases.iter().map(|case| case.trial(area))).collect();
    let mut arguments = Arguments::from_args();
    // Each test starts several programs of its own; two at a time would take the cores from each other.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let conclusion = libtest_mimic::run(&arguments, trials);
    world::control_plane::ControlPlane::end_shared();
    conclusion.exit_code()
}
