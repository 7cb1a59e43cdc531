//! Order, counting, waiting and the end of a queue; a model of plain lists checks order and counts.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use model::{Signal, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{Full, Head, Limits, Request, Sizer, TooLarge};

/// A request that carries its own name as payload.
fn request(name: &str, n_items: u64) -> Request {
    let at = Timestamp::default();
    let head = Head { signal: Signal::Metrics, n_items, oldest: at, newest: at, format: 0 };
    Request { payload: Bytes::copy_from_slice(name.as_bytes()), head }
}

fn name(request: &Request) -> String {
    String::from_utf8(request.payload.to_vec()).unwrap()
}

fn of_requests(size: u64) -> Queue {
    Queue::new(1, Limits::of(Sizer::Requests, size))
}

fn names(rest: &[Request]) -> Vec<String> {
    rest.iter().map(name).collect()
}

#[tokio::test]
async fn requests_leave_in_the_order_in_which_they_came() {
    let queue = of_requests(10);
    for text in ["a", "b", "c"] {
        queue.push(0, request(text, 1)).unwrap();
    }
    for text in ["a", "b", "c"] {
        let taken = queue.pop(0).await.unwrap();
        assert_eq!(name(&taken), text);
        taken.done();
    }
    assert!(queue.is_empty());
}

#[test]
fn what_is_in_flight_counts_until_it_is_acknowledged() {
    let queue = of_requests(1);
    queue.push(0, request("a", 1)).unwrap();
    let taken = queue.take(0).unwrap();
    let refused = queue.push(0, request("b", 1)).unwrap_err();
    assert_eq!(refused.reason, Reason::Full(Full { sizer: Sizer::Requests, used: 1, limit: 1 }));
    assert_eq!(refused.to_string(), "sending queue is full: 1 of 1 requests");
    assert_eq!(name(&refused.item), "b");
    assert_eq!(queue.sizes(), Sizes { requests: 1, items: 1, bytes: 1, in_flight: 1 });
    taken.done();
    queue.push(0, refused.item).unwrap();
}

#[test]
fn each_limit_is_named_when_it_is_met() {
    let queue = Queue::new(1, Limits::of(Sizer::Items, 10).and(Sizer::Bytes, 5));
    queue.push(0, request("abc", 4)).unwrap();
    let by_items = queue.push(0, request("d", 7)).unwrap_err();
    assert_eq!(by_items.to_string(), "sending queue is full: 4 of 10 items");
    let by_bytes = queue.push(0, request("def", 1)).unwrap_err();
    assert_eq!(by_bytes.to_string(), "sending queue is full: 3 of 5 bytes");
}

#[tokio::test]
async fn a_request_that_can_never_fit_is_refused_without_waiting() {
    let queue = Queue::new(1, Limits::of(Sizer::Items, 10));
    let refused = queue.push_wait(0, request("a", 11)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::TooLarge(TooLarge { sizer: Sizer::Items, size: 11, limit: 10 }));
    assert_eq!(refused.to_string(), "request is larger than the whole sending queue: 11 of 10 items");
}

#[test]
fn what_is_given_back_returns_to_its_old_place() {
    let queue = of_requests(10);
    for text in ["a", "b", "c", "d"] {
        queue.push(0, request(text, 1)).unwrap();
    }
    let first = queue.take(0).unwrap();
    let second = queue.take(0).unwrap();
    let third = queue.take(0).unwrap();
    third.retry();
    first.retry();
    drop(second);
    assert_eq!(names(&queue.take_rest()), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_cancelled_consumer_loses_nothing() {
    let queue = of_requests(10);
    queue.push(0, request("a", 1)).unwrap();
    let consumer = tokio::spawn({
        let queue = queue.clone();
        async move {
            let _taken = queue.pop(0).await;
            std::future::pending::<()>().await;
        }
    });
    while queue.sizes().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    consumer.abort();
    assert!(consumer.await.unwrap_err().is_cancelled());
    assert_eq!(name(&queue.pop(0).await.unwrap()), "a");
}

#[tokio::test]
async fn a_cancelled_wait_leaves_the_queue_to_the_others() {
    let queue = of_requests(10);
    {
        let mut given_up = std::pin::pin!(queue.pop(0));
        assert!(futures_now(given_up.as_mut()).await.is_none());
    }
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.pop(0).await.map(|taken| name(&taken)) }
    });
    tokio::task::yield_now().await;
    queue.push(0, request("a", 1)).unwrap();
    assert_eq!(waiting.await.unwrap().as_deref(), Some("a"));
}

/// Polls once.
async fn futures_now<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn several_requests_wake_several_consumers_of_one_shard() {
    let queue = of_requests(10);
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.pop(0).await.map(InFlight::done).is_some() })
        })
        .collect();
    tokio::task::yield_now().await;
    for text in ["a", "b", "c"] {
        queue.push(0, request(text, 1)).unwrap();
    }
    for consumer in consumers {
        assert!(consumer.await.unwrap());
    }
    assert!(queue.is_empty());
}

#[tokio::test]
async fn producers_wait_for_room_in_the_order_in_which_they_came() {
    let queue = Queue::new(1, Limits::of(Sizer::Items, 10));
    queue.push(0, request("first", 10)).unwrap();
    let mut producers = Vec::new();
    for (text, n_items) in [("large", 10), ("small", 1)] {
        let queue = queue.clone();
        producers.push(tokio::spawn(async move { queue.push_wait(0, request(text, n_items)).await }));
        tokio::task::yield_now().await;
    }
    for text in ["first", "large", "small"] {
        let taken = queue.pop(0).await.unwrap();
        assert_eq!(name(&taken), text);
        taken.done();
    }
    for producer in producers {
        producer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn closing_refuses_producers_that_wait_and_frees_idle_consumers() {
    let queue = of_requests(1);
    queue.push(0, request("a", 1)).unwrap();
    let producer = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push_wait(0, request("b", 1)).await }
    });
    tokio::task::yield_now().await;
    queue.close();
    let refused = producer.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Closed);
    let taken = queue.pop(0).await.unwrap();
    assert_eq!(name(&taken), "a");
    taken.done();
    assert!(queue.pop(0).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_everything_is_acknowledged() {
    let queue = of_requests(10);
    for text in ["a", "b"] {
        queue.push(0, request(text, 1)).unwrap();
    }
    let consumer = tokio::spawn({
        let queue = queue.clone();
        async move {
            while let Some(taken) = queue.pop(0).await {
                tokio::time::sleep(Duration::from_secs(1)).await;
                taken.done();
            }
        }
    });
    let begun = Instant::now();
    assert!(queue.drain(Duration::from_secs(60)).await.is_empty());
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    consumer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_runs_out_of_time_returns_what_nobody_holds() {
    let queue = of_requests(10);
    for text in ["a", "b", "c"] {
        queue.push(0, request(text, 1)).unwrap();
    }
    let held = queue.take(0).unwrap();
    let rest = queue.drain(Duration::from_secs(5)).await;
    assert_eq!(names(&rest), ["b", "c"]);
    assert!(queue.pop(0).await.is_none());
    assert_eq!(queue.sizes(), Sizes { requests: 1, items: 1, bytes: 1, in_flight: 1 });
    held.retry();
    assert_eq!(names(&queue.take_rest()), ["a"]);
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_age_sees_what_is_in_flight() {
    let queue = of_requests(10);
    assert_eq!(queue.oldest_age(), None);
    queue.push(0, request("a", 1)).unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    queue.push(0, request("b", 1)).unwrap();
    let taken = queue.take(0).unwrap();
    assert_eq!(taken.age(), Duration::from_secs(3));
    assert_eq!(queue.oldest_age(), Some(Duration::from_secs(3)));
    taken.done();
    assert_eq!(queue.oldest_age(), Some(Duration::ZERO));
}

#[derive(Clone, Debug)]
enum Step {
    Push { shard: usize, n_items: u64, n_bytes: usize },
    Pop { shard: usize },
    Done { which: usize },
    Retry { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 0..5_u64, 0..5_usize)
            .prop_map(|(shard, n_items, n_bytes)| Step::Push { shard, n_items, n_bytes }),
        3 => (0..3_usize).prop_map(|shard| Step::Pop { shard }),
        2 => (0..8_usize).prop_map(|which| Step::Done { which }),
        1 => (0..8_usize).prop_map(|which| Step::Retry { which }),
    ]
}

/// Number, items, bytes of a request as the model knows it.
type Known = (u64, u64, u64);

#[derive(Default)]
struct Model {
    shards: [VecDeque<Known>; 3],
    held: Vec<(usize, Known)>,
    pushed: u64,
}

impl Model {
    fn sizes(&self) -> Sizes {
        let all = || self.shards.iter().flatten().chain(self.held.iter().map(|(_, known)| known));
        Sizes {
            requests: all().count() as u64,
            items: all().map(|known| known.1).sum(),
            bytes: all().map(|known| known.2).sum(),
            in_flight: self.held.len() as u64,
        }
    }
}

/// A request that says its number by its time.
fn numbered((number, n_items, n_bytes): Known) -> Request {
    let at = Timestamp(number.cast_signed());
    let head = Head { signal: Signal::Metrics, n_items, oldest: at, newest: at, format: 0 };
    Request { payload: vec![0; n_bytes as usize].into(), head }
}

fn known(request: &Request) -> Known {
    (request.head.oldest.millis().cast_unsigned(), request.head.n_items, request.payload.len() as u64)
}

proptest! {
    #[test]
    fn order_and_counts_are_those_of_plain_lists(steps in proptest::collection::vec(step(), 0..200)) {
        let limits = Limits { requests: Some(12), items: Some(30), bytes: Some(30) };
        let queue = Queue::new(3, limits);
        let mut model = Model::default();
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Push { shard, n_items, n_bytes } => {
                    let known = (model.pushed, n_items, n_bytes as u64);
                    let used = model.sizes();
                    let fits = used.requests < 12 && used.items + known.1 <= 30 && used.bytes + known.2 <= 30;
                    prop_assert_eq!(queue.push(shard, numbered(known)).is_ok(), fits);
                    if fits {
                        model.shards[shard].push_back(known);
                        model.pushed += 1;
                    }
                }
                Step::Pop { shard } => {
                    let taken = queue.take(shard);
                    let expected = model.shards[shard].pop_front();
                    prop_assert_eq!(taken.as_ref().map(|taken| self::known(taken)), expected);
                    if let (Some(taken), Some(known)) = (taken, expected) {
                        held.push(taken);
                        model.held.push((shard, known));
                    }
                }
                Step::Done { which } if which < held.len() => {
                    held.remove(which).done();
                    model.held.remove(which);
                }
                Step::Retry { which } if which < held.len() => {
                    held.remove(which).retry();
                    let (shard, known) = model.held.remove(which);
                    model.shards[shard].push_back(known);
                    model.shards[shard].make_contiguous().sort_unstable();
                }
                Step::Done { .. } | Step::Retry { .. } => {}
            }
            prop_assert_eq!(queue.sizes(), model.sizes());
        }
        drop(held);
        let rest: Vec<_> = queue.take_rest().into_iter().map(|request| known(&request).0).collect();
        let mut expected: Vec<_> = model.shards.iter().flatten().map(|known| known.0).collect();
        expected.extend(model.held.iter().map(|(_, known)| known.0));
        expected.sort_unstable();
        prop_assert_eq!(rest, expected);
        prop_assert!(queue.is_empty());
    }
}
