//! What receivers of remote write reject, with the real program: a real Prometheus, and a receiver with a script.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use wire::compress::{Encoding, Limit, decompress};
use wire::remote_write::v1::{WriteRequest, decode};
use world::child::free_port;
use world::http::{self, Reply, Server, read_body, reply};
use world::now_ms;
use world::pages::{Page, Pages};
use world::peers::{self, Mode};

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::needing(
        "a_sample_that_a_real_prometheus_rejects_costs_nothing_but_itself",
        &["prometheus"],
        || block_on(bad_sample()),
    ),
    Case::new("what_is_too_large_arrives_in_smaller_requests", || block_on(too_large())),
    Case::new("what_is_denied_is_sent_once_and_raises_an_alarm", || block_on(denied())),
    Case::new("samples_do_not_follow_a_redirect_to_another_host", || block_on(redirected())),
    Case::new("retry_after_is_obeyed_as_seconds_and_as_a_date", || block_on(retry_after())),
    Case::new("a_rejection_with_an_endless_text_is_final_and_its_text_is_logged", || block_on(long_text())),
];

const PATIENCE: Duration = Duration::from_secs(20);

/// A request as the receiver saw it.
struct Seen {
    at: Instant,
    is_retry: bool,
    n_bytes: usize,
    status: u16,
    request: WriteRequest,
}

/// A receiver of remote write 1.0 that answers as the script says.
#[derive(Clone)]
struct Receiver {
    server: Arc<Server>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Receiver {
    /// The script is given how many requests came before, and the bytes of this one.
    async fn start(script: impl Fn(usize, usize) -> Reply + Clone + Send + Sync + 'static) -> Result<Self> {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let server = Server::start(move |request: http::Request| {
            let (kept, script) = (Arc::clone(&kept), script.clone());
            async move {
                let is_retry = request.headers().contains_key("retry-attempt");
                let Ok(body) = read_body(request).await else { return Ok(reply(400, "text/plain", "")) };
                let mut plain = Vec::new();
                let unpacked = decompress(Encoding::Snappy, &body, Limit::bytes(16 << 20), &mut plain);
                let Some(request) = unpacked.ok().and_then(|()| decode(&plain).ok()) else {
                    return Ok(reply(422, "text/plain", "unreadable"));
                };
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = script(kept.len(), body.len());
                let (at, n_bytes, status) = (Instant::now(), body.len(), answer.status().as_u16());
                kept.push(Seen { at, is_retry, n_bytes, status, request });
                Ok(answer)
            }
        })
        .await?;
        Ok(Self { server: Arc::new(server), seen })
    }

    fn seen<T>(&self, look: impl FnOnce(&[Seen]) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it has seen so many requests.
    async fn sees(&self, n_requests: usize) -> Result<()> {
        eventually("requests arrive", PATIENCE, || async {
            let n = self.seen(<[Seen]>::len);
            Ok(if n >= n_requests { Ok(()) } else { Err(format!("{n} requests")) })
        })
        .await
    }
}

/// A collector that scrapes pages and writes to a receiver.
struct Scene {
    collector: Collector,
    metrics: String,
}

impl Scene {
    async fn start(
        name: &str,
        pages: &Pages,
        endpoint: &str,
        interval: &str,
        exporter: &str,
    ) -> Result<Self> {
        let metrics = format!("127.0.0.1:{}", free_port()?);
        let yaml = format!(
            "
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: pages
          scrape_interval: {interval}
          static_configs: [{{targets: ['{target}']}}]
exporters:
  prometheusremotewrite:
    endpoint: {endpoint}
    protobuf_message: prometheus.WriteRequest
    target_info: {{enabled: false}}
    sending_queue: {{batch: {{flush_timeout: 200ms}}}}
{exporter}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{address: '{metrics}'}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
            target = pages.address(),
        );
        let collector = Collector::start(name, &yaml).await?;
        Ok(Self { collector, metrics: format!("http://{metrics}/metrics") })
    }

    /// The value of one of its own metrics; `series` is what stands before it, in part.
    async fn metric(&self, name: &str, label: &str) -> Result<Option<f64>> {
        let text = http::get(&self.metrics).await?.text();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()))
    }

    async fn metric_becomes(&self, name: &str, label: &str, is_right: impl Fn(f64) -> bool) -> Result<()> {
        eventually(name, PATIENCE, || async {
            let value = self.metric(name, label).await?;
            Ok(if value.is_some_and(&is_right) { Ok(()) } else { Err(format!("{value:?}")) })
        })
        .await
        .with_context(|| self.log())
    }

    fn log(&self) -> String {
        self.collector.child.stderr()
    }
}

async fn pages_of(n_series: usize) -> Result<Pages> {
    let body: String = (0..n_series).map(|n| format!("good{{n=\"{n}\"}} {n}\n")).collect();
    Ok(Pages::start(move |_, _| Page::new("text/plain", body.clone())).await?)
}

async fn bad_sample() -> Result<()> {
    const N_SERIES: usize = 300;
    let prometheus = peers::prometheus(Mode::Server, "").await?;
    // Far too old, for which Prometheus refuses the whole request.
    let old = now_ms() - 5 * 3_600_000;
    let pages = Pages::start(move |_, n| {
        let good: String = (0..N_SERIES).map(|i| format!("good{{n=\"{i}\"}} {n}\n")).collect();
        let at = old + 1000 * i64::try_from(n).unwrap_or_default();
        Page::new("text/plain", format!("{good}old {n} {at}\n"))
    })
    .await?;
    let endpoint = format!("{}/api/v1/write", prometheus.url);
    let scene = Scene::start("bad_sample", &pages, &endpoint, "500ms", "").await?;
    let dropped = "muster_exporter_dropped_items_total";
    scene
        .metric_becomes(dropped, "reason=\"bad_items\"", |n| n >= 3.0)
        .await
        .with_context(|| prometheus.child.last_words())?;
    let query = "min(count_over_time(good[1m]))";
    eventually("the samples beside it are stored", PATIENCE, || async {
        let least = peers::promql(&prometheus.url, query).await?.first().map_or(0.0, |element| element.value);
        Ok(if least >= 3.0 { Ok(()) } else { Err(format!("{least}")) })
    })
    .await?;
    let n_bad = scene.metric(dropped, "reason=\"bad_items\"").await?.unwrap_or_default();
    // One of each scrape but the first.
    let n_scrapes = peers::promql(&prometheus.url, "count_over_time(good{n=\"0\"}[1m])").await?;
    let n_scrapes = n_scrapes.first().context("there are samples")?.value;
    ensure!((n_scrapes - 3.0..=n_scrapes).contains(&n_bad), "{n_bad} dropped of {n_scrapes} scrapes");
    let failed = scene.metric("otelcol_exporter_send_failed_metric_points", "").await?;
    ensure!(failed.unwrap_or_default() <= n_bad + 1.0, "only bad items are lost: {failed:?}, {n_bad}");
    let others = scene.metric(dropped, "reason=\"bisection_limit\"").await?;
    ensure!(others.is_none(), "{others:?}");
    let log = scene.log();
    ensure!(log.contains("out of bounds"), "the text of Prometheus is logged: {log}");
    Ok(())
}

async fn too_large() -> Result<()> {
    const N_SERIES: usize = 4000;
    const MOST: usize = 12_000;
    let pages = pages_of(N_SERIES).await?;
    let receiver = Receiver::start(|_, n_bytes| match n_bytes {
        0..=MOST => reply(204, "text/plain", ""),
        _ => reply(413, "text/plain", "too large for me"),
    })
    .await?;
    let scene = Scene::start("too_large", &pages, &receiver.server.url("/write"), "1s", "").await?;
    eventually("all series arrive, three times", PATIENCE, || async {
        let n_samples = receiver.seen(|seen| {
            let taken = seen.iter().filter(|seen| seen.status == 204);
            let series = taken.flat_map(|seen| &seen.request.timeseries);
            series.filter(|series| series.label("__name__") == "good").count()
        });
        Ok(if n_samples >= 3 * N_SERIES { Ok(()) } else { Err(format!("{n_samples}")) })
    })
    .await?;
    let (n_refused, is_any_large, names) = receiver.seen(|seen| {
        let refused = seen.iter().filter(|seen| seen.status == 413);
        let taken = seen.iter().filter(|seen| seen.status == 204);
        let all: BTreeSet<String> = taken
            .clone()
            .flat_map(|seen| &seen.request.timeseries)
            .map(|series| series.label("n").to_owned())
            .collect();
        (refused.count(), taken.clone().any(|seen| seen.n_bytes > MOST), all)
    });
    ensure!(names.len() > N_SERIES - 1 && !is_any_large, "{} series", names.len());
    ensure!((1..=6).contains(&n_refused), "the size is remembered: {n_refused} requests were too large");
    let failed = scene.metric("otelcol_exporter_send_failed_metric_points", "").await?;
    ensure!(failed.unwrap_or_default() == 0.0, "{failed:?}");
    Ok(())
}

async fn denied() -> Result<()> {
    let pages = pages_of(5).await?;
    let receiver = Receiver::start(|n, _| match n {
        0..3 => reply(401, "text/plain", "who are you?"),
        _ => reply(204, "text/plain", ""),
    })
    .await?;
    let scene = Scene::start("denied", &pages, &receiver.server.url("/write"), "1s", "").await?;
    let labels = "exporter=\"prometheusremotewrite\"";
    scene.metric_becomes("muster_exporter_denied", labels, |value| value == 1.0).await?;
    receiver.sees(5).await?;
    scene.metric_becomes("muster_exporter_denied", labels, |value| value == 0.0).await?;
    let dropped = scene.metric("muster_exporter_dropped_items_total", "reason=\"unauthorized\"").await?;
    ensure!(dropped.is_some_and(|n| n >= 15.0), "{dropped:?}");
    ensure!(receiver.seen(|seen| seen.iter().all(|seen| !seen.is_retry)), "nothing is tried again");
    ensure!(scene.log().contains("status 401: who are you?"), "{}", scene.log());
    Ok(())
}

async fn redirected() -> Result<()> {
    let pages = pages_of(5).await?;
    let elsewhere = Receiver::start(|_, _| reply(204, "text/plain", "")).await?;
    let place = elsewhere.server.url("/write").replace("127.0.0.1", "localhost");
    let location = place.clone();
    let receiver = Receiver::start(move |_, _| {
        let mut answer = reply(307, "text/plain", "moved");
        answer.headers_mut().insert("location", location.parse().expect("a URL is a header value"));
        answer
    })
    .await?;
    let scene = Scene::start("redirected", &pages, &receiver.server.url("/write"), "1s", "").await?;
    receiver.sees(2).await?;
    let dropped = "muster_exporter_dropped_items_total";
    scene.metric_becomes(dropped, "reason=\"redirected\"", |n| n >= 5.0).await?;
    ensure!(elsewhere.seen(<[Seen]>::is_empty), "something went to {place}");
    ensure!(receiver.seen(|seen| seen.iter().all(|seen| !seen.is_retry)), "nothing is tried again");
    ensure!(scene.log().contains(&format!("it redirects to `{place}`")), "{}", scene.log());
    Ok(())
}

async fn retry_after() -> Result<()> {
    for is_date in [false, true] {
        let pages = pages_of(5).await?;
        let receiver = Receiver::start(move |n, _| {
            if n > 0 {
                return reply(204, "text/plain", "");
            }
            let value = if is_date {
                httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4))
            } else {
                "3".to_owned()
            };
            let mut answer = reply(if is_date { 503 } else { 429 }, "text/plain", "slowly");
            answer.headers_mut().insert("retry-after", value.parse().expect("a header value"));
            answer
        })
        .await?;
        let _scene = Scene::start("retry_after", &pages, &receiver.server.url("/write"), "1s", "").await?;
        receiver.sees(2).await?;
        let (waited, is_same) = receiver.seen(|seen| {
            let (first, second) = (&seen[0], &seen[1]);
            (second.at - first.at, second.is_retry && first.request == second.request)
        });
        // A date has no fractions of a second.
        ensure!((2.9..5.5).contains(&waited.as_secs_f64()) && is_same, "{is_date}: {waited:?}, {is_same}");
    }
    Ok(())
}

async fn long_text() -> Result<()> {
    let pages = pages_of(5).await?;
    let receiver =
        Receiver::start(|_, _| reply(422, "text/plain", format!("no, because {}", "x".repeat(1 << 20))))
            .await?;
    let scene = Scene::start("long_text", &pages, &receiver.server.url("/write"), "1s", "").await?;
    receiver.sees(3).await?;
    let dropped = "muster_exporter_dropped_items_total";
    scene.metric_becomes(dropped, "reason=\"rejected\"", |n| n >= 15.0).await?;
    ensure!(receiver.seen(|seen| seen.iter().all(|seen| !seen.is_retry)), "nothing is tried again");
    let log = scene.log();
    ensure!(log.contains("status 422: no, because xxx") && log.len() < 100_000, "{} bytes", log.len());
    Ok(())
}
