//! Our own metrics: upstream's names, so that its dashboards keep working, and a few more.
//!
//! Left out of upstream's: the labels `otel_scope_*`, and everything that describes a Go runtime. Buckets of durations
//! are fractions of a second, because that is what they are; upstream's begin at one or five seconds.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use telemetry::{Counter, Registry, Scope};

use crate::monitors::Kind;
use crate::moves::Reason;
use crate::view::View;

const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// For histograms that exist once per job.
const FEW_BUCKETS: [f64; 4] = [0.001, 0.01, 0.1, 1.0];

const PER_COLLECTOR: &str = "opentelemetry_allocator_targets_per_collector";

/// What is counted. The registry prints it.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Gauges with labels that come and go: of jobs and members.
    changing: Mutex<Option<Scope>>,
    /// Gauges of watches.
    watched: Mutex<Option<Scope>>,
    moved: BTreeMap<Reason, Counter>,
    events: Counter,
    relabelled: Counter,
    encoded: Counter,
}

impl Metrics {
    /// Registers everything that has no changing labels.
    #[must_use]
    pub(crate) fn new(registry: Registry) -> Self {
        let help = "Targets that changed hands";
        let counter = |reason: Reason| {
            registry.counter("muster_allocator_targets_moved_total", help, &[("reason", reason.word())])
        };
        let moved = Reason::ALL.map(|reason| (reason, counter(reason))).into_iter().collect();
        let events = registry.counter(
            "opentelemetry_allocator_events_total",
            "Changes of the jobs of monitors",
            &[("source", "EventSourcePrometheusCR")],
        );
        let relabelled = registry.counter(
            "muster_allocator_targets_relabelled_total",
            "Targets that were relabelled because they, their job or what they share with others changed",
            &[],
        );
        let encoded = registry.counter(
            "muster_allocator_lists_encoded_total",
            "Lists of a member's targets that were encoded for who asked",
            &[],
        );
        let (changing, watched) = (Mutex::new(None), Mutex::new(None));
        Self { registry, changing, watched, moved, events, relabelled, encoded }
    }

    /// The registry behind.
    #[must_use]
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Takes over the numbers of a view that is being published.
    pub(crate) fn publish(&self, view: &View) {
        let scope = self.registry.scope();
        let set = |name, help, labels: &[(&str, &str)], value: usize| {
            scope.gauge(name, help, labels).set(value as f64)
        };
        let strategy = ("strategy", view.placement.strategy.name());
        let roster = &view.placement.roster;
        let mut per_member = vec![0; roster.len()];
        let (mut n_targets, mut n_unassigned, mut n_held) = (0, 0, 0);
        for (job, state) in &view.jobs {
            let (counts, unassigned) = state.placed.counts(roster.len());
            let n_of_job = state.placed.items.len();
            for (sum, count) in per_member.iter_mut().zip(counts) {
                *sum += count;
            }
            n_targets += n_of_job;
            n_unassigned += unassigned;
            n_held += state.placed.holds.len();
            set("opentelemetry_allocator_targets", "Targets of a job", &[("job_name", job)], n_of_job);
        }
        for (kind, selected) in Kind::ALL.iter().zip(&view.monitored.selected) {
            let (kind, waiting) = (kind.as_str(), selected.n_waiting);
            let help = "Monitors by what became of them";
            let n_good = selected.n_selected - selected.n_quarantined - waiting;
            for (state, n) in [
                ("used", n_good),
                ("quarantined", selected.n_quarantined),
                ("waiting", waiting),
                ("not_selected", selected.n_seen - selected.n_selected),
            ] {
                set("muster_allocator_monitors", help, &[("kind", kind), ("state", state)], n);
            }
        }
        for (member, count) in roster.iter().zip(per_member) {
            set(
                PER_COLLECTOR,
                "Targets of a collector",
                &[("collector_name", &member.name), strategy],
                count,
            );
        }
        let n_members = roster.len();
        set("opentelemetry_allocator_targets_remaining", "Targets kept after filtering", &[], n_targets);
        set("opentelemetry_allocator_targets_unassigned", "Targets without a collector", &[], n_unassigned);
        set("opentelemetry_allocator_collectors_discovered", "Collectors that are known", &[], n_members);
        set(
            "opentelemetry_allocator_collectors_allocatable",
            "Collectors that take targets",
            &[strategy],
            n_members,
        );
        set(
            "muster_allocator_targets_held",
            "Targets that an old owner still lists beside the new one",
            &[],
            n_held,
        );
        set(
            "muster_allocator_ready",
            "Whether lists are answered",
            &[],
            usize::from(view.why_no_lists().is_empty()),
        );
        let epoch = scope.gauge("muster_allocator_epoch", "Assignments since the start", &[]);
        epoch.set(view.placement.epoch as f64);
        for (reason, counter) in &self.moved {
            counter.inc_by(view.moves.count(*reason).saturating_sub(counter.get()));
        }
        // The old scope goes only now: gauges that both hold keep their place.
        let old = self.changing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replace(scope);
        drop(old);
    }

    /// The jobs of monitors are others than before.
    pub(crate) fn monitors_changed(&self) {
        self.events.inc();
    }

    /// How the watches are doing, as it is now.
    pub(crate) fn watches(
        &self,
        states: &[(cluster::Kind, cluster::Scope, cluster::State)],
        now: SystemTime,
    ) {
        let scope = self.registry.scope();
        for (kind, of, state) in states {
            let (kind, of) = (kind.to_string(), of.to_string());
            let labels = [("resource", &*kind), ("scope", &*of)];
            let help = "Whether events of a watch are coming in";
            scope.gauge("muster_allocator_watch_live", help, &labels).set(f64::from(u8::from(state.is_live)));
            let Some(contact) = state.last_contact else { continue };
            let at = now.checked_sub(contact.elapsed()).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let (name, help) = (
                "muster_allocator_watch_last_contact_timestamp_seconds",
                "When the API server said anything about a watch at last",
            );
            scope.gauge(name, help, &labels).set(at.unwrap_or_default().as_secs_f64());
        }
        let old = self.watched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replace(scope);
        drop(old);
    }

    /// One request was answered.
    pub(crate) fn answered(&self, route: &str, took: Duration) {
        let help = "Duration of requests";
        self.registry
            .histogram("opentelemetry_allocator_http_duration_seconds", help, &BUCKETS, &[("path", route)])
            .observe(took.as_secs_f64());
    }

    /// Targets were shared out, because targets or members changed.
    pub(crate) fn allocated(&self, members_changed: bool, strategy: &str, took: Duration) {
        let method = if members_changed { "SetCollectors" } else { "SetTargets" };
        let (name, help) = ("opentelemetry_allocator_time_to_allocate", "Duration of sharing out targets");
        self.registry
            .histogram(name, help, &BUCKETS, &[("method", method), ("strategy", strategy)])
            .observe(took.as_secs_f64());
    }

    /// So many lists were encoded.
    pub(crate) fn encoded(&self, n_lists: u64) {
        self.encoded.inc_by(n_lists);
    }

    /// The targets of one job were looked at, and so many of them relabelled.
    pub(crate) fn processed(&self, job: &str, n_relabelled: usize, took: Duration) {
        self.relabelled.inc_by(n_relabelled as u64);
        let help = "Duration of relabelling the targets of a job";
        let all = "opentelemetry_allocator_process_targets_duration_seconds";
        self.registry.histogram(all, help, &BUCKETS, &[]).observe(took.as_secs_f64());
        let one = "opentelemetry_allocator_process_target_groups_duration_seconds";
        self.registry.histogram(one, help, &FEW_BUCKETS, &[("job_name", job)]).observe(took.as_secs_f64());
    }

    /// The configuration was read again.
    pub(crate) fn reloaded(&self, is_good: bool) {
        let result = if is_good { "success" } else { "failure" };
        let (name, help) =
            ("muster_allocator_config_reloads_total", "Times the configuration was read again");
        self.registry.counter(name, help, &[("result", result)]).inc();
    }
}
