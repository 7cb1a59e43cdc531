//! What is rejected for good, and what of it is saved.

use proptest::prelude::*;

use super::*;

/// Words that begin with `bad` spoil a request.
fn strict() -> Endpoint {
    Endpoint::at_once(|words| {
        if words.split(' ').any(|word| word.starts_with("bad")) {
            return Err(ExportError::BadItems { source: "out of order sample".into() });
        }
        Ok(())
    })
}

fn numbered(n_words: usize, is_bad: impl Fn(usize) -> bool) -> Vec<String> {
    (0..n_words).map(|n| if is_bad(n) { format!("bad{n}") } else { n.to_string() }).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_is_cut_until_only_the_bad_item_is_lost() {
    let endpoint = strict();
    let (sender, registry) = endpoint.sender(BACKOFF);
    let words = numbered(2000, |n| n == 1234);
    let delivery = sender.deliver(&sealed(words.join(" ")), Some(Duration::ZERO)).await;
    assert_eq!(delivery, Delivery::Done);
    let good: Vec<String> = words.into_iter().filter(|word| !word.starts_with("bad")).collect();
    assert!(endpoint.taken() == good, "all the others are taken, in order");
    assert_eq!((dropped(&registry, "bad_items"), sent(&registry)), (Some(1.0), 1999.0));
    let n_extra = endpoint.seen().len() - 1;
    assert!(n_extra <= 22, "{n_extra} extra requests are more than two for each of the 11 cuts");
    assert_eq!(value(&registry, "muster_exporter_bisection_requests_total"), n_extra as f64);
    assert_eq!(value(&registry, "muster_exporter_retries_total"), 0.0, "a bisection is no retry");
}

#[tokio::test(start_paused = true)]
async fn bisections_have_a_budget_a_minute_and_what_is_beyond_it_is_dropped_by_name() {
    let endpoint = strict();
    let (sender, registry) = endpoint.sender(Backoff { max_bisections_per_minute: 10, ..BACKOFF });
    let all_bad = sealed(numbered(64, |_| true).join(" "));
    assert!(matches!(sender.deliver(&all_bad, Some(Duration::ZERO)).await, Delivery::Never(_)));
    assert_eq!(endpoint.seen().len(), 11);
    let bad = dropped(&registry, "bad_items").unwrap();
    assert_eq!(bad + dropped(&registry, "bisection_limit").unwrap(), 64.0);
    assert_eq!(sent(&registry), 0.0);
    tokio::time::advance(Duration::from_secs(60)).await;
    let one_bad = sealed(numbered(8, |n| n == 5).join(" "));
    assert_eq!(sender.deliver(&one_bad, Some(Duration::ZERO)).await, Delivery::Done);
    assert_eq!(sent(&registry), 7.0);
}

#[tokio::test(start_paused = true)]
async fn without_bisections_a_rejected_request_is_dropped_whole() {
    let endpoint = strict();
    let (sender, registry) = endpoint.sender(Backoff { max_bisections_per_minute: 0, ..BACKOFF });
    let delivery = sender.deliver(&request(&["a", "bad", "c"]), Some(Duration::ZERO)).await;
    assert!(matches!(delivery, Delivery::Never(text) if text.contains("out of order sample")));
    assert_eq!((endpoint.seen().len(), dropped(&registry, "bad_items")), (1, Some(3.0)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn of_a_rejected_request_exactly_the_bad_items_are_lost(is_bad in proptest::collection::vec(prop::bool::weighted(0.1), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let endpoint = strict();
            let (sender, registry) = endpoint.sender(BACKOFF);
            let words = numbered(is_bad.len(), |n| is_bad[n]);
            drop(sender.deliver(&sealed(words.join(" ")), Some(Duration::ZERO)).await);
            let good: Vec<String> = words.into_iter().filter(|word| !word.starts_with("bad")).collect();
            let n_bad = is_bad.len() - good.len();
            prop_assert_eq!(endpoint.taken(), good);
            prop_assert_eq!(dropped(&registry, "bad_items").unwrap_or(0.0), n_bad as f64);
            Ok(())
        })?;
    }
}

/// Takes requests of up to so many bytes.
fn narrow(most: usize) -> Endpoint {
    Endpoint::at_once(move |words| {
        if words.len() > most {
            return Err(ExportError::TooLarge { source: "413".into() });
        }
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_is_cut_and_later_ones_before_they_are_sent() {
    let endpoint = narrow(20_000);
    let (sender, registry) = endpoint.sender(BACKOFF);
    let words = numbered(10_000, |_| false);
    let large = sealed(words.join(" "));
    assert_eq!(large.payload.len(), 48_889);
    assert_eq!(sender.deliver(&large, Some(Duration::ZERO)).await, Delivery::Done);
    assert!(endpoint.taken() == words, "everything is taken, in order");
    // 49 kB and a half of it are refused; the other half is cut before it is sent.
    assert_eq!(endpoint.seen().len(), 2 + 4);
    assert_eq!(sender.deliver(&large, Some(Duration::ZERO)).await, Delivery::Done);
    assert_eq!(endpoint.seen().len(), 2 + 4 + 4, "smaller ones from now on, none of them refused");
    assert_eq!((sent(&registry), dropped(&registry, "too_large")), (20_000.0, None));
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(sender.deliver(&large, Some(Duration::ZERO)).await, Delivery::Done);
    assert_eq!(endpoint.seen().len(), 2 + 4 + 4 + 6, "after a while it is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_small_request_cannot_be_too_large_and_is_dropped_after_one_attempt() {
    let endpoint = narrow(0);
    let (sender, registry) = endpoint.sender(BACKOFF);
    let delivery = sender.deliver(&request(&["a", "b", "c"]), Some(Duration::ZERO)).await;
    assert!(matches!(delivery, Delivery::Never(_)));
    assert_eq!((endpoint.seen().len(), dropped(&registry, "too_large")), (1, Some(3.0)));
}

#[tokio::test(start_paused = true)]
async fn what_was_written_in_part_is_not_sent_again_and_the_rest_is_counted() {
    let endpoint = Endpoint::script([ExportError::Partial { n_rejected: 2, source: "400".into() }]);
    let (sender, registry) = endpoint.sender(BACKOFF);
    let delivery = sender.deliver(&request(&["a", "b", "c"]), Some(Duration::ZERO)).await;
    assert_eq!(delivery, Delivery::Done);
    assert_eq!((endpoint.seen().len(), dropped(&registry, "partial"), sent(&registry)), (1, Some(2.0), 1.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_for_good_is_not_tried_again() {
    let endpoint = Endpoint::script([ExportError::never("redirected", "302")]);
    let (sender, registry) = endpoint.sender(BACKOFF);
    let delivery = sender.deliver(&request(&["a", "b"]), Some(Duration::ZERO)).await;
    assert!(matches!(delivery, Delivery::Never(text) if text.contains("302")));
    assert_eq!((endpoint.seen().len(), dropped(&registry, "redirected")), (1, Some(2.0)));
}

fn denied() -> ExportError {
    ExportError::Denied { reason: "unauthorized", source: "401".into() }
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_dropped_and_an_alarm_stands_until_something_is_taken() {
    let endpoint = Endpoint::script([denied(), ExportError::later("503")]);
    let (sender, registry) = endpoint.sender(BACKOFF);
    assert_eq!(value(&registry, "muster_exporter_denied"), 0.0);
    let delivery = sender.deliver(&request(&["a", "b"]), Some(Duration::ZERO)).await;
    assert!(matches!(delivery, Delivery::Never(_)));
    assert_eq!((endpoint.seen().len(), dropped(&registry, "unauthorized")), (1, Some(2.0)));
    assert_eq!(value(&registry, "muster_exporter_denied"), 1.0);
    let second = request(&["c"]);
    let delivering = sender.deliver(&second, Some(Duration::ZERO));
    let mut delivering = std::pin::pin!(delivering);
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut delivering).await.is_err());
    assert_eq!(value(&registry, "muster_exporter_denied"), 1.0, "503 does not tell");
    delivering.await;
    assert_eq!(value(&registry, "muster_exporter_denied"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_can_be_kept_and_is_tried_again_seldom() {
    let endpoint = Endpoint::script([denied(), denied()]);
    let keep_denied_for = Some(Duration::from_secs(3600));
    let (sender, registry) = endpoint.sender(Backoff { keep_denied_for, ..BACKOFF });
    assert_eq!(sender.deliver(&request(&["a"]), Some(Duration::ZERO)).await, Delivery::Done);
    assert_eq!(endpoint.seconds(), [0, 30, 60]);
    assert_eq!((dropped(&registry, "unauthorized"), sent(&registry)), (None, 1.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_kept_until_the_age_limit_and_no_longer() {
    let endpoint = Endpoint::at_once(|_| Err(denied()));
    let keep_denied_for = Some(Duration::from_secs(100));
    let (sender, registry) = endpoint.sender(Backoff { keep_denied_for, ..BACKOFF });
    let waited_before = Duration::from_secs(30);
    assert!(matches!(sender.deliver(&request(&["a"]), Some(waited_before)).await, Delivery::Never(_)));
    assert_eq!(endpoint.seconds(), [0, 30, 60]);
    assert_eq!(dropped(&registry, "unauthorized"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn while_access_is_denied_what_is_too_old_is_dropped_without_waiting_for_a_turn() {
    let endpoint = Endpoint::at_once(|_| Err(denied()));
    let keep_denied_for = Some(Duration::from_secs(100));
    let (sender, registry) = endpoint.sender(Backoff { keep_denied_for, ..BACKOFF });
    for _request in 0..50 {
        let delivery = sender.deliver(&request(&["a"]), Some(Duration::from_secs(101))).await;
        assert!(matches!(delivery, Delivery::Never(_)));
    }
    assert_eq!(endpoint.seconds(), [0], "one hears it from the endpoint, the others at once");
    assert_eq!(dropped(&registry, "unauthorized"), Some(50.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_not_kept_where_no_queue_can_hold_it() {
    let endpoint = Endpoint::at_once(|_| Err(denied()));
    let keep_denied_for = Some(Duration::from_secs(100));
    let (sender, _registry) = endpoint.sender(Backoff { keep_denied_for, ..BACKOFF });
    assert!(matches!(sender.deliver(&request(&["a"]), None).await, Delivery::Never(_)));
    assert_eq!(endpoint.seen().len(), 1);
}
