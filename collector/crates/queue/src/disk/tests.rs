//! What is safe, what is sent again, what is dropped. The model in `model` states it for any order of events.

mod model;

use ::model::{Signal, Timestamp};
use bytes::Bytes;
use telemetry::Registry;

use super::*;
use crate::Head;
use crate::storage::faulty::Faulty;

/// Small sizes, so that little data meets every limit.
pub(crate) const SMALL: LogOptions = LogOptions { segment_bytes: 600, max_bytes: 1 << 20, slot_bytes: 256 };

/// Made once, because thousands of queues are opened here.
static METERS: std::sync::OnceLock<Meters> = std::sync::OnceLock::new();

pub(crate) fn options() -> DiskOptions {
    DiskOptions {
        owner: "exporter `test`".to_owned(),
        max_bytes: 1 << 20,
        max_age: None,
        memory_bytes: 1 << 20,
        max_memory_bytes: 1 << 20,
        meters: METERS.get_or_init(|| Meters::new(&Registry::new().scope(), &[("exporter", "test")])).clone(),
    }
}

/// A request of two items that says its number by its time and its payload.
pub(crate) fn request(number: u64, n_bytes: usize) -> Request {
    let at = Timestamp(number.cast_signed());
    let head = Head { signal: Signal::Metrics, n_items: 2, oldest: at, newest: at, format: 1 };
    Request { payload: payload(number, n_bytes), head }
}

pub(crate) fn payload(number: u64, n_bytes: usize) -> Bytes {
    (0..n_bytes).map(|index| (number as usize * 31 + index * 7) as u8).collect()
}

pub(crate) fn number(request: &Request) -> u64 {
    request.head.oldest.millis().cast_unsigned()
}

fn open(disk: &Faulty, n_shards: usize, options: DiskOptions) -> Queue {
    Queue::open_with(n_shards, Limits::default(), Arc::new(disk.clone()), options, SMALL, Timestamp(0))
        .unwrap()
}

/// Everything that can be popped now, which counts as sent.
async fn sent(queue: &Queue) -> Vec<u64> {
    let mut sent = Vec::new();
    loop {
        let before = sent.len();
        for shard in 0..queue.n_shards() {
            while let Some(taken) = queue.take(shard) {
                let Some(taken) = (if taken.is_resident() { Some(taken) } else { queue.load(taken).await })
                else {
                    continue;
                };
                assert_eq!(taken.payload, payload(number(&taken), taken.payload.len()));
                sent.push(number(&taken));
                taken.done();
            }
        }
        if sent.len() == before {
            return sent;
        }
    }
}

fn adds_up(queue: &Queue) {
    let tally = queue.tally();
    let left = queue.sizes().items;
    let dropped: u64 = tally.dropped.iter().sum();
    assert_eq!(tally.pushed + tally.found, tally.done + dropped + left, "{tally:?} {left}");
}

#[tokio::test]
async fn what_was_not_sent_is_there_again_and_is_sent_once() {
    let disk = Faulty::default();
    let queue = open(&disk, 2, options());
    for n in 0..20 {
        queue.push(n as usize % 2, request(n, 40)).unwrap();
    }
    assert!(queue.save_all().await);
    for _ in 0..3 {
        queue.pop(0).await.unwrap().done();
    }
    assert!(queue.save_all().await);
    drop(queue);
    disk.crash(|_| 0);
    let queue = open(&disk, 2, options());
    assert_eq!(queue.len(), 17);
    let sent = sent(&queue).await;
    assert_eq!(sent, [6, 8, 10, 12, 14, 16, 18, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    adds_up(&queue);
    assert!(queue.save_all().await);
    assert_eq!(disk.names(".seg"), Vec::<String>::new(), "segments that are done are gone");
    drop(queue);
    assert!(open(&disk, 2, options()).is_empty());
}

#[tokio::test]
async fn what_is_acknowledged_before_it_is_saved_never_touches_the_disk() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, options());
    for n in 0..10 {
        queue.push(0, request(n, 40)).unwrap();
        queue.pop(0).await.unwrap().done();
    }
    queue.run_round(Round::Save).await;
    assert_eq!(disk.names(".seg"), Vec::<String>::new());
    adds_up(&queue);
}

#[tokio::test(start_paused = true)]
async fn the_keeper_saves_within_200_ms_and_notes_what_is_done_at_once() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, options());
    let keeper = tokio::spawn({
        let queue = queue.clone();
        async move { queue.keep().await }
    });
    tokio::time::sleep(Duration::from_millis(1234)).await;
    for n in 0..3 {
        queue.push(0, request(n, 40)).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(170)).await;
    queue.pop(0).await.unwrap().done();
    tokio::time::sleep(Duration::from_millis(1)).await;
    keeper.abort();
    // The process dies, the disk does not.
    disk.crash(|n| n);
    drop(queue);
    assert_eq!(sent(&open(&disk, 1, options())).await, [1, 2]);
}

#[tokio::test]
async fn payloads_leave_memory_when_it_is_crowded_and_come_back_in_order() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, DiskOptions { memory_bytes: 100, ..options() });
    for n in 0..50 {
        queue.push(0, request(n, 40)).unwrap();
    }
    assert_eq!(queue.memory_bytes(), 2000);
    assert!(queue.save_all().await);
    assert!(queue.memory_bytes() <= 140, "{}", queue.memory_bytes());
    assert_eq!(sent(&queue).await, (0..50).collect::<Vec<_>>());
    assert_eq!(queue.memory_bytes(), 0);
    adds_up(&queue);
}

#[tokio::test]
async fn a_full_disk_means_memory_alone_up_to_its_limit_and_heals() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, DiskOptions { max_memory_bytes: 400, ..options() });
    disk.fail(|faults| faults.is_full = true);
    for n in 0..12 {
        queue.push(0, request(n, 40)).unwrap();
        queue.run_round(Round::Save).await;
        tokio::time::sleep(MIN_AGE).await;
    }
    queue.run_round(Round::Save).await;
    assert_eq!(queue.is_disk_usable(), Some(false));
    assert_eq!(queue.tally().dropped[Dropped::MaxMemoryBytes as usize], 4, "two requests of two items");
    disk.fail(|faults| faults.is_full = false);
    queue.inner.lock().on_disk.trouble.as_mut().unwrap().1 = Instant::now();
    queue.run_round(Round::Save).await;
    assert_eq!(queue.is_disk_usable(), Some(true));
    drop(queue);
    disk.crash(|_| 0);
    let queue = open(&disk, 1, options());
    assert_eq!(sent(&queue).await, (2..12).collect::<Vec<_>>());
    adds_up(&queue);
}

#[tokio::test]
async fn the_reserve_takes_what_is_in_memory_when_a_full_disk_ends() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, options());
    disk.fail(|faults| faults.is_full = true);
    for n in 0..6 {
        queue.push(0, request(n, 40)).unwrap();
    }
    queue.run_round(Round::Save).await;
    assert!(queue.save_all().await, "two segments of 600 bytes are kept in reserve");
    drop(queue);
    disk.crash(|_| 0);
    // It also starts on the full disk.
    disk.fail(|faults| faults.is_full = true);
    let queue = open(&disk, 1, options());
    assert_eq!(sent(&queue).await, [0, 1, 2, 3, 4, 5]);
    disk.fail(|faults| faults.is_full = false);
    assert!(queue.save_all().await);
    assert_eq!(
        disk.names("0").len() + disk.names("1").len(),
        2,
        "the reserve is there again: {:?}",
        disk.names("")
    );
}

#[tokio::test]
async fn the_oldest_are_dropped_when_max_bytes_is_met() {
    let disk = Faulty::default();
    let log = LogOptions { max_bytes: 1800, ..SMALL };
    let queue = Queue::open_with(1, Limits::default(), Arc::new(disk), options(), log, Timestamp(0)).unwrap();
    for n in 0..20 {
        queue.push(0, request(n, 40)).unwrap();
        assert!(queue.save_all().await);
    }
    adds_up(&queue);
    let dropped = queue.tally().dropped[Dropped::MaxBytes as usize] / 2;
    assert!(dropped >= 8, "{dropped} of 20 requests of 128 bytes were dropped for 1800 bytes");
    assert_eq!(sent(&queue).await, (dropped..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_max_age_is_dropped_also_over_a_restart() {
    let disk = Faulty::default();
    let aged = DiskOptions { max_age: Some(Duration::from_secs(60)), ..options() };
    let queue = open(&disk, 1, aged.clone());
    queue.push(0, request(0, 40)).unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    queue.push(0, request(1, 40)).unwrap();
    let wall = Timestamp(1_000_000);
    queue.inner.round(Round::Last, Instant::now(), wall);
    drop(queue);
    let later = Timestamp(wall.millis() + 25_000);
    let queue =
        Queue::open_with(1, Limits::default(), Arc::new(disk.clone()), aged.clone(), SMALL, later).unwrap();
    assert_eq!(queue.oldest_age(), Some(Duration::from_secs(65)));
    queue.inner.round(Round::Save, Instant::now(), later);
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.tally().dropped[Dropped::MaxAge as usize], 2);
    adds_up(&queue);
    drop(queue);
    let before = Timestamp(wall.millis() - 3_600_000);
    let queue = Queue::open_with(1, Limits::default(), Arc::new(disk), aged, SMALL, before).unwrap();
    assert_eq!(
        queue.oldest_age(),
        Some(Duration::ZERO),
        "a clock that went back makes nothing younger than now"
    );
}

#[tokio::test]
async fn another_number_of_shards_sends_what_was_left_before_anything_new() {
    let disk = Faulty::default();
    let queue = open(&disk, 5, options());
    for n in 0..10 {
        queue.push(n as usize % 5, request(n, 40)).unwrap();
    }
    assert!(queue.save_all().await);
    drop(queue);
    let queue = open(&disk, 2, options());
    queue.push(1, request(10, 40)).unwrap();
    let shards: Vec<Vec<u64>> = vec![vec![0, 2, 4, 5, 7, 9], vec![1, 3, 6, 8]];
    let held = queue.pop(0).await.unwrap();
    for (shard, line) in shards.iter().enumerate() {
        for expected in line.iter().filter(|n| **n != 0) {
            let taken = queue.pop(shard).await.unwrap();
            assert_eq!(number(&taken), *expected);
            taken.done();
        }
    }
    assert!(queue.take(1).is_none(), "number 0 is still under way");
    held.done();
    assert_eq!(number(&queue.pop(1).await.unwrap()), 10);
}

#[tokio::test]
async fn a_damaged_payload_costs_its_request_and_no_other() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, options());
    for n in 0..9 {
        queue.push(0, request(n, 40)).unwrap();
    }
    assert!(queue.save_all().await);
    drop(queue);
    let second = disk.names(".seg")[1].clone();
    disk.damage(&second, |bytes| bytes[100] ^= 4);
    let queue = open(&disk, 1, options());
    assert_eq!(sent(&queue).await, [0, 1, 2, 3, 5, 6, 7, 8]);
    assert_eq!(queue.tally().dropped[Dropped::Damaged as usize], 2);
    adds_up(&queue);
}

#[tokio::test]
async fn damaged_headers_and_missing_segments_are_counted_from_their_neighbours() {
    for (what, expected) in [("header", vec![0, 1, 2, 3, 5, 6, 7, 8]), ("segment", vec![0, 1, 2, 3, 8])] {
        let disk = Faulty::default();
        let queue = open(&disk, 1, options());
        for n in 0..9 {
            queue.push(0, request(n, 40)).unwrap();
        }
        assert!(queue.save_all().await);
        drop(queue);
        let second = disk.names(".seg")[1].clone();
        match what {
            "header" => disk.damage(&second, |bytes| bytes[20] ^= 4),
            _ => disk.lose(&second),
        }
        let queue = open(&disk, 1, options());
        assert_eq!(
            queue.tally().dropped[Dropped::Damaged as usize],
            2 * (9 - expected.len() as u64),
            "{what}"
        );
        assert_eq!(sent(&queue).await, expected);
        adds_up(&queue);
        assert!(queue.save_all().await);
        drop(queue);
        assert_eq!(open(&disk, 1, options()).tally(), Tally::default(), "a loss is told once");
    }
}

#[tokio::test]
async fn a_cut_off_end_is_missed_because_the_cursor_knows_of_it() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, options());
    for n in 0..4 {
        queue.push(0, request(n, 40)).unwrap();
    }
    assert!(queue.save_all().await);
    drop(queue);
    let segment = disk.names(".seg")[0].clone();
    disk.damage(&segment, |bytes| bytes[256..].fill(0));
    let queue = open(&disk, 1, options());
    assert_eq!(queue.tally().dropped[Dropped::Damaged as usize], 4);
    assert_eq!(sent(&queue).await, [0, 1]);
    adds_up(&queue);
}

#[tokio::test]
async fn a_failed_sync_is_not_trusted_and_order_is_kept_over_a_restart() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, options());
    for n in 0..6 {
        queue.push(0, request(n, 40)).unwrap();
    }
    // Four fit into the first segment, whose sync fails; the others are safe in the second.
    disk.fail(|faults| faults.failing_syncs = 1);
    queue.inner.round(Round::Last, Instant::now(), Timestamp(0));
    assert_eq!(queue.inner.lock().on_disk.unsaved.len(), 4);
    queue.inner.round(Round::Last, Instant::now(), Timestamp(0));
    assert!(queue.inner.lock().on_disk.unsaved.is_empty());
    drop(queue);
    disk.crash(|_| 0);
    let queue = open(&disk, 1, options());
    assert_eq!(sent(&queue).await, [0, 1, 2, 3, 4, 5]);
    adds_up(&queue);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_cannot_be_read_for_a_while_loses_nothing() {
    let disk = Faulty::default();
    let queue = open(&disk, 1, options());
    queue.push(0, request(0, 40)).unwrap();
    assert!(queue.save_all().await);
    drop(queue);
    let queue = open(&disk, 1, options());
    disk.fail(|faults| faults.failing_reads = 2);
    assert_eq!(sent(&queue).await, [0]);
    adds_up(&queue);
}

/// Two targets in turn, each with the same series in every scrape.
async fn scrapes(disk: &Faulty, n: u64) -> Vec<Bytes> {
    let log = LogOptions { segment_bytes: 1 << 20, ..SMALL };
    let storage = Arc::new(disk.clone());
    let queue = Queue::open_with(1, Limits::default(), storage, options(), log, Timestamp(0)).unwrap();
    let payloads: Vec<Bytes> =
        (0..n).map(|turn| crate::log::pack::tests::scrape(100 + turn % 2 * 10, turn / 2).into()).collect();
    for (turn, payload) in (0..).zip(&payloads) {
        queue.push(0, Request { payload: payload.clone(), ..request(turn, 0) }).unwrap();
    }
    assert!(queue.save_all().await);
    assert!(queue.disk_bytes() < n * 1000, "{} bytes", queue.disk_bytes());
    payloads
}

async fn read_back(disk: &Faulty) -> (Vec<(u64, Bytes)>, Tally) {
    let queue = open(disk, 1, options());
    let mut read = Vec::new();
    loop {
        let Some(taken) = queue.take(0) else { break };
        let Some(taken) = queue.load(taken).await else { continue };
        read.push((number(&taken), taken.payload.clone()));
        taken.done();
    }
    adds_up(&queue);
    (read, queue.tally())
}

#[tokio::test]
async fn packed_requests_come_back_byte_for_byte() {
    let disk = Faulty::default();
    let payloads = scrapes(&disk, 80).await;
    let (read, _) = read_back(&disk).await;
    assert_eq!(read, (0..).zip(payloads).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_damaged_base_costs_those_that_lean_on_it_and_no_others() {
    let disk = Faulty::default();
    let payloads = scrapes(&disk, 12).await;
    // The first frame of the segment is the base of all scrapes of the first target.
    disk.damage(&disk.names(".seg")[0], |bytes| bytes[200] ^= 1);
    let (read, tally) = read_back(&disk).await;
    let second: Vec<(u64, Bytes)> = (0..).zip(payloads).filter(|(turn, _)| turn % 2 == 1).collect();
    assert_eq!(read, second);
    assert_eq!(tally.dropped[Dropped::Damaged as usize], 6 * 2);
}
