//! What a scrape allocates from the arrival of its body to the request that is ready to be sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use discovery::{Discovery, Group, Snapshot};
use exporters::{Prometheus, PrometheusRemoteWrite};
use futures_util::future::BoxFuture;
use http::HeaderValue;
use model::{Batch, Labels, Metrics, Scrape, Timestamp};
use pipeline::{Bodies, Component, Exporter, Site};
use receivers::HostMetrics;
use scrape::{
    Clock, Feed, Fetch, FetchError, Fetched, GlobalConfig, Job, Options, Refused, Scraper, Sink, Target,
};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use wire::compress::{Encoding, compress};

/// A scraper with targets that all show the same page, on a clock that jumps from scrape to scrape; its sink makes requests of what it gets.
struct World {
    runtime: Runtime,
    requests: Arc<Requests>,
    // Dropping these ends the scraping.
    _scraper: Scraper,
    _groups: watch::Sender<Snapshot>,
}

impl World {
    fn new(n_series: usize, exporter: &str) -> Self {
        let world = Self::of(1, n_series, exporter);
        // The first scrape meets every series, the next ones give back what only served that.
        (0..6).for_each(|_| world.scrape());
        world
    }

    fn of(n_targets: usize, n_series: usize, exporter: &str) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
        let target = |number| [("__address__", format!("t{number}:1"))].into_iter().collect();
        let targets = (0..n_targets).map(target).collect();
        let group = Group { source: "g".into(), labels: Labels::new(), targets };
        let found = Snapshot { groups: [Arc::new(group)].into(), settled: true, ..Snapshot::default() };
        let groups = watch::Sender::new(found);
        let feed = Feed {
            job: Arc::new(job()),
            fetch: Arc::new(Page::new(n_series)),
            discovery: Discovery::of(groups.subscribe()),
        };
        let requests = Arc::new(Requests::new(n_series, exporter));
        let sink = Arc::clone(&requests) as Arc<dyn Sink>;
        let scraper = runtime.block_on(async {
            let clock = Arc::new(Jumping { origin: Instant::now() });
            let scraper = Scraper::spawn(Options { clock, ..Options::default() }, sink);
            scraper.reload(vec![feed]).await;
            scraper
        });
        Self { runtime, requests, _scraper: scraper, _groups: groups }
    }

    fn scrape(&self) {
        self.runtime.block_on(self.requests.made.notified());
    }

    /// Allocations of ten scrapes.
    fn allocations(&self) -> u64 {
        allocation_counter::measure(|| (0..10).for_each(|_| self.scrape())).count_total
    }
}

struct Jumping {
    origin: Instant,
}

impl Clock for Jumping {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.origin.elapsed()
    }
}

/// Two bodies with the same series and other values that are as long, served by turns.
struct Page {
    bodies: [Bytes; 2],
    n_served: AtomicU64,
}

impl Page {
    fn new(n_series: usize) -> Self {
        let body = |first: usize| {
            let mut text = String::from("# HELP requests_total Requests.\n# TYPE requests_total counter\n");
            for number in 0..n_series {
                text += &format!("requests_total{{path=\"/api/items/{number}\"}} {}.5\n", first + number);
            }
            let mut zipped = Vec::new();
            compress(Encoding::Gzip, text.as_bytes(), &mut zipped);
            Bytes::from(zipped)
        };
        Self { bodies: [body(1_000_000), body(2_000_000)], n_served: AtomicU64::new(0) }
    }
}

impl Fetch for Page {
    fn fetch<'a>(&'a self, _target: &'a Target, _kept: usize) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let turn = self.n_served.fetch_add(1, Ordering::Relaxed) % 2;
        Box::pin(std::future::ready(Ok(Fetched {
            content_type: Some(HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8")),
            content_encoding: Some(HeaderValue::from_static("gzip")),
            body: self.bodies[usize::from(turn == 1)].clone(),
        })))
    }
}

/// The exporter, fed with every scrape.
struct Requests {
    n_series: usize,
    exporter: PrometheusRemoteWrite,
    bodies: Mutex<Bodies>,
    made: Notify,
}

impl Requests {
    fn new(n_series: usize, yaml: &str) -> Self {
        let node = config::parse(&format!("{{endpoint: 'http://127.0.0.1:1/w', {yaml}}}"), "a.yaml")
            .expect("that is YAML");
        let config = config::read(&node.root, "").expect("that is an exporter");
        let exporter = PrometheusRemoteWrite::build(config, &Site::for_test("prometheusremotewrite", None));
        let (exporter, bodies) = (exporter.expect("the exporter is right"), Mutex::new(Bodies::new(1)));
        Self { n_series, exporter, bodies, made: Notify::new() }
    }
}

impl Sink for Requests {
    fn append(&self, scrape: Scrape) -> BoxFuture<'_, Result<(), Refused>> {
        assert!(scrape.points.len() >= self.n_series, "a scrape has failed");
        let mut bodies = self.bodies.lock().expect("one thread");
        self.exporter.encode(&Batch::Metrics(Metrics::Scrape(scrape)), &mut bodies).expect("it is a scrape");
        let body = bodies.of(0);
        let sealed = self.exporter.seal(&mut body.bytes);
        body.n_items = 0;
        assert!(!sealed.payload.is_empty());
        self.made.notify_one();
        Box::pin(std::future::ready(Ok(())))
    }
}

fn job() -> Job {
    let root =
        config::parse("{job_name: shop, scrape_interval: 15s}", "job.yaml").expect("that is YAML").root;
    let config = config::read(&root, "").expect("that is a job");
    Job::build(&config, &GlobalConfig::default(), ".".as_ref()).expect("the job is right")
}

#[test]
fn a_sample_in_steady_state_allocates_nothing_on_its_way_to_a_request() {
    for exporter in ["protobuf_message: prometheus.WriteRequest", "send_metadata: false"] {
        let (few, many) = (World::new(100, exporter).allocations(), World::new(5000, exporter).allocations());
        assert_eq!(few, many, "allocations of ten scrapes of 100 and of 5,000 series, {exporter}");
        assert!((1..=1000).contains(&few), "{few} allocations of ten scrapes, {exporter}");
    }
}

/// What a target of 20 series is remembered by, everything included but its connection and what lists it in a configuration.
#[test]
fn a_small_target_takes_at_most_6_kib_between_scrapes() {
    let kept = |n_targets: usize| {
        let mut world = None;
        let measured = allocation_counter::measure(|| {
            let new = World::of(n_targets, 20, "");
            new.runtime.block_on(async { tokio::time::sleep(Duration::from_secs(6 * 15)).await });
            world = Some(new);
        });
        measured.bytes_current
    };
    let per_target = (kept(400) - kept(200)) / 200;
    assert!((1..=6 << 10).contains(&per_target), "{per_target} bytes");
}

#[test]
fn what_is_read_of_a_host_again_and_again_allocates_nothing_on_its_way_to_the_page() {
    let root = |yaml: &str| config::parse(yaml, "a.yaml").expect("that is YAML").root;
    let host =
        config::read(&root("{scrapers: {load: , memory: , paging: }}"), "").expect("that is a receiver");
    let mut host = HostMetrics::build(host, &Site::for_test("hostmetrics", None)).expect("it is right");
    let exporter = config::read(&root("{endpoint: '127.0.0.1:0'}"), "").expect("that is an exporter");
    let exporter = Prometheus::build(exporter, &Site::for_test("prometheus", None)).expect("it is right");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut batches = (0..7).map(|number| {
        let at = Timestamp(1_700_000_000_000 + number * 1000);
        runtime.block_on(pipeline::Scraper::scrape(&mut host, at)).expect("the host can be read")
    });
    let mut bodies = Bodies::new(1);
    let mut encode = |batch: &Batch| exporter.encode(batch, &mut bodies).expect("these are metrics");
    batches.by_ref().take(2).for_each(|batch| encode(&batch));
    for batch in batches {
        let info = allocation_counter::measure(|| encode(&batch));
        assert_eq!(info.count_total, 0, "{} items", batch.n_items());
    }
}
