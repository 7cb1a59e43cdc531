//! Turns on a clock that is driven.

use super::*;

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    randomization: 0.0,
    multiplier: 2.0,
    max: Duration::from_secs(8),
    ..Backoff::HELPER
};

fn pace(allowed: usize) -> Pace {
    Pace::new(BACKOFF, allowed)
}

/// Whether a turn is to be had without time passing.
async fn is_free(pace: &Pace) -> bool {
    tokio::time::timeout(Duration::ZERO, pace.turn()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn as_many_turns_as_are_allowed_are_taken_at_once() {
    let pace = pace(2);
    let first = pace.turn().await;
    let _second = pace.turn().await;
    assert!(!is_free(&pace).await);
    first.answered(1);
    assert!(is_free(&pace).await);
    pace.allow(1);
    assert!(!is_free(&pace).await);
}

#[tokio::test(start_paused = true)]
async fn while_the_endpoint_fails_there_is_one_turn_at_a_time_and_waits_grow() {
    let pace = pace(5);
    let mut waits = Vec::new();
    for _attempt in 0..5 {
        let asked = Instant::now();
        let turn = pace.turn().await;
        waits.push(asked.elapsed().as_secs());
        assert!(waits.len() == 1 || !is_free(&pace).await);
        turn.failed(None);
    }
    assert_eq!(waits, [0, 1, 2, 4, 8]);
    let turn = pace.turn().await;
    assert!(!is_free(&pace).await);
    turn.answered(1);
    let _all: Vec<Turn<'_>> = [pace.turn().await, pace.turn().await, pace.turn().await].into();
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_together_fails_once() {
    let pace = pace(3);
    let turns = [pace.turn().await, pace.turn().await, pace.turn().await];
    tokio::time::advance(Duration::from_secs(1)).await;
    for turn in turns {
        assert!(turn.failed(None).is_first);
    }
    let asked = Instant::now();
    assert!(!pace.turn().await.failed(None).is_first);
    assert_eq!(asked.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_endpoint_asks_for_holds_for_everybody() {
    let pace = pace(3);
    pace.turn().await.failed(Some(Duration::from_secs(60)));
    let asked = Instant::now();
    let _turn = pace.turn().await;
    assert_eq!(asked.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn the_tally_holds_what_was_answered_and_is_taken_once() {
    let pace = pace(3);
    let turn = pace.turn().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    turn.answered(7);
    pace.turn().await.failed(None);
    assert_eq!(pace.take_tally(), Tally { n_items: 7, busy: Duration::from_secs(2), n_failed: 1 });
    assert_eq!(pace.take_tally(), Tally::default());
}
