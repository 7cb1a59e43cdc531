//! What outlives a restart: who the members were, how targets were shared out, and which of them are changing hands.
//!
//! Owners follow from targets and members, so that after a restart nothing moves anyway where both are as they were. What
//! does not follow is kept: members that are restarting just now, which of them are our own scrapers, handovers with a turn and who has
//! heard of it, and with `least-weighted` who has what. It is written before the answers that depend on it are given, so that a
//! killed allocator goes on where it was. Targets and credentials are not in it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::assign::{Fallback, Strategy, Subject, assign};
use crate::handover::Turn;
use crate::items::Items;
use crate::members::{Client, LastPolls};
use crate::placement::{Hold, JobPlacement, Placement};
use crate::roster::{MAX_MEMBERS, Member, Roster, check_name};

/// Largest file that is read back, in bytes. A million targets of `least-weighted` come to about 25 MB.
pub const MAX_KEPT_BYTES: u64 = 256 << 20;

/// The form that is written; others are not read.
const VERSION: u32 = 2;

/// An assignment without its targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    version: u32,
    strategy: KeptStrategy,
    members: Vec<KeptMember>,
    handovers: Vec<KeptHandover>,
    /// The owner of each target by job and identity, as a position in `members`; only where it does not follow from members.
    owners: BTreeMap<String, BTreeMap<u64, usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptStrategy {
    ConsistentHashing,
    LeastWeighted,
    PerNode,
    PerNodeOrConsistentHashing,
    PerNodeOrLeastWeighted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptMember {
    name: String,
    node: Option<String>,
    is_draining: bool,
    /// Who fetches its lists, where that is known.
    client: Option<KeptClient>,
    /// How often, in milliseconds.
    refresh: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeptClient {
    Muster,
    Other,
}

/// Targets of a job that change hands alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptHandover {
    job: String,
    /// Position in `members` of the old owner.
    at: usize,
    turn: Option<Turn>,
    is_fetched: bool,
    is_told: bool,
    /// The identities, 16 hexadecimal digits each.
    #[serde(with = "identities")]
    targets: Vec<u64>,
}

/// Identities as one text: of everything that is kept, they are the most.
mod identities {
    use std::fmt::Write as _;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const DIGITS: usize = 16;

    pub(super) fn serialize<S: Serializer>(identities: &[u64], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(identities.len() * DIGITS);
        for identity in identities {
            write!(text, "{identity:016x}").expect("writing to a string cannot fail");
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
        let text = String::deserialize(from)?;
        let digits = |chunk: &[u8]| {
            let chunk = std::str::from_utf8(chunk).ok().filter(|chunk| chunk.len() == DIGITS)?;
            u64::from_str_radix(chunk, 16).ok()
        };
        let identities: Option<Vec<u64>> = text.as_bytes().chunks(DIGITS).map(digits).collect();
        identities.ok_or_else(|| D::Error::custom("identities of targets are 16 hexadecimal digits each"))
    }
}

impl Kept {
    /// What is to be kept of a placement, and of who fetches lists.
    #[must_use]
    pub fn of(placement: &Placement, polls: &LastPolls) -> Self {
        let member = |member: &Member| {
            let poll = polls.get(&member.name);
            KeptMember {
                name: member.name.to_string(),
                node: member.node.as_deref().map(str::to_owned),
                is_draining: member.is_draining,
                client: poll.and_then(|poll| poll.client).map(KeptClient::from),
                refresh: poll.and_then(|poll| poll.every).map(millis),
            }
        };
        let handovers = placement.jobs.iter().flat_map(|(job, placed)| handovers(job, placed));
        let owners = |placed: &JobPlacement| -> BTreeMap<u64, usize> {
            let owned = placed.items.iter().zip(&placed.owners);
            owned.filter_map(|(item, owner)| Some((item.hash, (*owner)?))).collect()
        };
        let is_derived = placement.strategy.is_local();
        let jobs = placement.jobs.iter().filter(|_| !is_derived);
        Self {
            version: VERSION,
            strategy: placement.strategy.into(),
            members: placement.roster.iter().map(member).collect(),
            handovers: handovers.collect(),
            owners: jobs.map(|(job, placed)| (job.to_string(), owners(placed))).collect(),
        }
    }

    /// Whether a placement that is answered now could not be gone on with from this: other members, or other handovers.
    #[must_use]
    pub fn is_behind(&self, newer: &Self) -> bool {
        self.strategy != newer.strategy || self.is_other(newer)
    }

    /// Whether members or handovers are other ones. How often lists are fetched does not count.
    #[must_use]
    pub fn is_other(&self, other: &Self) -> bool {
        let members = |kept: &Self| -> Vec<KeptMember> {
            kept.members.iter().map(|member| KeptMember { refresh: None, ..member.clone() }).collect()
        };
        self.handovers != other.handovers || members(self) != members(other)
    }

    /// With what another replica knows and this one does not: who fetches lists, and handovers of targets that are not known here
    /// (yet), until their turns are over.
    #[must_use]
    pub fn completed(mut self, other: &Self, placement: &Placement, now: u64) -> Self {
        let position = |at: usize| {
            let name = &other.members.get(at)?.name;
            self.members.binary_search_by(|member| member.name.cmp(name)).ok()
        };
        let mut alike: Alike = self.handovers.iter().map(KeptHandover::entry).collect();
        for handover in &other.handovers {
            let is_over = handover.turn.is_none_or(|turn| turn.ends_at() <= now);
            let Some(at) = position(handover.at).filter(|_| !is_over) else { continue };
            let items =
                placement.jobs.get(&*handover.job).map(|placed| &placed.items[..]).unwrap_or_default();
            let known: HashSet<u64> = items.iter().map(|item| item.hash).collect();
            let unknown = handover.targets.iter().filter(|target| !known.contains(target));
            let unknown: Vec<u64> = unknown.copied().collect();
            if !unknown.is_empty() {
                let key = KeptHandover { at, ..handover.clone() }.entry().0;
                alike.entry(key).or_default().extend(unknown);
            }
        }
        self.handovers = alike.into_iter().map(KeptHandover::of).collect();
        for member in self.members.iter_mut().filter(|member| member.client.is_none()) {
            if let Ok(at) = other.members.binary_search_by(|other| other.name.cmp(&member.name)) {
                (member.client, member.refresh) = (other.members[at].client, other.members[at].refresh);
            }
        }
        self
    }

    /// What of it comes to at most `max` bytes, and whether that is all but the owners, which every replica finds by itself.
    #[must_use]
    pub fn fitted(mut self, max: usize) -> (Self, bool) {
        self.owners.clear();
        let is_whole = self.print().len() <= max;
        if !is_whole {
            self.handovers.clear();
        }
        (self, is_whole)
    }

    /// Goes on with these handovers and no others. `before` is the placement that was answered last: what it told already,
    /// nobody has to hear of again.
    pub fn impose(&self, placement: &mut Placement, before: &Placement) {
        let (epoch, roster) = (placement.epoch, placement.roster.clone());
        let mut by_job: BTreeMap<&str, Vec<&KeptHandover>> = BTreeMap::new();
        for handover in &self.handovers {
            by_job.entry(&handover.job).or_default().push(handover);
        }
        for (job, placed) in &mut placement.jobs {
            let handovers = by_job.remove(&**job).unwrap_or_default();
            if handovers.is_empty() && placed.holds.is_empty() {
                continue;
            }
            let mut imposed = JobPlacement { holds: BTreeMap::new(), ..JobPlacement::clone(placed) };
            for handover in handovers {
                let Some(at) = self.members.get(handover.at).and_then(|old| roster.position(&old.name))
                else {
                    continue;
                };
                imposed.take_up(&handover.targets, Hold { at, since: epoch, ..handover.hold() });
            }
            let told = before.jobs.get(job).map(|placed| placed.told(&before.roster)).unwrap_or_default();
            for (index, hold) in &mut imposed.holds {
                let as_told = told.get(&imposed.items[*index].hash);
                let same =
                    as_told.filter(|(name, old)| roster.name(hold.at) == *name && old.turn == hold.turn);
                hold.since = same.map_or(epoch, |(_, old)| old.since);
            }
            *placed = Arc::new(imposed);
        }
    }

    /// The members.
    #[must_use]
    pub fn roster(&self) -> Roster {
        Roster::new(self.members.iter().map(|member| Member {
            is_draining: member.is_draining,
            ..Member::on(member.name.as_str().into(), member.node.as_deref().map(Into::into))
        }))
    }

    /// Members whose lists somebody fetches: who, and how often.
    pub fn clients(&self) -> impl Iterator<Item = (&str, Client, Option<Duration>)> {
        let client = |member: &KeptMember| member.client.map(Client::from);
        let members = self.members.iter();
        members.filter_map(move |member| {
            Some((&*member.name, client(member)?, member.refresh.map(Duration::from_millis)))
        })
    }

    /// The placement as it was, of the targets that are known now.
    #[must_use]
    pub fn placement(&self, jobs: &BTreeMap<Arc<str>, Items>) -> Placement {
        let (strategy, roster) = (self.strategy.into(), self.roster());
        let mut placed: BTreeMap<Arc<str>, JobPlacement> = BTreeMap::new();
        for (job, items) in jobs {
            let kept = self.owners.get(&**job);
            let subject = |hash: u64, node| Subject { hash, job, node, current: None };
            let owners = match kept {
                Some(owners) => items.iter().map(|item| owners.get(&item.hash).copied()).collect(),
                None if !self.owners.is_empty() => vec![None; items.len()],
                None => {
                    let subjects: Vec<Subject<'_>> =
                        items.iter().map(|item| subject(item.hash, item.node())).collect();
                    assign(strategy, &subjects, &roster)
                }
            };
            placed.insert(
                Arc::clone(job),
                JobPlacement { items: Arc::clone(items), owners, ..JobPlacement::default() },
            );
        }
        for kept in &self.handovers {
            let Some(job) = placed.get_mut(&*kept.job) else { continue };
            job.take_up(&kept.targets, kept.hold());
        }
        let jobs = placed.into_iter().map(|(job, placed)| (job, Arc::new(placed))).collect();
        Placement { epoch: 0, strategy, roster, jobs }
    }

    /// What was written to a file; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not what [`Self::write`] writes.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let size = match std::fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if size > MAX_KEPT_BYTES {
            return Err(io::Error::other(format!("it is larger than MAX_KEPT_BYTES ({MAX_KEPT_BYTES})")));
        }
        Self::parse(&std::fs::read(path)?).map(Some).map_err(io::Error::other)
    }

    /// Reads what [`Self::print`] gives.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let kept: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        kept.check().map(|()| kept)
    }

    fn check(&self) -> Result<(), String> {
        let n_members = self.members.len();
        if self.version != VERSION {
            return Err(format!("it has version {}, not {VERSION}", self.version));
        }
        if n_members > MAX_MEMBERS {
            return Err(format!("it has more members than MAX_MEMBERS ({MAX_MEMBERS})"));
        }
        for member in &self.members {
            check_name(&member.name)?;
        }
        if !self.members.is_sorted_by(|one, other| one.name < other.name) {
            return Err("its members are not in order".to_owned());
        }
        let positions = self.handovers.iter().map(|handover| handover.at);
        let mut positions = positions.chain(self.owners.values().flat_map(|owners| owners.values().copied()));
        match positions.find(|at| *at >= n_members) {
            Some(at) => Err(format!("it names the member {at} of {n_members}")),
            None => Ok(()),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn print(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("values with text keys can be written")
    }

    /// Replaces a file, all or nothing.
    ///
    /// # Errors
    /// When the folder cannot be written; the file stays as it was.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut fresh = PathBuf::from(path).into_os_string();
        fresh.push(".new");
        std::fs::write(&fresh, self.print())?;
        std::fs::rename(&fresh, path)
    }
}

impl KeptHandover {
    fn hold(&self) -> Hold {
        let Self { at, turn, is_fetched, is_told, .. } = *self;
        Hold { at, since: 0, turn, is_fetched, is_told }
    }
}

/// What targets that change hands alike have in common: job, old owner, turn, and whether the new and the old owner have heard of it.
type Manner = (String, usize, Option<Turn>, bool, bool);

/// Targets that change hands alike.
type Alike = BTreeMap<Manner, Vec<u64>>;

impl KeptHandover {
    fn of((manner, mut targets): (Manner, Vec<u64>)) -> Self {
        let (job, at, turn, is_fetched, is_told) = manner;
        targets.sort_unstable();
        Self { job, at, turn, is_fetched, is_told, targets }
    }

    fn entry(&self) -> (Manner, Vec<u64>) {
        ((self.job.clone(), self.at, self.turn, self.is_fetched, self.is_told), self.targets.clone())
    }
}

/// The handovers of a job.
fn handovers(job: &str, placed: &JobPlacement) -> impl Iterator<Item = KeptHandover> {
    let mut alike = Alike::new();
    for (index, hold) in &placed.holds {
        let key = (job.to_owned(), hold.at, hold.turn, hold.is_fetched, hold.is_told);
        alike.entry(key).or_default().push(placed.items[*index].hash);
    }
    alike.into_iter().map(KeptHandover::of)
}

impl JobPlacement {
    /// Goes on with the handover of these targets, those that are there and have another owner.
    fn take_up(&mut self, targets: &[u64], hold: Hold) {
        let targets: HashSet<u64> = targets.iter().copied().collect();
        for (index, (item, owner)) in self.items.iter().zip(&self.owners).enumerate() {
            if owner.is_some_and(|owner| owner != hold.at) && targets.contains(&item.hash) {
                self.holds.insert(index, hold);
            }
        }
    }
}

impl JobPlacement {
    /// The handovers by target, each with the name of the old owner.
    fn told<'a>(&'a self, roster: &'a Roster) -> HashMap<u64, (&'a Arc<str>, &'a Hold)> {
        let holds = self.holds.iter();
        holds.map(|(index, hold)| (self.items[*index].hash, (roster.name(hold.at), hold))).collect()
    }
}

impl From<Client> for KeptClient {
    fn from(client: Client) -> Self {
        match client {
            Client::Muster => Self::Muster,
            Client::Other => Self::Other,
        }
    }
}

impl From<KeptClient> for Client {
    fn from(kept: KeptClient) -> Self {
        match kept {
            KeptClient::Muster => Self::Muster,
            KeptClient::Other => Self::Other,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<Strategy> for KeptStrategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::ConsistentHashing => Self::ConsistentHashing,
            Strategy::LeastWeighted => Self::LeastWeighted,
            Strategy::PerNode { fallback: None } => Self::PerNode,
            Strategy::PerNode { fallback: Some(Fallback::ConsistentHashing) } => {
                Self::PerNodeOrConsistentHashing
            }
            Strategy::PerNode { fallback: Some(Fallback::LeastWeighted) } => Self::PerNodeOrLeastWeighted,
        }
    }
}

impl From<KeptStrategy> for Strategy {
    fn from(kept: KeptStrategy) -> Self {
        match kept {
            KeptStrategy::ConsistentHashing => Self::ConsistentHashing,
            KeptStrategy::LeastWeighted => Self::LeastWeighted,
            KeptStrategy::PerNode => Self::PerNode { fallback: None },
            KeptStrategy::PerNodeOrConsistentHashing => {
                Self::PerNode { fallback: Some(Fallback::ConsistentHashing) }
            }
            KeptStrategy::PerNodeOrLeastWeighted => Self::PerNode { fallback: Some(Fallback::LeastWeighted) },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::handover::Terms;
    use crate::items::{Item, arranged};
    use crate::moves::MoveLog;

    fn jobs(n: usize) -> BTreeMap<Arc<str>, Items> {
        let item = |index: usize| {
            let labels: model::Labels = [("__address__", format!("h-{index}:1"))].into_iter().collect();
            Arc::new(Item::alone(crate::items::identity(&labels, "a"), labels))
        };
        BTreeMap::from([("a".into(), arranged((0..n).map(item)))])
    }

    fn placed(strategy: Strategy, rosters: &[&[&str]]) -> Placement {
        let mut placement = Placement::default();
        for names in rosters {
            let roster = Roster::of(names.iter().copied());
            let (terms, at) = (Terms::default(), SystemTime::UNIX_EPOCH);
            placement = placement.next(strategy, &roster, &jobs(40), &terms, at, &mut MoveLog::default());
        }
        placement
    }

    fn kept(placement: &Placement) -> Kept {
        Kept::of(placement, &LastPolls::new())
    }

    fn back(placement: &Placement) -> Placement {
        Kept::parse(&kept(placement).print()).unwrap().placement(&jobs(40))
    }

    #[test]
    fn a_placement_comes_back_with_owners_and_handovers() {
        for strategy in [
            Strategy::ConsistentHashing,
            Strategy::LeastWeighted,
            Strategy::PerNode { fallback: None },
            Strategy::PerNode { fallback: Some(Fallback::ConsistentHashing) },
            Strategy::PerNode { fallback: Some(Fallback::LeastWeighted) },
        ] {
            let before = placed(strategy, &[&["s-0", "s-1"], &["s-0", "s-1", "s-2"]]);
            let after = back(&before);
            assert_eq!((after.strategy, &after.roster), (strategy, &before.roster));
            assert_eq!(after.jobs["a"].owners, before.jobs["a"].owners, "{strategy:?}");
            let holds = |placement: &Placement| -> Vec<(usize, usize, Option<Turn>)> {
                let holds = placement.jobs["a"].holds.iter();
                holds.map(|(index, hold)| (*index, hold.at, hold.turn)).collect()
            };
            assert_eq!(holds(&after), holds(&before));
        }
    }

    #[test]
    fn only_owners_that_follow_from_nothing_else_are_written() {
        let text = |strategy| String::from_utf8(kept(&placed(strategy, &[&["s-0", "s-1"]])).print()).unwrap();
        assert!(text(Strategy::ConsistentHashing).len() < 300, "{}", text(Strategy::ConsistentHashing));
        assert!(text(Strategy::LeastWeighted).len() > 800);
    }

    #[test]
    fn a_change_of_members_or_handovers_must_not_wait_to_be_written() {
        let one = kept(&placed(Strategy::LeastWeighted, &[&["s-0", "s-1"]]));
        let other = kept(&placed(Strategy::LeastWeighted, &[&["s-0"]]));
        assert!(one.is_behind(&other) && !one.is_behind(&one));
        let moving = kept(&placed(Strategy::ConsistentHashing, &[&["s-0"], &["s-0", "s-1"]]));
        let settled = kept(&placed(Strategy::ConsistentHashing, &[&["s-0", "s-1"]]));
        assert!(moving.is_behind(&settled) && settled.is_behind(&moving));
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/kept.json");
        assert!(Kept::read(&path).unwrap().is_none());
        let kept = kept(&placed(Strategy::LeastWeighted, &[&["s-0", "s-1"]]));
        kept.write(&path).unwrap();
        kept.write(&path).unwrap();
        assert_eq!(Kept::read(&path).unwrap().unwrap(), kept);
        for (change, why) in [
            (("\"version\":2", "\"version\":9"), "version 9"),
            (("\"s-0\"", "\"s 0\""), "character ' '"),
            (("\"s-0\"", "\"s-9\""), "not in order"),
            (
                (
                    "{\"name\":\"s-0\",\"node\":null,\"is_draining\":false,\"client\":null,\"refresh\":null},",
                    "",
                ),
                "names the member 1 of 1",
            ),
            (("}", ""), ""),
        ] {
            let text = String::from_utf8(kept.print()).unwrap().replacen(change.0, change.1, 1);
            std::fs::write(&path, text).unwrap();
            assert!(Kept::read(&path).unwrap_err().to_string().contains(why), "{why}");
        }
    }

    fn moving() -> Placement {
        placed(Strategy::ConsistentHashing, &[&["s-0", "s-1"], &["s-0", "s-1", "s-2"]])
    }

    #[test]
    fn another_replica_goes_on_with_the_same_handovers() {
        let decided = kept(&moving());
        let before = placed(Strategy::ConsistentHashing, &[&["s-0", "s-1"]]);
        let (terms, at) = (Terms::default(), SystemTime::UNIX_EPOCH);
        let mut log = MoveLog::default();
        let roster = decided.roster();
        let mut after = before.next(Strategy::ConsistentHashing, &roster, &jobs(40), &terms, at, &mut log);
        decided.impose(&mut after, &before);
        assert!(!kept(&after).is_other(&decided) && !after.jobs["a"].holds.is_empty());
        assert!(after.jobs["a"].holds.values().all(|hold| hold.since == after.epoch));

        let again = after.next(Strategy::ConsistentHashing, &roster, &jobs(40), &terms, at, &mut log);
        let mut imposed = again.clone();
        decided.impose(&mut imposed, &after);
        assert!(imposed.jobs["a"].holds.values().all(|hold| hold.since == after.epoch), "told already");

        kept(&placed(Strategy::ConsistentHashing, &[&["s-0", "s-1", "s-2"]])).impose(&mut imposed, &again);
        assert!(imposed.jobs["a"].holds.is_empty());
    }

    #[test]
    fn handovers_of_targets_that_are_not_known_here_stay_until_their_turn_is_over() {
        let turn = Turn::after(0, Duration::from_secs(1));
        let mut decided = kept(&moving());
        decided.handovers.iter_mut().for_each(|handover| handover.turn = Some(turn));
        let blind = || {
            let (terms, at) = (Terms::default(), SystemTime::UNIX_EPOCH);
            let roster = decided.roster();
            let log = &mut MoveLog::default();
            Placement::default().next(Strategy::ConsistentHashing, &roster, &jobs(0), &terms, at, log)
        };
        let completed = |now| kept(&blind()).completed(&decided, &blind(), now);
        assert!(!completed(turn.ends_at() - 1).is_other(&decided));
        assert!(completed(turn.ends_at()).handovers.is_empty());
        let known = kept(&blind()).completed(&decided, &moving(), 0);
        assert!(known.handovers.is_empty(), "who knows the targets decides");
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        let decided = kept(&moving());
        let size = decided.print().len();
        assert_eq!(decided.clone().fitted(size), (decided.clone(), true));
        let (cut, is_whole) = decided.fitted(size - 1);
        assert!(cut.handovers.is_empty() && !is_whole && cut.roster().len() == 3);
    }
}
