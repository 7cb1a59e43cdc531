//! `consistent-hashing`: jump hash over StatefulSet ordinals, rendezvous hash over other names.
//!
//! **Ordinals.** Where every member is called `<stem>-<ordinal>` with one stem, the buckets are the ordinals
//! `0 ..= highest`. Jump hash (Lamping and Veach, 2014) needs buckets that come and go only at the end, which is how a
//! StatefulSet scales: `n -> n+1` moves `1/(n+1)` of the targets, all of them to the new member. An ordinal below the
//! highest that is absent (its pod is away) is passed over: the target draws again, with a hash seeded by the number
//! of the draw, until it meets a member. Only the absent member's targets move, they spread evenly over the others,
//! and they come back when it does. (When the highest ordinal goes while others right below it are away too, the range
//! shrinks over all of them, and targets which those had lent out are drawn again as well.)
//!
//! **Names.** Other names have no natural end, so jump hash over sorted positions would move everything behind a
//! lost one. Rendezvous hash is used instead: each target goes to the member with the highest mixed hash of both.
//! It costs one multiplication per member and target, and moves the same minimum.
//!
//! All constants below are part of the contract between replicas: changing one moves nearly every target once.

use xxhash_rust::xxh64::xxh64;

use super::Subject;
use crate::roster::Roster;

/// Highest ordinal plus one up to which names are read as ordinals. Beyond it (names that end in a date or an id)
/// members are told apart by name.
pub const MAX_ORDINALS: usize = 16_384;

/// Draws after which a target that met only absent ordinals is placed by rendezvous among those present. With half of
/// the ordinals away, one target in 2^64 comes that far.
pub const PROBES: u64 = 64;

pub(super) fn assign(subjects: &[Subject<'_>], roster: &Roster) -> Vec<Option<usize>> {
    let ring = Ring::new(roster);
    subjects.iter().map(|subject| ring.owner(subject.hash)).collect()
}

/// A roster prepared for hashing.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Position in the roster by ordinal; empty when names are not ordinals.
    by_ordinal: Vec<Option<usize>>,
    /// Position in the roster and hash of the name of each member that stays.
    by_name: Vec<(usize, u64)>,
}

impl Ring {
    /// Prepares a roster. A member that is draining counts as absent.
    #[must_use]
    pub fn new(roster: &Roster) -> Self {
        let staying = roster.iter().enumerate().filter(|(_, member)| !member.is_draining);
        let by_name = staying.map(|(at, member)| (at, xxh64(member.name.as_bytes(), 0))).collect();
        Self { by_ordinal: ordinals(roster).unwrap_or_default(), by_name }
    }

    /// Position in the roster of the member that owns a hash; `None` only when nobody stays.
    #[must_use]
    pub fn owner(&self, hash: u64) -> Option<usize> {
        let n_ordinals = self.by_ordinal.len();
        if n_ordinals == 0 {
            return self.rendezvous(hash);
        }
        (0..PROBES)
            .find_map(|draw| self.by_ordinal[jump(reseeded(hash, draw), n_ordinals)])
            .or_else(|| self.rendezvous(hash))
    }

    fn rendezvous(&self, hash: u64) -> Option<usize> {
        best(hash, self.by_name.iter().copied())
    }
}

/// The candidate with the highest mixed hash; of equal ones the later, so that the answer is never by chance.
pub(super) fn best(hash: u64, candidates: impl Iterator<Item = (usize, u64)>) -> Option<usize> {
    candidates.max_by_key(|(at, name)| (mixed(hash ^ name), *at)).map(|(at, _)| at)
}

/// The hash of the n-th draw; the first is the hash itself.
fn reseeded(hash: u64, draw: u64) -> u64 {
    if draw == 0 { hash } else { mixed(hash ^ draw.wrapping_mul(0x9e37_79b9_7f4a_7c15)) }
}

fn jump(hash: u64, n_buckets: usize) -> usize {
    jump_consistent_hash::hash(hash, n_buckets) as usize
}

/// The finaliser of splitmix64: every input bit changes every output bit with probability one half.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Positions by ordinal where all names are `<stem>-<ordinal>` with one stem and small enough ordinals.
fn ordinals(roster: &Roster) -> Option<Vec<Option<usize>>> {
    let staying = || roster.iter().enumerate().filter(|(_, member)| !member.is_draining);
    let (stem, _) = split(&staying().next()?.1.name)?;
    let mut by_ordinal = Vec::new();
    for (at, member) in staying() {
        let (own_stem, ordinal) = split(&member.name)?;
        if own_stem != stem {
            return None;
        }
        if by_ordinal.len() <= ordinal {
            by_ordinal.resize(ordinal + 1, None);
        }
        by_ordinal[ordinal] = Some(at);
    }
    Some(by_ordinal)
}

/// `s-12` is `("s", 12)`. Leading zeros are not ordinals: no StatefulSet writes them, and `s-1` is not `s-01`.
fn split(name: &str) -> Option<(&str, usize)> {
    let (stem, digits) = name.rsplit_once('-')?;
    let plain = digits == "0" || (!digits.starts_with('0') && !digits.is_empty());
    let ordinal: usize =
        digits.parse().ok().filter(|_| plain && digits.bytes().all(|b| b.is_ascii_digit()))?;
    (ordinal < MAX_ORDINALS).then_some((stem, ordinal))
}
