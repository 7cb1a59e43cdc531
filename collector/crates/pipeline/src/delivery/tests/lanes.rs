//! Lanes through the whole way from a batch to the endpoint: order, nothing lost or doubled, how many at once.

use model::Frames;
use proptest::prelude::*;

use super::*;
use crate::exporting::Exporting;
use crate::flow::Consume;
use crate::{Joining, Queueing, Sizer};

/// Lanes `a`, `b` and so on.
async fn lanes(endpoint: &Endpoint, n_lanes: usize, min_requests: usize) -> (Arc<Exporting>, Registry) {
    let queue = Queueing {
        n_shards: n_lanes,
        n_consumers: 1,
        min_requests,
        capacity: 100_000,
        sizer: Sizer::Requests,
        ..Queueing::HELPER
    };
    let sending = Sending { timeout: None, retry: BACKOFF, queue: Some(queue), ..Sending::in_memory() };
    let registry = Registry::new();
    let id = ComponentId::parse("out").unwrap();
    let started = Exporting::start(&id, Signal::Logs, Box::new(endpoint.clone()), sending, &registry).await;
    (started.expect("nothing has to be opened"), registry)
}

#[tokio::test(start_paused = true)]
async fn whole_batches_share_a_request_and_leave_at_the_latest_after_the_deadline() {
    let endpoint = Endpoint::at_once(|_| Ok(()));
    let joining = Joining { deadline: Duration::from_secs(5), min_items: 5, min_bytes: usize::MAX };
    let queue = Queueing { n_shards: 2, n_consumers: 1, joining: Some(joining), ..Queueing::HELPER };
    let sending = Sending { timeout: None, retry: BACKOFF, queue: Some(queue), ..Sending::in_memory() };
    let id = ComponentId::parse("out").unwrap();
    let registry = Registry::new();
    let started = Exporting::start(&id, Signal::Logs, Box::new(endpoint.clone()), sending, &registry).await;
    let exporting = started.expect("nothing has to be opened");
    for words in [["a1", "a2", "a3"], ["b1", "b2", "b3"], ["a4", "a5", "a6"], ["a7", "a8", "a9"]] {
        exporting.consume(batch(&words.map(str::to_owned))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(endpoint.seen(), ["a1 a2 a3 a4 a5 a6"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(endpoint.seen()[1..], ["a7 a8 a9", "b1 b2 b3"]);
    assert!(endpoint.seconds()[2] <= 6, "{:?}", endpoint.seconds());
}

fn lane_name(lane: usize) -> char {
    char::from(b'a' + u8::try_from(lane).unwrap())
}

fn batch(words: &[String]) -> Batch {
    let resources = words.iter().map(|word| Bytes::from(word.clone())).collect();
    Batch::from_frames(Signal::Logs, Frames { resources, n_items: words.len() })
}

fn of_lane(words: &[String], lane: usize) -> Vec<&String> {
    words.iter().filter(|word| word.starts_with(lane_name(lane))).collect()
}

#[derive(Clone, Debug)]
struct Plan {
    n_lanes: usize,
    min_requests: usize,
    /// Latency in milliseconds, and whether the attempt fails; used over and over.
    fates: Vec<(u64, bool)>,
    /// Milliseconds until the next batch, and its items: a lane, and whether it is bad.
    batches: Vec<(u64, Vec<(usize, bool)>)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let fates = proptest::collection::vec((0u64..5000, prop::bool::weighted(0.3)), 1..20);
    let items = proptest::collection::vec((0usize..6, prop::bool::weighted(0.05)), 1..12);
    let batches = proptest::collection::vec((0u64..3000, items), 1..20);
    (1usize..7, 1usize..7, fates, batches).prop_map(|(n_lanes, min_requests, fates, batches)| {
        // An endpoint that never takes anything would be tried for ever.
        let fates = fates.into_iter().chain([(10, false)]).collect();
        Plan { n_lanes, min_requests, fates, batches }
    })
}

async fn follows(plan: &Plan) -> Result<(), TestCaseError> {
    let fates = Mutex::new(plan.fates.clone().into_iter().cycle());
    let endpoint = Endpoint::new(move |words| {
        let (latency, fails) = fates.lock().unwrap().next().expect("a cycle has no end");
        let outcome = if fails {
            Err(ExportError::later("503"))
        } else if words.contains('!') {
            Err(ExportError::BadItems { source: "400".into() })
        } else {
            Ok(())
        };
        (Duration::from_millis(latency), outcome)
    });
    let (exporting, registry) = lanes(&endpoint, plan.n_lanes, plan.min_requests).await;
    let mut produced: Vec<String> = Vec::new();
    for (wait, items) in &plan.batches {
        tokio::time::sleep(Duration::from_millis(*wait)).await;
        let words: Vec<String> = items
            .iter()
            .enumerate()
            .map(|(index, (lane, is_bad))| {
                let lane = lane_name(lane % plan.n_lanes);
                format!("{lane}{}{}", produced.len() + index, if *is_bad { "!" } else { "" })
            })
            .collect();
        exporting.consume(batch(&words)).await.unwrap();
        produced.extend(words);
    }
    for _second in 0..100_000 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if value(&registry, "otelcol_exporter_queue_size") == 0.0 {
            break;
        }
    }
    let (bad, good): (Vec<String>, Vec<String>) = produced.into_iter().partition(|word| word.contains('!'));
    let taken = endpoint.taken();
    for lane in 0..plan.n_lanes {
        prop_assert_eq!(of_lane(&taken, lane), of_lane(&good, lane), "lane {}", lane_name(lane));
    }
    prop_assert_eq!(taken.len(), good.len());
    prop_assert_eq!(dropped(&registry, "bad_items").unwrap_or(0.0), bad.len() as f64);
    prop_assert_eq!(sent(&registry), good.len() as f64);
    prop_assert_eq!(value(&registry, "otelcol_exporter_queue_size"), 0.0);
    let watch = endpoint.watch.lock().unwrap();
    prop_assert_eq!(watch.n_doubled_lanes, 0, "a lane has one request under way");
    prop_assert_eq!(watch.n_crowded_while_failing, 0, "while failing there is one request");
    prop_assert!(watch.most <= plan.n_lanes);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_lanes_keep_their_order_and_nothing_is_lost_or_doubled(plan in plan()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(follows(&plan))?;
    }
}

/// Feeds each of four lanes once in each period.
async fn feed(exporting: &Exporting, n_rounds: usize, period: Duration) {
    for round in 0..n_rounds {
        let words: Vec<String> = (0..4).map(|lane| format!("{}{round}", lane_name(lane))).collect();
        exporting.consume(batch(&words)).await.unwrap();
        tokio::time::sleep(period).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_under_way_follow_the_backlog_up_and_down() {
    let endpoint = Endpoint::new(|_| (Duration::from_millis(500), Ok(())));
    let (exporting, registry) = lanes(&endpoint, 4, 1).await;
    let desired = || value(&registry, "muster_exporter_desired_requests");
    assert_eq!(desired_after_start(&desired).await, 1.0);
    // Four requests a second; one at a time can send two.
    feed(&exporting, 15, Duration::from_secs(1)).await;
    assert_eq!(endpoint.watch.lock().unwrap().most, 1);
    assert!(value(&registry, "otelcol_exporter_queue_size") > 20.0);
    feed(&exporting, 60, Duration::from_secs(1)).await;
    assert_eq!(endpoint.watch.lock().unwrap().most, 4);
    assert!(value(&registry, "otelcol_exporter_queue_size") <= 4.0, "it has caught up");
    feed(&exporting, 20, Duration::from_secs(20)).await;
    assert_eq!(desired(), 1.0);
}

/// The task that follows the backlog has to run once.
async fn desired_after_start(desired: &impl Fn() -> f64) -> f64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    desired()
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_sees_one_request_at_a_time_from_all_lanes_and_then_all_of_them() {
    let works_from = Duration::from_secs(60);
    let began = Instant::now();
    let endpoint = Endpoint::new(move |_| {
        let works = began.elapsed() >= works_from;
        (Duration::from_millis(100), if works { Ok(()) } else { Err(ExportError::later("503")) })
    });
    let (exporting, _registry) = lanes(&endpoint, 4, 4).await;
    feed(&exporting, 100, Duration::from_secs(1)).await;
    let seconds = endpoint.seconds();
    let n_in_outage = seconds.iter().filter(|at| **at < 60).count();
    // Four at once, then waits of 1, 2, 4, 8, 8... seconds over all lanes.
    assert!((10..=14).contains(&n_in_outage), "{n_in_outage}");
    let words: Vec<String> = endpoint.taken();
    assert_eq!(words.len(), 400);
    // What waited for a minute goes at full speed, forty requests a second, as soon as one was taken.
    let recovered = *seconds.iter().find(|at| **at >= 60).unwrap();
    let n_soon = seconds.iter().filter(|at| (recovered..recovered + 10).contains(*at)).count();
    assert!(recovered <= 68 && n_soon > 260, "{recovered}: {n_soon}");
    let watch = endpoint.watch.lock().unwrap();
    assert_eq!((watch.n_crowded_while_failing, watch.n_doubled_lanes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_alone_makes_the_endpoint_fail_holds_up_its_own_lane_only() {
    let endpoint = Endpoint::at_once(|words| match words {
        "a3" => Err(ExportError::later("500")),
        _ => Ok(()),
    });
    let (exporting, _registry) = lanes(&endpoint, 4, 4).await;
    feed(&exporting, 60, Duration::from_secs(1)).await;
    let taken = endpoint.taken();
    assert_eq!(of_lane(&taken, 0).len(), 3);
    for lane in 1..4 {
        assert!(of_lane(&taken, lane).len() >= 58, "lane {}", lane_name(lane));
    }
}
