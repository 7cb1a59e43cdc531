//! A kill of the allocator at every moment of a handover, and what becomes of the slots of its targets.
//!
//! The allocator is the real one on a driven clock, with a state file. Scrapers are a model of `scrape`'s loops, with a slot every second:
//! they keep to [`scrape::Turn`] and hold back what is open. Every slot of every target must be sent exactly once.

use model::{Labels, Timestamp};
use proptest::prelude::*;
use scrape::{Claim, Turn};

use super::*;

const N_TARGETS: usize = 8;
const MEMBERS: [&str; 2] = ["s-0", "s-1"];

/// Longest time from the end of a case until everybody has the final lists, in seconds.
const AFTERMATH: u64 = 90;

/// Targets with their turns.
type Targets = BTreeMap<String, Turn>;

/// How often each slot of each target was sent.
type Ledger = BTreeMap<(String, u64), usize>;

/// One of our scrapers.
#[derive(Default)]
struct Model {
    targets: Targets,
    held: Vec<(String, u64)>,
}

fn at(millis: u64) -> Timestamp {
    Timestamp(i64::try_from(millis).unwrap())
}

impl Model {
    /// Scrapes everything at this second.
    fn scrape(&mut self, second: u64, ledger: &mut Ledger) {
        self.decide(second * 1_000, ledger);
        for (target, turn) in &self.targets {
            let slot = (target.clone(), second);
            match turn.claim(at(second * 1_000), at(second * 1_000)) {
                Claim::Ours => *ledger.entry(slot).or_default() += 1,
                Claim::Theirs => {}
                Claim::Open => self.held.push(slot),
            }
        }
    }

    /// Sends what was held back and is its own at `now`; what is not listed any more is forgotten.
    fn decide(&mut self, now: u64, ledger: &mut Ledger) {
        let targets = &self.targets;
        self.held.retain(|slot| {
            let turn = targets.get(&slot.0);
            let claim = turn.map_or(Claim::Theirs, |turn| turn.claim(at(slot.1 * 1_000), at(now)));
            if claim == Claim::Ours {
                *ledger.entry(slot.clone()).or_default() += 1;
            }
            claim == Claim::Open
        });
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A scraper fetches its list.
    Fetch(usize),
    /// Seconds pass in which nobody hears anything.
    Silence(u64),
    /// The allocator is killed after so many steps of its loop, and back after so many seconds.
    Kill { steps: usize, absence: u64 },
}

/// Steps after which the loop has done everything that there was to do.
const ALL_STEPS: usize = usize::MAX;

/// Who is a member before and after; one that is draining lets go of everything.
#[derive(Clone, Copy, Debug)]
enum Change {
    Join,
    Drain,
}

impl Change {
    fn members(self) -> [&'static str; 2] {
        match self {
            Self::Join => ["- s-0\n", "- s-0\n- s-1\n"],
            Self::Drain => ["- s-0\n- s-1\n", "- s-0\n- {name: s-1, draining: true}\n"],
        }
    }
}

/// A handover under way.
struct Trial {
    change: Change,
    world: World,
    text: String,
    scrapers: [Model; 2],
    ledger: Ledger,
    second: u64,
    /// Whether scrapers know of open turns.
    is_new: bool,
}

impl Trial {
    /// The scrapers have their lists; then members change.
    async fn start(change: Change, is_new: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let jobs = [fixed_job("a", 0..N_TARGETS)];
        let text = format!("state_file: kept.json\n{}", with_jobs("{file: members}", &jobs));
        let [before, after] = change.members();
        std::fs::write(folder.path().join("members"), before).unwrap();
        let world = World::start_in(folder, &text);
        let mut trial = Self {
            change,
            world,
            text,
            scrapers: Default::default(),
            ledger: Ledger::new(),
            second: 0,
            is_new,
        };
        trial.world.ready().await;
        trial.second = trial.world.millis() / 1_000;
        for _ in 0..2 {
            trial.everybody_fetches().await;
            trial.pass(1).await;
        }
        trial.world.write("members", after);
        while trial.world.allocator.api().views().borrow().placement.roster.len() < 2
            || trial.world.allocator.api().views().borrow().moves.total() == 0
        {
            trial.pass(1).await;
        }
        trial
    }

    async fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            tokio::time::sleep_until(self.world.began + Duration::from_secs(self.second)).await;
            for scraper in &mut self.scrapers {
                scraper.scrape(self.second, &mut self.ledger);
            }
        }
    }

    async fn everybody_fetches(&mut self) {
        for who in 0..MEMBERS.len() {
            self.fetch(who).await;
            steps(ALL_STEPS).await;
        }
    }

    /// A scraper takes up its list, if there is an answer.
    async fn fetch(&mut self, who: usize) {
        let path = format!("/jobs/a/targets?collector_id={}", MEMBERS[who]);
        let request = Request::get(path).header("user-agent", "muster/0.1.0");
        let request = request.header("x-prometheus-refresh-interval-seconds", "1");
        let request = request.body(()).unwrap().into_parts().0;
        let response = self.world.allocator.api().answer(&request, false).await;
        if response.status() != 200 {
            return;
        }
        let groups: Vec<serde_json::Value> = serde_json::from_slice(response.body()).unwrap();
        let target = |group: &serde_json::Value| {
            let labels = group["labels"].as_object().unwrap().iter();
            let labels: Labels =
                labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            let turn = Turn::of(&labels);
            (labels.value("__address__").to_owned(), Turn { is_open: turn.is_open && self.is_new, ..turn })
        };
        self.scrapers[who].targets = groups.iter().map(target).collect();
        let now = self.world.millis();
        self.scrapers[who].decide(now, &mut self.ledger);
    }

    async fn happen(self, event: Event) -> Self {
        let mut trial = self;
        match event {
            Event::Fetch(who) => trial.fetch(who).await,
            Event::Silence(seconds) => trial.pass(seconds).await,
            Event::Kill { steps: n, absence } => {
                steps(n).await;
                trial.world.allocator.core.abort();
                steps(ALL_STEPS).await;
                trial.pass(absence).await;
                let Self { world: World { folder, began, .. }, text, .. } = trial;
                let world = World::start_since(folder, &text, began);
                trial = Self { world, text, ..trial };
            }
        }
        trial
    }

    /// Whether everybody has the final lists.
    fn is_over(&self) -> bool {
        let view = self.world.allocator.api().views().borrow().clone();
        let is_handing_over = |job: &Arc<crate::view::JobView>| !job.placed.holds.is_empty();
        let is_plain = |scraper: &Model| scraper.targets.values().all(|turn| *turn == Turn::default());
        let n_listed: usize = self.scrapers.iter().map(|scraper| scraper.targets.len()).sum();
        let has_changed = self.scrapers[1].targets.is_empty() == matches!(self.change, Change::Drain);
        view.why_no_lists().is_empty()
            && !view.jobs.values().any(is_handing_over)
            && self.scrapers.iter().all(is_plain)
            && n_listed == N_TARGETS
            && has_changed
    }

    /// Everybody hears of everything from now on, until nothing is left to hear. What is wrong then.
    async fn end(mut self) -> Result<(), String> {
        let until = self.second + AFTERMATH;
        loop {
            self.everybody_fetches().await;
            self.pass(1).await;
            if self.is_over() {
                break;
            }
            if self.second > until {
                return Err("the handover does not end".to_owned());
            }
        }
        let first = self.ledger.keys().map(|(_, second)| *second).min().unwrap();
        let slots = || {
            (first..=self.second).flat_map(|second| (0..N_TARGETS).map(move |n| (format!("h{n}:1"), second)))
        };
        let n_sent = |slot: &(String, u64)| self.ledger.get(slot).copied().unwrap_or(0);
        let lost = slots().filter(|slot| n_sent(slot) == 0).count();
        let doubled = slots().filter(|slot| n_sent(slot) > 1).count();
        let held = self.scrapers.iter().map(|scraper| scraper.held.len()).sum::<usize>();
        match (lost, doubled, held) {
            (0, 0, 0) => Ok(()),
            wrong => Err(format!("slots lost, doubled and held back for ever: {wrong:?}")),
        }
    }
}

/// Lets the allocator's loop go so many steps.
async fn steps(n: usize) {
    if n == ALL_STEPS {
        return tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}

/// Runs one case on a clock of its own.
fn run(change: Change, is_new: bool, events: &[Event]) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut trial = Trial::start(change, is_new).await;
        for event in events {
            trial = trial.happen(*event).await;
        }
        trial.end().await
    })
}

/// A kill after each message of a handover. Who hears first, and how long after it the other one does, make the difference.
fn kills() -> impl Iterator<Item = (Change, u64, Vec<Event>)> {
    let cases = [Change::Join, Change::Drain].into_iter().flat_map(|change| {
        [[0, 1], [1, 0]]
            .into_iter()
            .flat_map(move |order| [0, 4].into_iter().map(move |gap| (change, order, gap)))
    });
    cases.flat_map(|(change, [first, second], gap)| {
        // Where only one message is sent there is no gap.
        let least = if gap == 0 { 1 } else { 2 };
        let told = [first, second, first, second];
        let moments = (least..=told.len()).flat_map(|n_told| [0, ALL_STEPS].map(|steps| (n_told, steps)));
        let deaths = moments.flat_map(|moment| [5, 20, 60].map(|absence| (moment, absence)));
        deaths.map(move |((n_told, steps), absence)| {
            let mut events = Vec::new();
            for (index, who) in told[..n_told].iter().enumerate() {
                if index > 0 {
                    events.push(Event::Silence(gap));
                }
                events.push(Event::Fetch(*who));
            }
            events.push(Event::Kill { steps, absence });
            (change, absence, events)
        })
    })
}

#[test]
fn a_kill_at_any_moment_of_a_handover_neither_loses_nor_doubles_a_slot() {
    for (change, _, events) in kills() {
        assert_eq!(run(change, true, &events), Ok(()), "{change:?} {events:?}");
    }
}

#[test]
fn without_open_turns_a_long_absence_between_two_messages_would() {
    let wrong: Vec<u64> = kills()
        .filter(|(_, _, events)| matches!(events[..], [Event::Fetch(_), Event::Kill { .. }]))
        .filter(|(change, _, events)| run(*change, false, events).is_err())
        .map(|(_, absence, _)| absence)
        .collect();
    assert!(!wrong.is_empty() && wrong.iter().all(|absence| *absence > 10), "{wrong:?}");
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0..2_usize).prop_map(Event::Fetch),
        2 => (0..6_u64).prop_map(Event::Silence),
        1 => (0..4_usize, 0..30_u64).prop_map(|(steps, absence)| Event::Kill { steps, absence }),
        1 => (0..30_u64).prop_map(|absence| Event::Kill { steps: ALL_STEPS, absence }),
    ];
    // In all, nobody is in doubt for as long as `scrape::LONGEST_DOUBT`.
    let silence = |events: &Vec<Event>| -> u64 {
        let seconds = events.iter().map(|event| match event {
            Event::Fetch(_) => 0,
            Event::Silence(seconds) | Event::Kill { absence: seconds, .. } => *seconds,
        });
        seconds.sum()
    };
    proptest::collection::vec(event, 0..16).prop_filter("less silence", move |events| silence(events) < 100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_told_and_however_often_the_allocator_is_killed_each_slot_is_sent_once(
        is_join in any::<bool>(),
        events in events(),
    ) {
        let change = if is_join { Change::Join } else { Change::Drain };
        prop_assert_eq!(run(change, true, &events), Ok(()));
    }
}
