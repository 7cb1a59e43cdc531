use std::sync::{Arc, Mutex};

use bytes::Bytes;
use model::Scrape;
use pipeline::Stop;
use wire::proto::{put_len, put_message};

use super::*;

/// A resource of logs with this many empty records.
fn logs(n_records: usize) -> model::Batch {
    let mut resource = Vec::new();
    put_message(&mut resource, 2, |scope| {
        for _ in 0..n_records {
            put_len(scope, 2, 0);
        }
    });
    model::Batch::Logs(Frames { resources: vec![Bytes::from(resource)], n_items: n_records })
}

/// What has left, and how many batches will still be refused.
type Left = (Vec<(u128, usize)>, usize);

/// What leaves, with milliseconds since the start; the first `n_refused` batches are refused.
async fn run(yaml: &str, batches: Vec<(u64, model::Batch)>, n_refused: usize) -> Vec<(u128, usize)> {
    let node = config::parse(yaml, "test.yaml").unwrap().root;
    let config = config::read::<Config>(&node, "processors::batch").unwrap();
    let processor = Batch::build(config, &Site::for_test("batch", Some(Signal::Logs))).unwrap();
    let left: Arc<Mutex<Left>> = Arc::new(Mutex::new((Vec::new(), n_refused)));
    let (shared, began) = (Arc::clone(&left), Instant::now());
    let out = Outlet::for_test(move |batch| {
        let mut left = shared.lock().unwrap();
        if left.1 > 0 {
            left.1 -= 1;
            return Err(Refused::NotDelivered { reason: "scripted".to_owned() });
        }
        left.0.push((began.elapsed().as_millis(), batch.n_items()));
        Ok(())
    });
    let batches = batches.into_iter().map(|(wait, batch)| (Duration::from_millis(wait), batch)).collect();
    processor.run(Inlet::for_test(batches), out, Life::for_test("batch", &Stop::new())).await;
    let left = left.lock().unwrap();
    left.0.clone()
}

#[tokio::test(start_paused = true)]
async fn items_wait_for_others_until_the_size_or_the_timeout() {
    let batches = vec![(0, logs(3)), (100, logs(3)), (50, logs(6)), (10, logs(2)), (900, logs(1))];
    let left = run("{send_batch_size: 10, timeout: 200ms}", batches, 0).await;
    assert_eq!(left, [(150, 12), (360, 2), (1060, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_forwards_at_once() {
    let left = run("{timeout: 0s}", vec![(0, logs(1)), (5, logs(2))], 0).await;
    assert_eq!(left, [(0, 1), (5, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_cut_exactly_at_its_largest_size() {
    let left = run("{send_batch_size: 4, send_batch_max_size: 4}", vec![(0, logs(7)), (1, logs(2))], 0).await;
    assert_eq!(left.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [4, 4, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_offered_again_and_not_lost() {
    let left = run("{timeout: 0s}", vec![(0, logs(1)), (0, logs(2))], 2).await;
    assert_eq!(left, [(400, 1), (400, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_scrape_passes_at_once() {
    let left = run("{}", vec![(0, logs(1)), (5, model::Batch::from_scrape(Scrape::default()))], 0).await;
    assert_eq!(left, [(5, 0), (5, 1)]);
}
