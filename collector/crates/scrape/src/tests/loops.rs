//! Loops of whole scrapers on a paused clock, with scripted answers.

mod counters;
mod handover;
mod options;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use discovery::{Discovery, Group, Snapshot};
use expect_test::expect;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use model::{Labels, STALE_BITS, Scrape};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{job, labels, show};
use crate::{
    Clock, Feed, Fetch, FetchError, Fetched, Health, Job, JobStatus, Options, Refused, Scraper, Sink, Target,
};

/// The wall clock of a test: ten o'clock sharp, then as tokio's time goes.
struct Wall {
    start: SystemTime,
    origin: Instant,
}

impl Clock for Wall {
    fn now(&self) -> SystemTime {
        self.start + self.origin.elapsed()
    }
}

/// How a target answers: after which time, with which body; no body is status 500.
type Answers = HashMap<&'static str, (Duration, Option<&'static str>)>;

/// Scrapes with the times of their arrival.
type Scrapes = Arc<Mutex<Vec<(Duration, Scrape)>>>;

/// A scraper in a world that a test drives.
struct World {
    scraper: Option<Scraper>,
    groups: watch::Sender<Snapshot>,
    answers: Arc<Mutex<Answers>>,
    scrapes: Scrapes,
    refuses: Arc<Mutex<bool>>,
    in_flight: Arc<Mutex<(usize, usize)>>,
    origin: Instant,
    metrics: telemetry::Registry,
}

struct ScriptedFetch {
    answers: Arc<Mutex<Answers>>,
    in_flight: Arc<Mutex<(usize, usize)>>,
}

impl Fetch for ScriptedFetch {
    fn fetch<'a>(&'a self, target: &'a Target, _: usize) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let address = target.discovered().value("__address__").to_owned();
            let (after, body) = self
                .answers
                .lock()
                .unwrap()
                .get(&*address)
                .copied()
                .unwrap_or((Duration::ZERO, Some("a 1\n")));
            {
                let mut in_flight = self.in_flight.lock().unwrap();
                in_flight.0 += 1;
                in_flight.1 = in_flight.1.max(in_flight.0);
            }
            sleep(after).await;
            self.in_flight.lock().unwrap().0 -= 1;
            let body = body.ok_or(FetchError::Status(500))?;
            Ok(Fetched {
                content_type: Some(HeaderValue::from_static("text/plain")),
                content_encoding: None,
                body: body.into(),
            })
        })
    }
}

struct Collect {
    scrapes: Scrapes,
    refuses: Arc<Mutex<bool>>,
    origin: Instant,
}

impl Sink for Collect {
    fn append(&self, scrape: Scrape) -> BoxFuture<'_, Result<(), Refused>> {
        let outcome = if *self.refuses.lock().unwrap() {
            Err(Refused { reason: "queue is full".to_owned() })
        } else {
            self.scrapes.lock().unwrap().push((self.origin.elapsed(), scrape));
            Ok(())
        };
        Box::pin(std::future::ready(outcome))
    }
}

impl World {
    fn new() -> Self {
        Self::labelled(Labels::new())
    }

    fn labelled(external_labels: Labels) -> Self {
        Self::configured(Options { external_labels, ..Options::default() })
    }

    fn configured(options: Options) -> Self {
        let origin = Instant::now();
        let metrics = telemetry::Registry::new();
        let scrapes: Scrapes = Arc::default();
        let refuses: Arc<Mutex<bool>> = Arc::default();
        let sink = Collect { scrapes: Arc::clone(&scrapes), refuses: Arc::clone(&refuses), origin };
        // A whole day, so that intervals of tests begin with it.
        let start = UNIX_EPOCH + Duration::from_secs(20_000 * 86_400);
        let options = Options {
            seed: 0,
            n_cores: 2,
            clock: Arc::new(Wall { start, origin }),
            metrics: metrics.clone(),
            ..options
        };
        Self {
            scraper: Some(Scraper::spawn(options, Arc::new(sink))),
            groups: watch::Sender::new(Snapshot { settled: true, ..Snapshot::default() }),
            answers: Arc::default(),
            scrapes,
            refuses,
            in_flight: Arc::default(),
            origin,
            metrics,
        }
    }

    fn scraper(&self) -> &Scraper {
        self.scraper.as_ref().unwrap()
    }

    fn feed(&self, job: Arc<Job>) -> Feed {
        let fetch =
            ScriptedFetch { answers: Arc::clone(&self.answers), in_flight: Arc::clone(&self.in_flight) };
        Feed { job, fetch: Arc::new(fetch), discovery: Discovery::of(self.groups.subscribe()) }
    }

    /// A world in which this job is scraped.
    async fn with(config: &str, targets: &[&str]) -> Self {
        let world = Self::new();
        world.discover(targets);
        world.reload(&[config]).await;
        world
    }

    async fn reload(&self, configs: &[&str]) {
        let feeds = configs.iter().map(|config| self.feed(job(config))).collect();
        self.scraper().reload(feeds).await;
    }

    fn discover(&self, targets: &[&str]) {
        self.groups.send_replace(snapshot(targets, true));
    }

    fn answer(&self, address: &'static str, after: &str, body: Option<&'static str>) {
        let after: config::Timeout = after.parse().unwrap();
        self.answers.lock().unwrap().insert(address, (after.as_duration().unwrap_or_default(), body));
    }

    /// Lets time pass until so long after the start.
    async fn until(&self, seconds: f64) {
        tokio::time::sleep_until(self.origin + Duration::from_secs_f64(seconds)).await;
    }

    /// Seconds of the timestamps and values of `up`, in order of arrival; the end of the series is `STALE`.
    fn ups(&self, instance: &str) -> String {
        let mut ups = Vec::new();
        for (_, scrape) in &*self.scrapes.lock().unwrap() {
            for point in &scrape.points {
                let of: Labels = scrape.table.labels(point.series).collect();
                if of.value("__name__") != "up" || of.value("instance") != instance {
                    continue;
                }
                let value = if point.bits == STALE_BITS {
                    "STALE".to_owned()
                } else {
                    f64::from_bits(point.bits).to_string()
                };
                ups.push(format!(
                    "{:.1}s {value}",
                    (scrape.at.millis() - 20_000 * 86_400_000) as f64 / 1000.0
                ));
            }
        }
        ups.join(", ")
    }

    fn n_scrapes(&self) -> usize {
        self.scrapes.lock().unwrap().len()
    }

    fn last(&self) -> String {
        show(&self.scrapes.lock().unwrap().last().unwrap().1, false)
    }

    fn status(&self) -> JobStatus {
        self.scraper().status().remove(0)
    }

    /// Where in its interval a target is scraped, found by looking.
    fn phase(&self, instance: &str) -> f64 {
        self.ups(instance).split('s').next().unwrap().parse().unwrap()
    }
}

fn snapshot(targets: &[&str], settled: bool) -> Snapshot {
    let targets = targets.iter().map(|address| labels(&[("__address__", address)])).collect();
    let group = Group { source: "g".into(), labels: Labels::new(), targets };
    Snapshot { groups: [Arc::new(group)].into(), settled, ..Snapshot::default() }
}

const TEN: &str = "scrape_interval: 10s\nscrape_timeout: 8s";

#[tokio::test(start_paused = true)]
async fn a_target_is_scraped_on_its_ticks_and_the_first_does_not_wait() {
    let world = World::with(TEN, &["a:1"]).await;
    world.until(35.0).await;
    let phase = world.phase("a:1");
    assert!(phase < 10.0, "the first scrape comes within one interval");
    let expected: Vec<String> = (0..4)
        .map(|n| phase + f64::from(n) * 10.0)
        .filter(|at| *at < 35.0)
        .map(|at| format!("{at:.1}s 1"))
        .collect();
    assert_eq!(world.ups("a:1"), expected.join(", "));
    assert_eq!(world.last(), "a{instance=\"a:1\"} 1\nup{instance=\"a:1\"} 1");
}

#[tokio::test(start_paused = true)]
async fn external_labels_are_added_where_they_are_absent() {
    let world = World::labelled(labels(&[("cluster", "home")]));
    world.discover(&["a:1"]);
    world.reload(&[TEN]).await;
    world.answer("a:1", "0s", Some("a{cluster=\"own\"} 1\nb 2\n"));
    world.until(15.0).await;
    let expected = r#"a{cluster="own",instance="a:1"} 1
b{cluster="home",instance="a:1"} 2
up{cluster="home",instance="a:1"} 1"#;
    assert_eq!(world.last(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_slow_target_is_down_and_the_next_scrape_is_on_time() {
    let world = World::with(TEN, &["a:1"]).await;
    world.answer("a:1", "60s", Some("a 1\n"));
    world.until(39.9).await;
    let phase = world.phase("a:1");
    let downs: Vec<String> = (0..3).map(|n| format!("{:.1}s 0", phase + f64::from(n) * 10.0)).collect();
    assert!(world.ups("a:1").starts_with(&downs.join(", ")), "{}", world.ups("a:1"));
    let status = world.status().active[0].last.clone();
    assert_eq!(status.health, Health::Down);
    assert_eq!(status.error.unwrap(), "cannot fetch the metrics: no answer within scrape_timeout (8s)");
    assert!(status.duration >= Duration::from_secs(8) && status.duration < Duration::from_millis(8100));
}

/// Takes fifteen seconds to accept a scrape.
struct Slow(Arc<Mutex<Vec<i64>>>);

impl Sink for Slow {
    fn append(&self, scrape: Scrape) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            self.0.lock().unwrap().push(scrape.at.millis());
            sleep(Duration::from_secs(15)).await;
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_takes_long_skips_ticks_and_never_gets_two_scrapes_at_once() {
    let times: Arc<Mutex<Vec<i64>>> = Arc::default();
    let world = World::new();
    let wall = Wall { start: UNIX_EPOCH + Duration::from_secs(1_000_000), origin: world.origin };
    let options = Options { clock: Arc::new(wall), metrics: world.metrics.clone(), ..Options::default() };
    let scraper = Scraper::spawn(options, Arc::new(Slow(Arc::clone(&times))));
    world.discover(&["a:1"]);
    scraper.reload(vec![world.feed(job(TEN))]).await;
    world.until(65.0).await;
    let times = times.lock().unwrap().clone();
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() >= 2 && gaps.iter().all(|gap| *gap == 20_000), "{gaps:?}");
    let skipped = format!("muster_scrape_skipped_ticks_total {}", gaps.len());
    assert!(world.metrics.text().contains(&skipped), "{}", world.metrics.text());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_target_is_told_after_two_intervals_and_a_tenth() {
    let world = World::with(TEN, &["a:1"]).await;
    world.until(15.0).await;
    let phase = world.phase("a:1");
    let n_before = world.n_scrapes();
    world.discover(&[]);
    let last = if phase < 5.0 { phase + 10.0 } else { phase };
    world.until(last + 20.9).await;
    assert_eq!(world.n_scrapes(), n_before, "it may come back");
    assert_eq!(world.status().active.len(), 0);
    world.until(last + 21.1).await;
    expect![[r#"
        a{instance="a:1"} STALE
        up{instance="a:1"} STALE"#]]
    .assert_eq(&world.last());
    assert!(world.ups("a:1").ends_with(&format!("{:.1}s STALE", last + 10.0)), "{}", world.ups("a:1"));
    world.until(200.0).await;
    assert_eq!(world.n_scrapes(), n_before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_back_in_time_never_ended() {
    let world = World::with(TEN, &["a:1"]).await;
    world.until(12.0).await;
    world.discover(&[]);
    world.until(25.0).await;
    world.discover(&["a:1"]);
    world.until(60.0).await;
    let ups = world.ups("a:1");
    assert!(!ups.contains("STALE"), "{ups}");
    let text = world.scrapes.lock().unwrap().iter().map(|(_, scrape)| show(scrape, true)).collect::<String>();
    assert_eq!(
        text.matches("scrape_series_added{instance=\"a:1\"} 1").count(),
        1,
        "its series were still known"
    );
}

#[tokio::test(start_paused = true)]
async fn neither_shutdown_nor_release_ends_any_series() {
    let world = World::with(TEN, &["a:1", "b:1"]).await;
    world.until(15.0).await;
    let hash =
        world.status().active.iter().find(|status| status.target.url.contains("a:1")).unwrap().target.hash;
    world.scraper().release("j", vec![hash]).await;
    world.until(16.0).await;
    let a = world.ups("a:1");
    // Discovery still lists it, and other news do not bring it back.
    world.discover(&["a:1", "b:1", "c:1"]);
    world.until(40.0).await;
    assert_eq!(world.ups("a:1"), a);
    assert!(!world.ups("c:1").is_empty());
    // Once discovery has dropped it, it may come again.
    world.discover(&["b:1", "c:1"]);
    world.until(41.0).await;
    world.discover(&["a:1", "b:1", "c:1"]);
    world.until(60.0).await;
    assert!(world.ups("a:1").len() > a.len());
    let World { scraper, scrapes, .. } = world;
    scraper.unwrap().shutdown(Duration::from_secs(1)).await;
    let n = scrapes.lock().unwrap().len();
    sleep(Duration::from_secs(100)).await;
    let scrapes = scrapes.lock().unwrap();
    assert_eq!(scrapes.len(), n);
    assert!(!scrapes.iter().any(|(_, scrape)| show(scrape, true).contains("STALE")));
}

#[tokio::test(start_paused = true)]
async fn a_target_released_after_discovery_dropped_it_does_not_end() {
    let world = World::with(TEN, &["a:1"]).await;
    world.until(15.0).await;
    let hash = world.status().active[0].target.hash;
    world.discover(&[]);
    world.until(20.0).await;
    world.scraper().release("j", vec![hash]).await;
    let n = world.n_scrapes();
    world.until(100.0).await;
    assert_eq!(world.n_scrapes(), n);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_known_of_targets_that_stay() {
    let world = World::with(TEN, &["a:1", "b:1"]).await;
    world.until(15.0).await;
    world.reload(&[&format!("{TEN}\nsample_limit: 100")]).await;
    // Another interval is another identity, but the labels are the same.
    world.reload(&["scrape_interval: 5s\nscrape_timeout: 5s"]).await;
    world.until(60.0).await;
    let scrapes = world.scrapes.lock().unwrap();
    let text: String = scrapes.iter().map(|(_, scrape)| show(scrape, true)).collect();
    assert!(!text.contains("STALE"));
    assert_eq!(text.matches("scrape_series_added{instance=\"a:1\"} 1").count(), 1);
    assert!(scrapes.len() >= 2 + 2 * 9, "{}", scrapes.len());
}

#[tokio::test(start_paused = true)]
async fn a_new_discovery_removes_nothing_before_it_has_settled() {
    let world = World::with(TEN, &["a:1", "b:1"]).await;
    world.until(15.0).await;
    let next = watch::Sender::new(snapshot(&["c:1"], false));
    let mut feed = world.feed(job(TEN));
    feed.discovery = Discovery::of(next.subscribe());
    world.scraper().reload(vec![feed]).await;
    world.until(60.0).await;
    assert_eq!(world.status().active.len(), 3);
    assert!(!world.status().settled);
    next.send_replace(snapshot(&["c:1", "a:1"], true));
    world.until(61.0).await;
    assert_eq!(world.status().active.len(), 2);
    world.until(100.0).await;
    assert!(world.ups("b:1").ends_with("STALE") && !world.ups("a:1").contains("STALE"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_gone_ends_its_targets_and_may_come_back() {
    let world = World::with(TEN, &["a:1"]).await;
    world.until(15.0).await;
    world.reload(&[]).await;
    world.until(16.0).await;
    assert!(world.scraper().status().is_empty());
    world.reload(&[TEN]).await;
    world.until(50.0).await;
    assert!(!world.ups("a:1").contains("STALE"), "it came back in time");
    world.reload(&[]).await;
    world.until(100.0).await;
    assert!(world.ups("a:1").ends_with("STALE"));
    world.reload(&[TEN]).await;
    world.until(120.0).await;
    assert!(world.ups("a:1").ends_with("s 1"));
}

#[tokio::test(start_paused = true)]
async fn too_many_targets_are_all_down() {
    let world = World::with(&format!("{TEN}\ntarget_limit: 1"), &["a:1"]).await;
    world.until(15.0).await;
    assert!(world.ups("a:1").ends_with("s 1"));
    world.discover(&["a:1", "b:1"]);
    world.until(30.0).await;
    assert!(world.ups("a:1").ends_with("s 0") && world.ups("b:1").ends_with("s 0"));
    let status = world.status();
    assert_eq!(
        status.active[0].last.error.as_deref(),
        Some("target_limit exceeded: the job has 2 targets, limit 1")
    );
    world.discover(&["a:1"]);
    world.until(45.0).await;
    assert!(world.ups("a:1").ends_with("s 1"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_scrape_is_counted_and_its_ends_are_told_again() {
    let world = World::with(TEN, &["a:1"]).await;
    world.answer("a:1", "0s", Some("a 1\nb 1\n"));
    world.until(15.0).await;
    world.answer("a:1", "0s", Some("a 1\n"));
    *world.refuses.lock().unwrap() = true;
    world.until(35.0).await;
    assert_eq!(world.status().active[0].last.refused.as_deref(), Some("queue is full"));
    *world.refuses.lock().unwrap() = false;
    world.until(45.0).await;
    assert_eq!(world.last(), "a{instance=\"a:1\"} 1\nb{instance=\"a:1\"} STALE\nup{instance=\"a:1\"} 1");
    assert!(world.metrics.text().contains("muster_scrape_refused_total 2"), "{}", world.metrics.text());
}

#[tokio::test(start_paused = true)]
async fn a_page_can_show_every_target() {
    let config =
        format!("{TEN}\nrelabel_configs: [{{source_labels: [__address__], regex: 'drop.*', action: drop}}]");
    let world = World::with(&config, &["a:1", "drop:1", "bad/1"]).await;
    world.answer("a:1", "500ms", Some("a 1\nb 1\n"));
    world.until(15.0).await;
    let status = world.status();
    assert_eq!((status.job.as_str(), status.settled, status.n_dropped), ("j", true, 1));
    assert_eq!(status.dropped[0].value("__address__"), "drop:1");
    assert_eq!(status.unusable, ["bad/1 of g: the address `bad/1` is not a host with a port"]);
    let last = &status.active[0].last;
    assert_eq!((last.health, last.n_samples, last.n_series), (Health::Up, 2, 7));
    assert_eq!((last.duration, last.error.as_deref()), (Duration::from_millis(500), None));
    let text = world.metrics.text();
    for line in [
        "prometheus_target_scrape_pool_targets{scrape_job=\"j\"} 1",
        "prometheus_target_sync_failed_total 1",
        "muster_scrapes_total{outcome=\"timeout\"} 0",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn equal_targets_are_scraped_once() {
    let world = World::with(TEN, &["a:1", "a:1"]).await;
    world.until(9.99).await;
    assert_eq!(world.n_scrapes(), 1);
}
