//! When a target is ours, while an allocator hands it from one scraper to another.

use std::time::Duration;

use model::{Labels, Timestamp};

/// How long after an open turn scrapes are held back. Whoever has heard nothing by then takes the target for its own, because rather
/// it is scraped twice than not at all.
pub const LONGEST_DOUBT: Duration = Duration::from_secs(120);

/// The time in which a target is ours, while an allocator hands it from one scraper to another: a scrape that is due
/// outside of it is somebody else's. Without a handover it is ours always.
///
/// The allocator says it in the labels `__meta_muster_from` and `__meta_muster_until`, in milliseconds since the Unix
/// epoch, and in `__meta_muster_open`. They are no part of the identity, and who does not know them overlooks them.
///
/// A turn is open until the allocator knows that both scrapers have heard of it. An allocator that goes away while it is open
/// may have told one of them alone. So from an open turn on each of them scrapes and holds back what it scraped, until the allocator
/// is back and says whose it was: that one sends it, the other forgets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The first moment after it.
    pub until: Option<Timestamp>,
    /// Whether the other side may not know of it.
    pub is_open: bool,
}

/// Whose a scrape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Ours,
    /// Another scraper makes it.
    Theirs,
    /// Nobody can know yet: it is made and held back.
    Open,
}

impl Turn {
    /// As the labels of a target before relabelling say.
    #[must_use]
    pub fn of(discovered: &Labels) -> Self {
        let moment = |name: &str| discovered.get(name)?.parse().ok().map(Timestamp);
        Self {
            from: moment("__meta_muster_from"),
            until: moment("__meta_muster_until"),
            is_open: discovered.get("__meta_muster_open").is_some(),
        }
    }

    /// Whose the scrape is that is due, or was due, at a time. With `now`, doubt ends after [`LONGEST_DOUBT`].
    #[must_use]
    pub fn claim(&self, due: Timestamp, now: Timestamp) -> Claim {
        if let Some(turn) = self.from.or(self.until).filter(|turn| self.is_open && due >= *turn) {
            let doubted = now.millis().saturating_sub(turn.millis());
            let is_over = u128::try_from(doubted).is_ok_and(|doubted| doubted >= LONGEST_DOUBT.as_millis());
            return if is_over { Claim::Ours } else { Claim::Open };
        }
        let has_begun = self.from.is_none_or(|from| due >= from);
        let has_ended = self.until.is_some_and(|until| due >= until);
        if has_begun && !has_ended { Claim::Ours } else { Claim::Theirs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::labels;

    /// Whose scrapes before the turn, at it, and two minutes later are, each at the time when it is due.
    fn claims(told: &[(&str, &str)]) -> [Claim; 3] {
        let turn = Turn::of(&labels(told));
        [999, 1_000, 121_000].map(|at| turn.claim(Timestamp(at), Timestamp(at)))
    }

    #[test]
    fn a_turn_divides_time_between_two_scrapers() {
        use Claim::{Ours, Theirs};
        assert_eq!(claims(&[]), [Ours, Ours, Ours]);
        assert_eq!(claims(&[("__meta_muster_until", "1000")]), [Ours, Theirs, Theirs]);
        assert_eq!(claims(&[("__meta_muster_from", "1000")]), [Theirs, Ours, Ours]);
        assert_eq!(claims(&[("__meta_muster_from", "soon")]), [Ours, Ours, Ours]);
    }

    #[test]
    fn from_an_open_turn_on_nobody_knows_until_doubt_ends() {
        use Claim::{Open, Ours, Theirs};
        let open = ("__meta_muster_open", "true");
        assert_eq!(claims(&[("__meta_muster_until", "1000"), open]), [Ours, Open, Ours]);
        assert_eq!(claims(&[("__meta_muster_from", "1000"), open]), [Theirs, Open, Ours]);
        assert_eq!(claims(&[open]), [Ours, Ours, Ours], "of no turn");
        let turn = Turn::of(&labels(&[("__meta_muster_from", "1000"), open]));
        assert_eq!(turn.claim(Timestamp(1_000), Timestamp(120_999)), Open);
        assert_eq!(turn.claim(Timestamp(1_000), Timestamp(121_000)), Ours, "what was held back as well");
        assert_eq!(turn.claim(Timestamp(999), Timestamp(i64::MAX)), Theirs);
    }
}
