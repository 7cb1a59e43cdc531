//! What is tried again, when, and for how long.

use super::*;

fn later(after: Option<u64>) -> ExportError {
    ExportError::Later { after: after.map(Duration::from_secs), source: "503".into() }
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_tried_again_with_growing_waits() {
    let endpoint = Endpoint::script([later(None), later(None), later(None)]);
    let (sender, registry) = endpoint.sender(BACKOFF);
    assert_eq!(sender.deliver(&request(&["a"]), Some(Duration::ZERO)).await, Delivery::Done);
    assert_eq!(endpoint.seconds(), [0, 1, 3, 7]);
    assert_eq!(value(&registry, "muster_exporter_retries_total"), 3.0);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_up_to_max_retry_after() {
    let endpoint = Endpoint::script([later(Some(20)), later(Some(7200))]);
    let backoff = Backoff { max_retry_after: Duration::from_secs(60), ..BACKOFF };
    let (sender, _registry) = endpoint.sender(backoff);
    assert_eq!(sender.deliver(&request(&["a"]), Some(Duration::ZERO)).await, Delivery::Done);
    assert_eq!(endpoint.seconds(), [0, 20, 80]);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_given_up_when_the_retry_time_is_over_and_counted() {
    let endpoint = Endpoint::at_once(|_| Err(later(None)));
    let backoff = Backoff { max_elapsed: Some(Duration::from_secs(6)), ..BACKOFF };
    let (sender, registry) = endpoint.sender(backoff);
    let delivery = sender.deliver(&request(&["a", "b"]), Some(Duration::from_secs(1000))).await;
    assert!(matches!(delivery, Delivery::GivenUp(text) if text.contains("503")));
    assert_eq!(endpoint.seconds(), [0, 1, 3], "time in the queue does not count");
    assert_eq!(dropped(&registry, "retry_limit"), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn without_retries_one_attempt_is_made_and_nobody_waits_for_it() {
    let endpoint = Endpoint::script([later(None)]);
    let (sender, registry) = endpoint.sender(Backoff { enabled: false, ..BACKOFF });
    assert!(matches!(sender.deliver(&request(&["a"]), None).await, Delivery::GivenUp(_)));
    assert_eq!(sender.deliver(&request(&["b"]), None).await, Delivery::Done);
    assert_eq!(endpoint.seconds(), [0, 0]);
    assert_eq!(dropped(&registry, "retry_limit"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_ends_with_the_timeout() {
    let endpoint = Endpoint::new(|_| (Duration::from_secs(3600), Ok(())));
    let (mut sender, _registry) = endpoint.sender(Backoff { enabled: false, ..BACKOFF });
    sender.sending.timeout = Some(Duration::from_secs(5));
    let delivery = sender.deliver(&request(&["a"]), None).await;
    assert_eq!(delivery, Delivery::GivenUp("not accepted now: no answer within timeout (5s)".to_owned()));
}
