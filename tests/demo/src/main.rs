//! The demo: a fleet of targets, an allocator, scrapers, a sink that checks every sample, and a page that shows it.
//!
//! Everything runs on loopback. The allocator and the scrapers are the real programs, started as child processes and
//! ended with the demo, whichever way that ends; fleet and sink are those of the tests. With `--for` or `--scale` it runs
//! without a reader: it scales the scrapers as told, compares what was served with what arrived, prints the result
//! and fails if a sample is missing or came twice.

mod args;
mod configs;
mod headless;
mod page;
mod stage;
mod state;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use args::Args;
use stage::{Actors, Stage};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let plan = args.plan()?;
    let script = args.script(&plan)?;
    let scripted = script.is_some();
    let signalled = signalled()?;
    let (mut stage, actors) = Stage::set(plan).await?;
    let page = page::serve(args.listen.as_deref(), actors.clone()).await?;
    let url = page.url("/");
    let outcome = tokio::select! {
        never = stage.run() => never.map(|never| match never {}),
        result = perform(script, &url, &actors) => result,
        () = signalled => if scripted { Err(anyhow::anyhow!("interrupted before there was a result")) } else { Ok(()) },
    };
    stage.end(outcome.is_err()).await;
    outcome
}

/// Runs the script if there is one, otherwise invites a reader and waits.
async fn perform(script: Option<headless::Script>, url: &str, actors: &Actors) -> Result<()> {
    match script {
        Some(script) => {
            say(&format!("watch it on {url}"));
            headless::perform(&script, actors).await
        }
        None => {
            writeln!(std::io::stdout(), "{url}").context("printing the page's address")?;
            say("open this page in a browser; Ctrl-C ends everything");
            std::future::pending().await
        }
    }
}

/// Completes when the process is asked to end.
fn signalled() -> Result<impl Future<Output = ()>> {
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    if let Some(Err(error)) = signals.iter_mut().find(|signal| signal.is_err()) {
        anyhow::bail!("listening for signals: {error}");
    }
    Ok(async move {
        let [interrupt, terminate, hangup] = &mut signals;
        let (Ok(interrupt), Ok(terminate), Ok(hangup)) = (interrupt, terminate, hangup) else { return };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Tells the reader of the terminal something. Nothing can be done about a terminal that is gone.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}
