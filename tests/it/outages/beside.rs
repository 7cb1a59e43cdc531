//! Two exporters of one process: what one suffers, the other must not notice.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::{sleep, timeout};
use world::child::free_port;
use world::gate::{Gate, Passage};
use world::http;
use world::ledger::Ledger;
use world::sink::{Fault, Sink};

use super::scene::{PATH, base};
use crate::otlp;
use crate::programs::{Collector, block_on};

/// Requests that are timed without and with the fault.
const N_TIMED: usize = 60;

/// What the scheduler of a busy machine may add to half of the requests.
const NOISE: Duration = Duration::from_millis(100);

/// Where requests queue for each other, one waits as long as a timeout at least.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Metrics go to a slow receiver and to a quick one, logs to `debug`, the only exporter of logs there is. Metrics at the quick
/// receiver and logs take as long as they took before the other was slow, and then unreachable.
pub(super) fn slow_receiver() -> Result<()> {
    block_on(async {
        let (slow, quick) = (Sink::start().await?, Sink::with(Ledger::remembering(10_000)).await?);
        let gate = Gate::start(&base(&slow)).await?;
        let port = free_port()?;
        let collector = Collector::start("beside", &yaml(port, &gate.url(PATH), &quick.url())).await?;
        let mut sender = Sender { port, quick, n_sent: 0 };
        sender.times().await?;
        let before = sender.times().await?;
        slow.always(Some(Fault::Slow(TIMEOUT * 2)));
        unchanged("slow", &before, &sender.times().await?)?;
        gate.set(Passage::BlackHole).await;
        unchanged("unreachable", &before, &sender.times().await?)?;
        let n_logs = collector.child.stderr().matches("out of stock").count();
        ensure!(n_logs == sender.n_sent, "{n_logs} log records of {} were printed", sender.n_sent);
        Ok(())
    })
}

/// Times, sorted.
struct Times {
    metrics: Vec<Duration>,
    logs: Vec<Duration>,
}

/// Half of the requests, and nearly all of them.
fn unchanged(fault: &str, before: &Times, now: &Times) -> Result<()> {
    let pairs = [("metrics", &before.metrics, &now.metrics), ("logs", &before.logs, &now.logs)];
    for (what, before, now) in pairs {
        let (half, nearly_all) = (N_TIMED / 2, N_TIMED * 95 / 100);
        let told = || format!("{what} took {before:?}, then, the other {fault}, {now:?}");
        ensure!(now[half] <= before[half] + NOISE, "{}", told());
        ensure!(now[nearly_all] <= before[nearly_all] + TIMEOUT / 4, "{}", told());
    }
    Ok(())
}

struct Sender {
    port: u16,
    quick: Sink,
    n_sent: usize,
}

impl Sender {
    async fn times(&mut self) -> Result<Times> {
        let mut times = Times { metrics: Vec::new(), logs: Vec::new() };
        for _ in 0..N_TIMED {
            let began = Instant::now();
            self.post("logs", otlp::logs()).await?;
            times.logs.push(began.elapsed());
            let began = Instant::now();
            self.post("metrics", otlp::metrics_at(world::now_ms())).await?;
            self.n_sent += 1;
            timeout(TIMEOUT * 5, self.arrived()).await?;
            times.metrics.push(began.elapsed());
        }
        times.metrics.sort_unstable();
        times.logs.sort_unstable();
        Ok(times)
    }

    async fn post(&self, signal: &str, body: Vec<u8>) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/v1/{signal}", self.port);
        let answer = http::post(&url, &[("content-type", "application/x-protobuf")], body).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(())
    }

    /// Every point that was sent is in the quick receiver's book.
    async fn arrived(&self) {
        let n_points = || {
            let ledger = self.quick.ledger();
            ledger.remembered("queue_length").iter().map(|series| series.samples.len()).sum::<usize>()
        };
        while n_points() < self.n_sent {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn yaml(port: u16, slow: &str, quick: &str) -> String {
    format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
exporters:
  prometheusremotewrite/slow: {{endpoint: '{slow}', timeout: {timeout}ms, sending_queue: {{batch: {{flush_timeout: 10ms}}}}}}
  prometheusremotewrite/quick: {{endpoint: '{quick}', timeout: {timeout}ms, sending_queue: {{batch: {{flush_timeout: 10ms}}}}}}
  debug: {{verbosity: detailed}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [prometheusremotewrite/slow, prometheusremotewrite/quick]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
",
        timeout = TIMEOUT.as_millis(),
    )
}
