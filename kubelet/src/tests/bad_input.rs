use std::time::{Duration, Instant};

use proptest::prelude::*;
use world::kubelet::{Answer, FakeKubelet};

use super::fixture::*;
use super::goldens::everything_on;
use crate::emit::{Beside, emit};
use crate::metric::Metric;
use crate::pods::Pods;
use crate::points::Resources;
use crate::settings::Settings;
use crate::summary::Summary;
use crate::{Outcome, Scraped, Subject};

/// What a scrape says of a kubelet that answers this: how it ended, and the error without the address.
async fn refusal(answer: Answer) -> (Outcome, String) {
    let kubelet = FakeKubelet::start().await.unwrap();
    kubelet.answer("/stats/summary", answer);
    let scraped = scraped(&kubelet, "").await;
    assert_eq!((scraped.frames.n_items, scraped.frames.resources.len()), (0, 0));
    let [error] = &errors(&scraped)[..] else { panic!("one error") };
    let [(Subject::Summary, outcome)] = scraped.requests[..] else { panic!("{:?}", scraped.requests) };
    let place = format!("GET {}/stats/summary: ", kubelet.url());
    let told = error.strip_prefix(&place).unwrap_or_else(|| panic!("{error} names no URL"));
    (outcome, told.replace(&kubelet.address().to_string(), "KUBELET"))
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status_its_text_and_what_to_do() {
    let forbidden =
        "Forbidden (user=system:serviceaccount:a:b, verb=get, resource=nodes, subresource(s)=[stats])";
    let (outcome, told) = refusal(Answer::Status(403, forbidden.to_owned())).await;
    assert_eq!(
        (outcome, told),
        (Outcome::Forbidden, format!("answered 403: {forbidden}; allow get on nodes/stats"))
    );
    let (outcome, told) = refusal(Answer::Status(500, "a\nb\n".to_owned())).await;
    assert_eq!((outcome, &*told), (Outcome::Status, "answered 500: a\\nb"));
    let (outcome, told) = refusal(Answer::Status(503, String::new())).await;
    assert_eq!((outcome, &*told), (Outcome::Status, "answered 503"));
    let (_, told) = refusal(Answer::Status(500, "x".repeat(1 << 20))).await;
    assert_eq!(told, format!("answered 500: {}...", "x".repeat(512)));
    let (outcome, _) = refusal(Answer::Status(302, String::new())).await;
    assert_eq!(outcome, Outcome::Status, "a redirect is not followed");
}

#[tokio::test]
async fn a_summary_that_is_half_is_not_used() {
    let whole = testdata("summary.json");
    let (outcome, told) = refusal(Answer::BreaksOff(whole.clone().into())).await;
    assert_eq!(outcome, Outcome::Unreachable);
    assert!(told.starts_with("connection to KUBELET broke while reading the answer"), "{told}");
    let half = whole[..whole.len() / 2].to_owned();
    let (outcome, told) = refusal(Answer::json(half.clone())).await;
    assert_eq!(outcome, Outcome::Malformed);
    assert!(told.starts_with(&format!("the answer of {} bytes cannot be read: EOF", half.len())), "{told}");
}

#[tokio::test]
async fn fifty_megabytes_are_refused_by_the_name_of_the_limit() {
    let began = Instant::now();
    let (outcome, told) = refusal(Answer::Huge(50 << 20)).await;
    assert_eq!(outcome, Outcome::TooLarge);
    assert_eq!(told, "the answer is larger than the limit MAX_ANSWER_BYTES (33554432 bytes)");
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn nothing_and_nonsense_are_told() {
    for (answer, expected) in [
        (Answer::json(""), "the answer of 0 bytes cannot be read: EOF while parsing a value"),
        (Answer::json("{}"), "the answer of 2 bytes cannot be read: there is neither a node nor pods in it"),
        (Answer::json("null"), "the answer of 4 bytes cannot be read: "),
        (Answer::json("[]"), "the answer of 2 bytes cannot be read: "),
        (Answer::json("<html>"), "the answer of 6 bytes cannot be read: expected value at line 1 column 1"),
        (Answer::json(r#"{"pods": {}}"#), "the answer of 12 bytes cannot be read: invalid type: map"),
        (Answer::json("{\"node\":{\"nodeName\":\"\u{fffd}\"},\"pods\":7}"), "the answer of "),
        (Answer::json("[".repeat(10_000)), "the answer of 10000 bytes cannot be read: "),
    ] {
        let (outcome, told) = refusal(answer.clone()).await;
        assert_eq!(outcome, Outcome::Malformed, "{answer:?}");
        assert!(told.starts_with(expected), "{answer:?}: {told}");
    }
    let (outcome, _) = refusal(Answer::Hangup).await;
    assert_eq!(outcome, Outcome::Unreachable);
}

#[tokio::test]
async fn a_slow_kubelet_is_given_up_in_time_and_by_name() {
    let kubelet = golden_kubelet().await;
    let slow = Answer::Slow(Duration::from_secs(60), Box::new(Answer::json("{}")));
    kubelet.answer("/stats/summary", slow);
    let pod = Pod::with_api_at(&kubelet);
    let began = Instant::now();
    let scraped = scraper(&kubelet, &pod, "").scrape(NOW, Duration::from_millis(300)).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(scraped.requests, [(Subject::Summary, Outcome::Timeout)]);
    let expected =
        format!("GET {}/stats/summary: not done within 300ms, while waiting for the answer", kubelet.url());
    assert_eq!(errors(&scraped), [expected]);
}

fn ended(scraped: &Scraped, subject: Subject) -> Vec<Outcome> {
    scraped.requests.iter().filter(|(of, _)| *of == subject).map(|(_, outcome)| *outcome).collect()
}

#[tokio::test]
async fn what_needs_no_list_of_pods_outlives_its_failure() {
    let whole = golden_kubelet().await;
    let all = scraped(&whole, &everything_on()).await;
    let cut = testdata("pods.json");
    for (answer, outcome) in [
        (Answer::Status(403, "Forbidden".to_owned()), Outcome::Forbidden),
        (Answer::json(cut[..cut.len() / 2].to_owned()), Outcome::Malformed),
        (Answer::Huge(50 << 20), Outcome::TooLarge),
        (Answer::Hangup, Outcome::Unreachable),
    ] {
        let kubelet = golden_kubelet().await;
        kubelet.answer("/pods", answer);
        let scraped = scraped(&kubelet, &everything_on()).await;
        assert_eq!(ended(&scraped, Subject::Pods), [outcome]);
        assert!(errors(&scraped)[0].starts_with(&format!("GET {}/pods: ", kubelet.url())));
        // Gone are one utilization of the pod and four of the container that has limits and requests, and the cpu limit of
        // the other has never had a use to compare.
        assert_eq!(scraped.frames.n_items, all.frames.n_items - 5, "{outcome:?}");
        let text = printed(&scraped.frames);
        assert!(!text.contains("container.id=") && !text.contains("k8s.volume.type="), "{text}");
        assert_eq!((scraped.missing.container_ids, scraped.missing.volume_types), (2, 1));
    }
}

#[tokio::test]
async fn what_needs_no_capacity_outlives_the_failure_of_the_node() {
    let kubelet = golden_kubelet().await;
    let pod = Pod::with_api_at(&kubelet);
    let mut scraper = scraper(&kubelet, &pod, &everything_on());
    let nodes = |scraped: &Scraped| printed(&scraped.frames).matches("node.utilization").count();
    kubelet.answer("/api/v1/nodes/n1", Answer::json("{\"status\":{\"capacity\":{\"cpu\":\"4\"}}}"));
    let scraped = scraper.scrape(NOW, PATIENCE).await;
    assert_eq!((ended(&scraped, Subject::Node), nodes(&scraped)), (vec![Outcome::Malformed], 0));
    kubelet.answer("/api/v1/nodes/n1", Answer::json(testdata("node.json")));
    let scraped = scraper.scrape(NOW, PATIENCE).await;
    assert_eq!((ended(&scraped, Subject::Node), nodes(&scraped)), (vec![Outcome::Success], 5));
    // What is known is good for a while, and nobody is asked.
    kubelet.answer("/api/v1/nodes/n1", Answer::Hangup);
    let scraped = scraper.scrape(NOW, PATIENCE).await;
    assert_eq!((ended(&scraped, Subject::Node), nodes(&scraped)), (vec![], 5));
}

#[tokio::test]
async fn odd_values_cost_their_own_metrics_and_are_counted() {
    let text = testdata("summary.json")
        .replacen("\"usageBytes\":67108864", "\"usageBytes\":-1", 1)
        .replacen("\"rssBytes\":50000000", "\"rssBytes\":18446744073709551615", 1)
        .replacen("\"pageFaults\":300", "\"pageFaults\":\"300\"", 1)
        .replacen("\"rxBytes\":500", "\"rxBytes\":null", 1);
    let kubelet = golden_kubelet().await;
    let whole = scraped(&kubelet, "").await;
    kubelet.answer("/stats/summary", Answer::json(text));
    let scraped = scraped(&kubelet, "").await;
    assert_eq!(errors(&scraped), [""; 0]);
    assert_eq!(scraped.frames.n_items, whole.frames.n_items - 4);
    let more = |metric: Metric| scraped.skipped.0[metric as usize] - whole.skipped.0[metric as usize];
    let metrics = [
        Metric::ContainerMemoryUsage,
        Metric::ContainerMemoryRss,
        Metric::ContainerMemoryPageFaults,
        Metric::PodNetworkIo,
    ];
    assert_eq!(metrics.map(more), [1; 4]);
    // One of two containers tells no usage of its processors.
    assert_eq!(whole.skipped.0[Metric::ContainerCpuUsage as usize], 1);
}

proptest! {
    #[test]
    fn no_answer_is_too_odd(
        cuts in proptest::collection::vec((0usize..4000, 0usize..40, "[\\PC\"{}\\[\\],:0-9-]{0,6}"), 0..6),
    ) {
        let settings = Settings::new(&config(&everything_on()));
        let mut texts = [testdata("summary.json"), testdata("pods.json")];
        for text in &mut texts {
            for (at, n, with) in &cuts {
                let floor = |at: usize, text: &str| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let (from, to) = (floor(*at, text), floor(at + n, text));
                text.replace_range(from..to, with);
            }
        }
        let pods = Pods::parse(texts[1].as_bytes()).ok();
        if let Ok(summary) = crate::json::read::<Summary<'_>>(texts[0].as_bytes()) {
            let mut out = Resources::new(&settings, "", NOW.unix_nanos(), Vec::new());
            emit(&summary, Beside { pods: pods.as_ref(), ..Beside::default() }, &mut out);
            let frames = out.finish().frames;
            let n_points: usize = decoded(&frames)
                .iter()
                .flat_map(|resource| &resource.scope_metrics[0].metrics)
                .map(|metric| points_of(metric).len())
                .sum();
            prop_assert_eq!(n_points, frames.n_items);
        }
    }
}
