//! What a scrape costs from the body's arrival to the sink, in steady state: the same series as the last time.
//!
//! `hot` scrapes one target again and again, so that everything known of it is in the processor's caches; `cold` scrapes 200
//! targets in turn, as a real scraper does, so that nothing is. Whole scrapers run on a paused clock, which jumps from tick
//! to tick: the loop, its timers and the reports are in the times, the network is not. One iteration is a scrape of 2,000
//! series (`cold`: 200 of them); items are samples, bytes are those of the text. `cargo bench -p scrape`.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use discovery::{Discovery, Group, Snapshot};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use futures_util::future::BoxFuture;
use http::HeaderValue;
use model::{Labels, Scrape};
use scrape::{
    Clock, Feed, Fetch, FetchError, Fetched, GlobalConfig, Job, Options, Refused, Scraper, Sink, Target,
};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use wire::compress::{Encoding, compress};

const N_SERIES: usize = 2000;
const N_COLD: usize = 200;
const ENCODINGS: [&str; 2] = ["text", "gzip"];

fn main() -> std::io::Result<()> {
    let world = World::new(N_COLD, "text");
    let before = resident_bytes();
    world.scrape_all();
    world.scrape_all();
    let held = resident_bytes().saturating_sub(before);
    let mut out = std::io::stdout().lock();
    writeln!(out, "a series in steady state: {} bytes of resident memory", held / (N_COLD * N_SERIES))?;
    writeln!(out, "a sample: {} bytes of text", text(0, 0).len() / N_SERIES)?;
    drop((out, world));
    divan::main();
    Ok(())
}

#[divan::bench(args = ENCODINGS)]
fn hot(bencher: Bencher<'_, '_>, encoding: &str) {
    bench(bencher, 1, encoding);
}

#[divan::bench(args = ENCODINGS, sample_size = 1, sample_count = 20)]
fn cold(bencher: Bencher<'_, '_>, encoding: &str) {
    bench(bencher, N_COLD, encoding);
}

fn bench(bencher: Bencher<'_, '_>, n_targets: usize, encoding: &str) {
    let world = World::new(n_targets, encoding);
    // All series are new in the first round, and known from the second on.
    world.scrape_all();
    world.scrape_all();
    let bencher = bencher.counter(ItemsCount::new(n_targets * N_SERIES));
    bencher.counter(BytesCount::new(n_targets * text(0, 0).len())).bench_local(|| world.scrape_all());
}

/// A scraper with its targets on a clock that jumps.
struct World {
    runtime: Runtime,
    taken: Arc<Taken>,
    n_targets: u64,
    // Dropping these ends the scraping.
    _scraper: Scraper,
    _groups: watch::Sender<Snapshot>,
}

impl World {
    fn new(n_targets: usize, encoding: &str) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
        let (bodies, taken) = (Arc::new(Bodies::new(n_targets, encoding)), Arc::<Taken>::default());
        let targets = (0..n_targets).map(|number| labels(&[("__address__", &format!("t{number}:1"))]));
        let group = Group { source: "g".into(), labels: Labels::new(), targets: targets.collect() };
        let found = Snapshot { groups: [Arc::new(group)].into(), settled: true, ..Snapshot::default() };
        let groups = watch::Sender::new(found);
        let discovery = Discovery::of(groups.subscribe());
        let feed = Feed { job: Arc::new(job()), fetch: bodies, discovery };
        let sink = Arc::clone(&taken) as Arc<dyn Sink>;
        let scraper = runtime.block_on(async {
            let clock = Arc::new(Jumping { origin: Instant::now() });
            let scraper = Scraper::spawn(Options { clock, ..Options::default() }, sink);
            scraper.reload(vec![feed]).await;
            scraper
        });
        let n_targets = n_targets as u64;
        Self { runtime, taken, n_targets, _scraper: scraper, _groups: groups }
    }

    /// Lets time pass until as many scrapes have arrived as there are targets.
    fn scrape_all(&self) {
        self.runtime.block_on(self.taken.more(self.n_targets));
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

/// Two bodies a target, with the same series and other values, that are served by turns.
struct Bodies {
    of_targets: Vec<[Bytes; 2]>,
    encoding: Option<HeaderValue>,
    n_served: AtomicU64,
}

impl Bodies {
    fn new(n_targets: usize, encoding: &str) -> Self {
        let is_zipped = encoding == "gzip";
        let body = |target: usize, turn: usize| {
            let text = text(target, turn);
            if !is_zipped {
                return Bytes::from(text);
            }
            let mut zipped = Vec::new();
            compress(Encoding::Gzip, text.as_bytes(), &mut zipped);
            Bytes::from(zipped)
        };
        Self {
            of_targets: (0..n_targets).map(|target| [body(target, 0), body(target, 1)]).collect(),
            encoding: is_zipped.then(|| encoding.parse().expect("a header value")),
            n_served: AtomicU64::new(0),
        }
    }
}

impl Fetch for Bodies {
    fn fetch<'a>(&'a self, target: &'a Target, _kept: usize) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let address = target.discovered().value("__address__");
        let number = address.trim_start_matches('t').trim_end_matches(":1").parse::<usize>();
        let turn = self.n_served.fetch_add(1, Ordering::Relaxed) as usize / self.of_targets.len() % 2;
        let fetched = Fetched {
            content_type: Some(HeaderValue::from_static("text/plain")),
            content_encoding: self.encoding.clone(),
            body: self.of_targets[number.expect("addresses are ours")][turn].clone(),
        };
        Box::pin(std::future::ready(Ok(fetched)))
    }
}

/// Counts scrapes and lets them go.
#[derive(Default)]
struct Taken {
    n_scrapes: AtomicU64,
    wanted: AtomicU64,
    reached: Notify,
}

impl Taken {
    async fn more(&self, n: u64) {
        let reached = self.reached.notified();
        self.wanted.store(self.n_scrapes.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        reached.await;
    }
}

impl Sink for Taken {
    fn append(&self, scrape: Scrape) -> BoxFuture<'_, Result<(), Refused>> {
        assert!(scrape.points.len() >= N_SERIES, "a scrape has failed");
        let n_scrapes = self.n_scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        if n_scrapes == self.wanted.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

fn job() -> Job {
    let root =
        config::parse("{job_name: shop, scrape_interval: 15s}", "job.yaml").expect("that is YAML").root;
    let config = config::read(&root, "").expect("that is a job");
    Job::build(&config, &GlobalConfig::default(), ".".as_ref()).expect("the job is right")
}

/// The body of a target: counters and gauges with two labels beside those of the target.
fn text(target: usize, turn: usize) -> String {
    let mut text = String::from("# HELP requests_total Requests answered.\n# TYPE requests_total counter\n");
    for number in 0..N_SERIES / 2 {
        let value = target + 1_000_000 * turn + number;
        text += &format!("requests_total{{method=\"GET\",path=\"/api/v1/items/{number}\"}} {value}\n");
    }
    text += "# HELP queue_length Jobs that wait.\n# TYPE queue_length gauge\n";
    for number in 0..N_SERIES / 2 {
        let value = target + turn + number;
        text += &format!("queue_length{{queue=\"q{number}\",shard=\"{}\"}} {value}.25\n", number % 8);
    }
    text
}

/// Resident memory of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<usize>().map_or(0, |kibibytes| kibibytes << 10)
}
