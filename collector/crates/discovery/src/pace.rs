//! How often a loop that follows changes goes round.
//!
//! After a rest the first change is taken up at once. While changes keep coming, those of [`SHORTEST`] are one round; a round that takes
//! long itself makes the next one wait longer, so that rounds take at most a quarter of the time whatever happens. Loops that
//! follow each other keep time: a round of the first one is followed by one of the second one, which has rested as long, so
//! that waits do not add up.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Shortest time from the beginning of one round to that of the next.
const SHORTEST: Duration = Duration::from_millis(10);

/// Longest wait after a round, however long that took.
const LONGEST: Duration = Duration::from_millis(250);

/// A round that took long is followed by a wait of so many times that.
const TIMES: u32 = 3;

/// When the next round may begin; the first one at once.
#[derive(Debug, Default)]
pub struct Pace {
    next: Option<Instant>,
}

impl Pace {
    /// A round that began at this time has ended now.
    pub fn ended(&mut self, began: Instant) {
        let now = Instant::now();
        let wait = (TIMES * now.saturating_duration_since(began)).min(LONGEST);
        self.next = Some((began + SHORTEST).max(now + wait));
    }

    /// Waits until the next round may begin.
    pub async fn rest(&self) {
        if let Some(next) = self.next {
            sleep_until(next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;
    use tokio::time::sleep;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Goes round for as long as changes come; each round takes so long. Gives back how long each change waited until a
    /// round that had seen it began, and the number of rounds.
    async fn follow(mut changes: watch::Receiver<Vec<Instant>>, takes: Duration) -> (Vec<Duration>, usize) {
        let (mut pace, mut waits, mut n_rounds) = (Pace::default(), Vec::new(), 0);
        while changes.changed().await.is_ok() {
            pace.rest().await;
            let began = Instant::now();
            let seen = changes.borrow_and_update().clone();
            waits.extend(seen[waits.len()..].iter().map(|at| began - *at));
            sleep(takes).await;
            n_rounds += 1;
            pace.ended(began);
        }
        (waits, n_rounds)
    }

    /// So many changes, one after each pause.
    async fn change(n: u32, pause: Duration, takes: Duration) -> (Vec<Duration>, usize) {
        let (sender, receiver) = watch::channel(Vec::new());
        let following = tokio::spawn(follow(receiver, takes));
        for _ in 0..n {
            sleep(pause).await;
            sender.send_modify(|all| all.push(Instant::now()));
        }
        sleep(2 * LONGEST + takes).await;
        drop(sender);
        following.await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_after_a_rest_is_taken_up_at_once() {
        let (waits, n_rounds) = change(20, 2 * SHORTEST, Duration::ZERO).await;
        assert_eq!(n_rounds, 20);
        assert!(waits.iter().all(|wait| *wait <= MS), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_changes_in_a_second_are_a_hundred_rounds() {
        let (waits, n_rounds) = change(1_000, MS, Duration::ZERO).await;
        assert!((90..=101).contains(&n_rounds), "{n_rounds}");
        assert_eq!(waits.len(), 1_000);
        assert!(waits.iter().all(|wait| *wait <= SHORTEST + MS), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_take_at_most_a_quarter_of_the_time() {
        let takes = 20 * MS;
        let (waits, n_rounds) = change(1_000, MS, takes).await;
        assert!((12..=14).contains(&n_rounds), "{n_rounds}");
        assert!(waits.iter().all(|wait| *wait <= 4 * takes + MS), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_very_long_round_is_not_followed_by_a_very_long_wait() {
        let takes = 5_000 * MS;
        let (waits, _) = change(3, takes, takes).await;
        assert!(waits.iter().all(|wait| *wait <= takes + LONGEST + MS), "{waits:?}");
    }
}
