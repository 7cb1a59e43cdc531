//! The demo: its verdict without a screen, and its page as a browser shows it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use world::child::{Child, free_port};

use crate::Case;
use crate::programs::{self, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("the_headless_demo_loses_and_duplicates_nothing_while_it_scales", headless),
    Case::new("kill_9_of_the_allocator_in_the_middle_of_handovers_changes_nothing_in_the_ledger", killed),
    Case::needing("the_demo_page_shows_scrapers_and_the_ledger", &["chromium"], || block_on(page())),
];

fn headless() -> Result<()> {
    watched(&["--scale", "3,5,3", "--json"])
}

/// In each step the allocator is killed four seconds after it began: when scrapers have joined or begun to leave, and their turn has
/// not come yet.
fn killed() -> Result<()> {
    watched(&["--scale", "3,5,3", "--json", "--kill-allocator", "4s"])
}

fn watched(args: &[&str]) -> Result<()> {
    let outcome = programs::run(&programs::built("muster-demo"), args)?;
    ensure!(outcome.code == Some(0), "the demo failed:\n{}\n{}", outcome.stdout, outcome.stderr);
    let verdict: serde_json::Value =
        serde_json::from_str(&outcome.stdout).context("one JSON object on stdout")?;
    let number = |key: &str| verdict[key].as_u64().with_context(|| format!("`{key}` in {verdict}"));
    ensure!(number("targets")? == 120 && number("series")? > 10_000, "{verdict}");
    ensure!(number("missing")? == 0 && number("lost")? == 0 && number("duplicated")? == 0, "{verdict}");
    ensure!(number("delivered")? > 0 && number("expected")? == number("delivered")?, "{verdict}");
    ensure!(number("moved")? >= number("ideal_moved")? / 2, "scaling moves targets: {verdict}");
    ensure!(number("out_of_order")? == 0, "{verdict}");
    Ok(())
}

async fn page() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut command = Command::new(programs::built("muster-demo"));
    command.arg(format!("--listen=127.0.0.1:{port}")).current_dir(folder.path());
    let mut demo = Child::spawn("demo", &mut command, folder.path())?;
    let url = format!("http://127.0.0.1:{port}/");
    demo.ready(&url, Duration::from_secs(60)).await?;
    eventually("the page shows three columns and a ledger", Duration::from_secs(60), || async {
        let dom = world::browser::dom(&url, Duration::from_secs(5)).await?;
        let has = |part: &str| dom.contains(part);
        let columns = ["s-0", "s-1", "s-2"].into_iter().all(has);
        let ledger =
            ["delivered", "duplicated", "missing"].into_iter().all(|word| dom.to_lowercase().contains(word));
        Ok(if columns && ledger && has("data-target") { Ok(()) } else { Err(dom) })
    })
    .await?;
    ensure!(demo.terminate(Duration::from_secs(20)).await?.success(), "{}", demo.last_words());
    Ok(())
}
