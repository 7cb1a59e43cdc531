//! What is answered: one immutable value, replaced as a whole.
//!
//! Every request is answered from one [`View`], so that no answer mixes two assignments. Validators, jobs and configurations are
//! there when the view is made, lists of targets are encoded when they are asked for; what did not change is shared with the
//! view before.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::Xxh3;

use crate::answers::{Answer, Form, List, job_list, list};
use crate::items::Item;
use crate::jobs::JobConfig;
use crate::kubernetes::Monitored;
use crate::marks::Marks;
use crate::moves::MoveLog;
use crate::placement::{JobPlacement, Listed, Placement};
use crate::roster::Roster;

/// The bodies of `/scrape_configs`.
#[derive(Debug)]
pub struct Configs {
    /// With `<secret>` in place of credentials.
    pub redacted: Answer,
    /// With credentials.
    pub full: Answer,
    /// Each job's configuration as it stands in the bodies.
    pub jobs: BTreeMap<Arc<str>, Arc<JobConfig>>,
}

impl Configs {
    /// Puts the bodies together; like upstream's, they end without a newline.
    #[must_use]
    pub fn of(jobs: BTreeMap<Arc<str>, Arc<JobConfig>>) -> Self {
        let redacted = config_map(jobs.iter().map(|(name, job)| (&**name, &*job.redacted)));
        let full = config_map(jobs.iter().map(|(name, job)| (&**name, job.full.expose())));
        Self { redacted: Answer::new(redacted), full: Answer::new(full), jobs }
    }
}

/// Jobs and their configurations, which are JSON already, as one map.
#[must_use]
pub fn config_map<'a>(jobs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut body = Vec::from(*b"{");
    for (index, (name, config)) in jobs.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let name = serde_json::Value::from(name);
        write!(body, "{comma}{name}:{config}").expect("writing to memory cannot fail");
    }
    body.push(b'}');
    body
}

/// What there is to say about a job beside its targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobState {
    /// Why its targets are not known; empty when they are.
    pub waits_for: Option<String>,
    /// Discovered targets that relabelling drops.
    pub n_dropped: usize,
    /// What discovery complains about, newest state.
    pub problems: Vec<String>,
}

/// One job of a view.
#[derive(Debug, Default)]
pub struct JobView {
    /// What there is to say about it.
    pub state: JobState,
    /// Who has its targets.
    pub placed: Arc<JobPlacement>,
    /// The list of each member that has targets, by position in the roster.
    lists: Vec<Option<Arc<List>>>,
    /// Members that must fetch their list before others let go.
    awaited: Vec<usize>,
    /// Hash of the targets, whoever has them.
    digest: u64,
}

impl JobView {
    fn new(
        state: JobState,
        placed: Arc<JobPlacement>,
        roster: &Roster,
        before: Option<(&Self, &Roster)>,
    ) -> Self {
        let same_roster = before.filter(|(_, before)| *before == roster).map(|(view, _)| view);
        let seal = |(at, listed): (usize, Vec<Listed<'_>>)| {
            if listed.is_empty() {
                return None;
            }
            if let Some(view) = same_roster.filter(|view| view.placed.lists_alike(&placed, at)) {
                return view.lists.get(at).cloned().flatten();
            }
            let fresh = List::of(listed.into_iter());
            let old = before.and_then(|(view, before)| {
                view.lists.get(before.position(roster.name(at))?).cloned().flatten()
            });
            old.filter(|old| old.hash() == fresh.hash()).or_else(|| Some(Arc::new(fresh)))
        };
        let lists = placed.listed_by_member(roster.len()).into_iter().enumerate().map(seal).collect();
        let awaited = placed.awaited();
        let same_items = before.filter(|(view, _)| Arc::ptr_eq(&view.placed.items, &placed.items));
        let digest = same_items.map_or_else(|| digest(&placed.items), |(view, _)| view.digest);
        Self { state, placed, lists, awaited, digest }
    }

    /// The hash behind the validator of a member's list; `None` where the member has nothing of the job.
    #[must_use]
    pub fn list_hash(&self, at: usize) -> Option<u64> {
        Some(self.lists.get(at)?.as_ref()?.hash())
    }

    /// A member's list as it is sent, and how often it had to be encoded for that; `None` where the member has nothing of the
    /// job.
    #[must_use]
    pub fn list(&self, at: usize, takes_gzip: bool) -> Option<(Form, u64)> {
        Some(self.lists.get(at)?.as_ref()?.form(takes_gzip, || list(self.placed.listed(at))))
    }

    /// Whether a member has nothing of it.
    #[must_use]
    pub fn is_empty_for(&self, at: usize) -> bool {
        self.list_hash(at).is_none()
    }

    /// Whether others hold targets until this member has fetched its list.
    #[must_use]
    pub fn awaits(&self, at: usize) -> bool {
        self.awaited.contains(&at)
    }
}

/// Everything that is answered at one moment.
#[derive(Debug)]
pub struct View {
    /// Who has what.
    pub placement: Placement,
    /// Every configured job.
    pub jobs: BTreeMap<Arc<str>, Arc<JobView>>,
    /// Why nothing is answered; empty when something is.
    pub waits_for: Vec<String>,
    /// Why members are not known, if so.
    pub members_wait_for: Option<String>,
    /// Whether whoever asks becomes a member.
    pub is_polling: bool,
    /// Whether plain HTTP clients see credentials.
    pub shows_secrets: bool,
    /// The scrape configs.
    pub configs: Arc<Configs>,
    /// The body of `/jobs`.
    pub job_list: Answer,
    /// What moved.
    pub moves: MoveLog,
    /// What monitors became.
    pub monitored: Arc<Monitored>,
    /// Hash of everything that answers follow from: jobs, targets, members, strategy, turns. Two replicas that show the same one
    /// give the same answers.
    pub inputs: String,
    /// How new that is.
    pub marks: Marks,
    /// See [`Self::news`].
    news: OnceLock<Vec<u64>>,
}

/// What a view is made of.
#[derive(Debug)]
pub struct Parts {
    /// See [`View::placement`].
    pub placement: Placement,
    /// What there is to say about every configured job.
    pub jobs: BTreeMap<Arc<str>, JobState>,
    /// See [`View::waits_for`].
    pub waits_for: Vec<String>,
    /// See [`View::members_wait_for`].
    pub members_wait_for: Option<String>,
    /// See [`View::is_polling`].
    pub is_polling: bool,
    /// See [`View::shows_secrets`].
    pub shows_secrets: bool,
    /// See [`View::configs`].
    pub configs: Arc<Configs>,
    /// See [`View::moves`].
    pub moves: MoveLog,
    /// See [`View::monitored`].
    pub monitored: Arc<Monitored>,
    /// See [`View::marks`].
    pub marks: Marks,
}

impl View {
    /// Makes anew what changed since `before`.
    #[must_use]
    pub fn new(parts: Parts, before: Option<&Self>) -> Self {
        let roster = &parts.placement.roster;
        let same_roster = before.filter(|before| before.placement.roster == *roster);
        let mut jobs = BTreeMap::new();
        for (job, state) in parts.jobs {
            let placed = parts.placement.jobs.get(&job).cloned().unwrap_or_default();
            let known = before.and_then(|before| before.jobs.get(&job));
            let unchanged = known.filter(|known| {
                same_roster.is_some() && known.state == state && Arc::ptr_eq(&known.placed, &placed)
            });
            let predecessor =
                known.zip(before).map(|(known, before)| (known.as_ref(), &before.placement.roster));
            let fresh = || Arc::new(JobView::new(state, placed, roster, predecessor));
            let view = unchanged.cloned().unwrap_or_else(fresh);
            jobs.insert(job, view);
        }
        let with_targets = jobs.iter().filter(|(_, view)| !view.placed.items.is_empty());
        let job_list = Answer::new(job_list(with_targets.map(|(job, _)| &**job)));
        let inputs = inputs(&parts.placement, &jobs, &parts.configs);
        Self {
            inputs,
            marks: parts.marks,
            monitored: parts.monitored,
            news: OnceLock::new(),
            placement: parts.placement,
            jobs,
            waits_for: parts.waits_for,
            members_wait_for: parts.members_wait_for,
            is_polling: parts.is_polling,
            shows_secrets: parts.shows_secrets,
            configs: parts.configs,
            job_list,
            moves: parts.moves,
        }
    }

    /// Why answers that depend on discovery alone cannot be given; empty when they can. Where whoever asks becomes a
    /// member, members cannot appear before something is answered, so that they are no condition then.
    #[must_use]
    pub fn why_not_ready(&self) -> Vec<String> {
        let members = self.members_wait_for.iter().filter(|_| !self.is_polling);
        self.waits_for.iter().chain(members).cloned().collect()
    }

    /// A hash of what is answered to a member: its lists, and the jobs with or without credentials.
    #[must_use]
    pub fn news(&self, at: usize, shows_secrets: bool) -> u64 {
        let of_all = self.news.get_or_init(|| {
            let n_members = self.placement.roster.len();
            let mut hashers = vec![Xxh3::new(); n_members];
            for (name, job) in &self.jobs {
                for (at, hasher) in hashers.iter_mut().enumerate() {
                    let Some(hash) = job.list_hash(at) else { continue };
                    hasher.update(name.as_bytes());
                    hasher.update(&hash.to_le_bytes());
                }
            }
            hashers.iter().map(Xxh3::digest).collect()
        });
        let configs = if shows_secrets { &self.configs.full } else { &self.configs.redacted };
        of_all.get(at).copied().unwrap_or(0) ^ configs.hash()
    }

    /// The jobs that have targets in the list of a member, those it holds for others among them, each with the hash behind the
    /// validator of that list.
    pub fn jobs_of(&self, at: usize) -> impl Iterator<Item = (&Arc<str>, u64)> {
        self.jobs.iter().filter_map(move |(name, job)| Some((name, job.list_hash(at)?)))
    }

    /// Why lists of targets cannot be given; empty when they can.
    #[must_use]
    pub fn why_no_lists(&self) -> Vec<String> {
        self.waits_for.iter().chain(&self.members_wait_for).cloned().collect()
    }
}

/// Hash of the targets of a job: their identity and what is served of them.
fn digest(items: &[Arc<Item>]) -> u64 {
    let mut hasher = Xxh3::new();
    for item in items {
        hasher.update(&item.hash.to_le_bytes());
        hasher.update(&item.content().to_le_bytes());
    }
    hasher.digest()
}

/// See [`View::inputs`].
fn inputs(placement: &Placement, jobs: &BTreeMap<Arc<str>, Arc<JobView>>, configs: &Configs) -> String {
    let mut hasher = Xxh3::new();
    // Credentials stay out of it: a hash that everybody sees must not let one be guessed.
    hasher.update(&configs.redacted.hash().to_le_bytes());
    hasher.update(format!("{:?}", placement.strategy).as_bytes());
    for member in placement.roster.iter() {
        hasher.update(member.name.as_bytes());
        hasher.update(&[0xff, u8::from(member.is_draining)]);
        hasher.update(member.node.as_deref().unwrap_or("").as_bytes());
        hasher.update(&[0xff]);
    }
    for (name, job) in jobs {
        hasher.update(name.as_bytes());
        hasher.update(&[0xff, u8::from(job.state.waits_for.is_some())]);
        hasher.update(&job.digest.to_le_bytes());
        for (index, hold) in &job.placed.holds {
            hasher.update(&job.placed.items[*index].hash.to_le_bytes());
            hasher.update(placement.roster.name(hold.at).as_bytes());
            hasher.update(&hold.turn.map_or(0, |turn| turn.at).to_le_bytes());
            hasher.update(&[u8::from(hold.is_settled())]);
        }
    }
    format!("{:016x}", hasher.digest())
}
