//! Messages that come again with other values: a series is known by where its value stands.
//!
//! Whoever looks at a host or a device sends the same message again and again, and nothing in it changes but times and values, which always
//! take eight bytes. Such a message is compared with the last one like it, and its values go straight to their series: nothing is decoded,
//! named, hashed or looked up.

use model::{Timestamp, canonical_bits, is_stale};
use wire::otlp::{NumberSpot, number_spots};

use super::{Store, Tick};

/// Most messages that are known.
const MAX_KNOWN: usize = 64;

/// Most bytes of a message that is known.
const MAX_BYTES: usize = 16 << 10;

/// Messages whose series are known. They stay as long as they come; none makes room for another one, so that messages that never come
/// again cost nothing but the question.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    known: Vec<Known>,
    /// The one that is likely to be next.
    next: usize,
}

/// A message, and where its values go.
#[derive(Debug)]
struct Known {
    message: Box<[u8]>,
    points: Box<[Point]>,
    /// How many series the store had forgotten when the message was learned: ids of series that were forgotten are used again.
    n_forgotten: u64,
    /// When it came last.
    seen: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    spot: NumberSpot,
    goal: Goal,
}

/// Where a sample went.
#[derive(Clone, Copy, Debug)]
pub(in crate::prometheus) struct Goal {
    pub(in crate::prometheus) series: u32,
    /// Since when it counts.
    pub(in crate::prometheus) start: Timestamp,
}

/// What a known message said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::prometheus) struct Repeated {
    pub(in crate::prometheus) n_samples: usize,
    /// Time of the newest sample.
    pub(in crate::prometheus) newest: Timestamp,
}

impl Repeats {
    /// The known message that differs from this one in times and values alone.
    fn find(&mut self, message: &[u8]) -> Option<usize> {
        let (before, from) = self.known.split_at(self.next.min(self.known.len()));
        let n_before = before.len();
        let place = match from.iter().position(|known| known.is_like(message)) {
            Some(place) => n_before + place,
            None => before.iter().position(|known| known.is_like(message))?,
        };
        self.next = place + 1;
        Some(place)
    }

    pub(super) fn expire(&mut self, is_expired: impl Fn(Tick) -> bool) {
        self.known.retain(|known| !is_expired(known.seen));
    }
}

impl Known {
    fn is_like(&self, message: &[u8]) -> bool {
        if self.message.len() != message.len() {
            return false;
        }
        let mut from = 0;
        for Point { spot, .. } in &self.points {
            for at in [spot.time.min(spot.value), spot.time.max(spot.value)] {
                if self.message[from..at] != message[from..at] {
                    return false;
                }
                from = at + 8;
            }
        }
        self.message[from..] == message[from..]
    }
}

impl Point {
    fn at(self, message: &[u8]) -> Timestamp {
        Timestamp(i64::try_from(number(message, self.spot.time) / 1_000_000).unwrap_or(i64::MAX))
    }

    fn bits(self, message: &[u8]) -> u64 {
        let bits = number(message, self.spot.value);
        canonical_bits(if self.spot.is_int { bits as i64 as f64 } else { f64::from_bits(bits) })
    }
}

fn number(message: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(message[at..at + 8].try_into().expect("that is eight bytes"))
}

impl Store {
    /// Takes what an encoded resource message says, if it is known; else nothing is done.
    pub(in crate::prometheus) fn repeat(&mut self, message: &[u8], now: Tick) -> Option<Repeated> {
        let place = self.repeats.find(message)?;
        let known = &mut self.repeats.known[place];
        let ends = |point: &Point| is_stale(point.bits(message));
        if known.n_forgotten != self.n_forgotten || known.points.iter().any(ends) {
            return None;
        }
        known.seen = now;
        let mut newest = Timestamp(i64::MIN);
        for point in &known.points {
            let at = point.at(message);
            newest = newest.max(at);
            let last = &mut self.last[point.goal.series as usize];
            if last.at > at {
                continue;
            }
            (last.bits, last.at, last.start, last.seen) = (point.bits(message), at, point.goal.start, now);
            if !self.exemplars.is_empty() {
                self.exemplars.remove(&point.goal.series);
            }
        }
        Some(Repeated { n_samples: known.points.len(), newest })
    }

    /// How many series were forgotten so far; to be asked before the message is put that is learned afterwards.
    pub(in crate::prometheus) fn n_forgotten(&self) -> u64 {
        self.n_forgotten
    }

    /// Learns where the samples of an encoded resource message went, if each of its points became one.
    pub(in crate::prometheus) fn learn(
        &mut self,
        message: &[u8],
        goals: &[Goal],
        n_forgotten: u64,
        now: Tick,
    ) {
        let place = self.repeats.find(message);
        let has_room = place.is_some() || self.repeats.known.len() < MAX_KNOWN;
        if goals.is_empty() || message.len() > MAX_BYTES || !has_room {
            return;
        }
        let Some(spots) = number_spots(message).filter(|spots| spots.len() == goals.len()) else { return };
        let points = spots.into_iter().zip(goals).map(|(spot, goal)| Point { spot, goal: *goal }).collect();
        let known = Known { message: message.into(), points, n_forgotten, seen: now };
        match place {
            Some(place) => self.repeats.known[place] = known,
            None => self.repeats.known.push(known),
        }
    }

    /// Messages that are known.
    #[cfg(test)]
    pub(in crate::prometheus) fn n_known_messages(&self) -> usize {
        self.repeats.known.len()
    }
}
