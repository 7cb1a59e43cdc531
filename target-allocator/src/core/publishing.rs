//! What is told: views, and answers to questions about targets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Core;
use crate::explain::{self, Question};
use crate::kubernetes::Kubernetes;
use crate::marks::Marks;
use crate::moves::MoveLog;
use crate::placement::Placement;
use crate::settings::Settings;
use crate::view::{Configs, Parts, View};

impl Core {
    pub(super) fn publish(&mut self, waits_for: Vec<String>, members_wait_for: Option<String>) {
        let jobs = self.jobs.iter().map(|(name, running)| (Arc::clone(name), running.state())).collect();
        let parts = Parts {
            placement: self.placement.clone(),
            jobs,
            waits_for,
            members_wait_for,
            is_polling: self.settings.members.is_polling(),
            shows_secrets: self.settings.shows_secrets,
            configs: Arc::clone(&self.configs),
            moves: self.moves.clone(),
            monitored: Arc::clone(&self.monitored),
            marks: self.marks(),
        };
        let before = self.views.borrow().clone();
        let view = Arc::new(View::new(parts, Some(&before)));
        let (was_ready, is_ready) = (before.why_no_lists().is_empty(), view.why_no_lists().is_empty());
        if was_ready != is_ready {
            tracing::info!(ready = is_ready, reasons = ?view.why_no_lists(), "readiness changed");
        }
        self.shared.metrics.publish(&view);
        self.views.send_replace(view);
    }

    /// The targets that a question is about, and the jobs that may pass something over.
    pub(super) fn explain(&self, question: &Question) -> explain::Known {
        let mut targets = Vec::new();
        for running in self.jobs.values() {
            explain::collect(question, running.spec(), &mut running.groups(), &mut targets);
        }
        explain::Known { targets, jobs: self.settings.jobs.clone() }
    }

    /// How new what is known is.
    fn marks(&self) -> Marks {
        let marks = self.shared.kubernetes.as_ref().map(Kubernetes::marks).unwrap_or_default();
        self.sharing.as_ref().map_or(marks.clone(), |sharing| sharing.marked(marks))
    }
}

impl Parts {
    /// Before anything is known.
    pub(super) fn nothing_yet(settings: &Settings, configs: Arc<Configs>) -> Self {
        Self {
            placement: Placement::default(),
            jobs: BTreeMap::new(),
            waits_for: vec!["starting".to_owned()],
            members_wait_for: Some("starting".to_owned()),
            is_polling: settings.members.is_polling(),
            shows_secrets: settings.shows_secrets,
            configs,
            moves: MoveLog::default(),
            monitored: Arc::default(),
            marks: Marks::default(),
        }
    }
}
