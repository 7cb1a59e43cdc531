//! The `debug` commands as a user runs them: what goes in, what comes out, with which exit code.

use anyhow::{Result, ensure};

use crate::Case;
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("debug_parse_prints_events_and_ends_with_one_at_an_error", parse_bodies),
    Case::new("debug_queue_says_whether_a_directory_is_sound", look_at_queue),
];

fn parse_bodies() -> Result<()> {
    let args = ["debug", "parse", "--content-type", "text/plain; version=0.0.4"];
    let fine = programs::run_with(&programs::muster(), &args, b"# TYPE up gauge\nup{b=\"1\",a=\"2\"} 1 5\n")?;
    ensure!((fine.code, &*fine.stderr) == (Some(0), ""), "{:?}: {}", fine.code, fine.stderr);
    let expected = "{\"family\":\"up\",\"type\":\"gauge\"}\n\
                    {\"exemplars\":[],\"series\":[[\"__name__\",\"up\"],[\"a\",\"2\"],[\"b\",\"1\"]],\
                    \"st_ms\":null,\"ts_ms\":5,\"value_bits\":\"3ff0000000000000\"}\n";
    ensure!(fine.stdout == expected, "{}", fine.stdout);
    let broken = programs::run_with(&programs::muster(), &args, b"up 1\nup x\n")?;
    ensure!(broken.code == Some(1), "exit code {:?}", broken.code);
    ensure!(broken.stdout.lines().count() == 1, "events in front of the error:\n{}", broken.stdout);
    ensure!(broken.stderr.contains("line 2: expected a number, found `x`"), "{}", broken.stderr);
    let unsaid = programs::run(&programs::muster(), &["debug", "parse"])?;
    ensure!(unsaid.code == Some(1) && unsaid.stderr.contains("--format"), "{}", unsaid.stderr);
    Ok(())
}

/// A queue as a collector leaves it, whole and then with one byte changed.
fn look_at_queue() -> Result<()> {
    let data = tempfile::tempdir()?;
    let nothing = show_queue(data.path(), &[])?;
    ensure!(nothing.code == Some(1) && nothing.stderr.contains("no sending queue"), "{}", nothing.stderr);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let directory = data.path().join("queue/out.metrics");
    runtime.block_on(leave_queue(&directory))?;
    let sound = show_queue(data.path(), &[])?;
    ensure!(sound.code == Some(0), "{:?}: {}{}", sound.code, sound.stdout, sound.stderr);
    ensure!(
        sound.stdout.contains("3 requests, 21 items") && sound.stdout.ends_with("sound\n"),
        "{}",
        sound.stdout
    );
    let json = show_queue(&directory, &["--json"])?;
    let seen: serde_json::Value = serde_json::from_str(&json.stdout)?;
    ensure!(seen["cursor"]["next_seq"] == 3 && seen["segments"][0]["last_seq"] == 2, "{seen}");

    let segment = directory.join(seen["segments"][0]["name"].as_str().unwrap_or_default());
    let mut bytes = std::fs::read(&segment)?;
    bytes[100] ^= 1;
    std::fs::write(&segment, bytes)?;
    let damaged = show_queue(data.path(), &[])?;
    ensure!(damaged.code == Some(1), "{:?}: {}", damaged.code, damaged.stdout);
    ensure!(
        damaged.stdout.contains("damaged requests 0 to 0, 7 items, times 5 to 6 ms"),
        "{}",
        damaged.stdout
    );
    Ok(())
}

fn show_queue(directory: &std::path::Path, more: &[&str]) -> Result<programs::Outcome> {
    let directory = directory.display().to_string();
    programs::run(&programs::muster(), &[&["debug", "queue", &directory], more].concat())
}

async fn leave_queue(directory: &std::path::Path) -> Result<()> {
    use queue::{DiskOptions, Files, Head, Limits, Meters, Queue, Request};
    let options = DiskOptions {
        owner: "the test".to_owned(),
        max_bytes: 1 << 30,
        max_age: None,
        memory_bytes: 0,
        max_memory_bytes: 1 << 20,
        meters: Meters::new(&telemetry::Registry::new().scope(), &[]),
    };
    let files = std::sync::Arc::new(Files::lock(directory, "the test")?);
    let queue = Queue::open(1, Limits::default(), files, options)?;
    for _ in 0..3 {
        let (oldest, newest) = (model::Timestamp(5), model::Timestamp(6));
        let head = Head { signal: model::Signal::Metrics, n_items: 7, oldest, newest, format: 0 };
        let pushed = queue.push(0, Request { payload: vec![9; 64].into(), head });
        ensure!(pushed.is_ok(), "the queue takes it");
    }
    ensure!(queue.save_all().await, "everything is on disk");
    Ok(())
}
