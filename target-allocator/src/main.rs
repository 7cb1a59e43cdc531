//! The binary `muster-allocator`.
//!
//! Starts as upstream's allocator does: a file, flags, signals. SIGTERM and SIGINT end it in order; SIGHUP reads the
//! configuration again and keeps the old one where the new one has a mistake. Mistakes end the start with status 1 and
//! are printed like a compiler's, one per line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use config::Problem;
use target_allocator::Allocator;
use target_allocator::answers::query_escape;
use target_allocator::explain::text;
use target_allocator::flags::{Command, Flags, Subject};
use target_allocator::settings::{Input, Loaded, load};
use telemetry::Identity;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let flags = match Flags::parse_args(std::env::args_os()) {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| match &flags.command {
            None => runtime.block_on(run(&flags)),
            Some(Command::Explain { what, name, url, json }) => {
                runtime.block_on(explain(*what, name, url, *json))
            }
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be told when standard error is closed.
            drop(writeln!(std::io::stderr(), "{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let loaded = read(flags)?;
    let identity = Identity {
        name: "muster-allocator".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Identity::default()
    };
    drop(telemetry::logs::init(&flags.logs(), &identity)?);
    tell(&loaded.warnings);
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let allocator = Allocator::start(loaded.settings, &identity).await?;
    tracing::info!(address = %allocator.local_addr(), "the allocator is serving");
    loop {
        tokio::select! {
            _ = hangup.recv() => reload(&allocator, flags).await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("stopping");
    allocator.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// Asks a running allocator for an explanation, and prints it.
async fn explain(what: Subject, name: &str, url: &str, is_json: bool) -> anyhow::Result<()> {
    const LIMIT: usize = 64 << 20;
    let url = format!("{}/debug/explain?{}={}", url.trim_end_matches('/'), what.key(), query_escape(name));
    let client = net::Client::build_http(&net::HttpClientConfig::default())?;
    let request = net::Request::get(url.clone(), Duration::from_secs(30), LIMIT);
    let response =
        client.send(request).await.with_context(|| format!("cannot ask {url}; --url names another"))?;
    let body = String::from_utf8_lossy(&response.body);
    let is_question = response.status == 400;
    anyhow::ensure!(!is_question, "{}", body.trim());
    let start: String = body.trim().chars().take(200).collect();
    anyhow::ensure!(
        response.status == 200,
        "{url} answered {}: {start}; if no allocator is there, --url names another",
        response.status
    );
    let answer: Option<serde_json::Value> = serde_json::from_str(&body).ok();
    let answer = answer.filter(|answer| answer["answer"].is_string());
    let answer = answer.with_context(|| format!("{url} is no allocator; --url names another"))?;
    if answer["found"] == false && !is_json {
        anyhow::bail!("{}", text::print(&answer).trim_end());
    }
    let printed = if is_json { format!("{answer:#}\n") } else { text::print(&answer) };
    std::io::stdout().write_all(printed.as_bytes()).context("cannot print")
}

/// Reads file, environment and flags.
fn read(flags: &Flags) -> anyhow::Result<Loaded> {
    let path = &flags.config_file;
    let named = || format!("cannot read the configuration {}; --config-file names another", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    let source = path.display().to_string();
    let base_dir = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let input = Input { text: &text, source: &source, base_dir: &base_dir, flags, world: &Process };
    load(&input).map_err(|problems| anyhow::anyhow!(lines(&problems)))
}

async fn reload(allocator: &Allocator, flags: &Flags) {
    let outcome = match read(flags) {
        Ok(loaded) => {
            tell(&loaded.warnings);
            allocator.reload(loaded.settings).await.map_err(|problems| anyhow::anyhow!(lines(&problems)))
        }
        Err(error) => {
            allocator.refused_reload();
            Err(error)
        }
    };
    match outcome {
        Ok(()) => tracing::info!("the configuration was read again"),
        Err(error) => tracing::error!(error = format!("{error:#}"), "the old configuration stays in use"),
    }
}

fn tell(warnings: &[Problem]) {
    for problem in warnings {
        tracing::warn!(%problem, "the configuration has a problem");
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The environment and the files of this process.
struct Process;

impl config::World for Process {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}
