//! Explanations, and readiness in words: `/readyz?verbose` tells every part by name, as the API server's own does.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use maud::html as markup;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pages::parts::{frame, refusal};
use super::reply::{self, html, plain, unready, wants_html};
use super::{Api, Query};
use crate::explain::{self, Question, text};
use crate::kubernetes::{Held, Kubernetes};
use crate::monitors::Kind;

/// A question to the loop that holds what discovery found, and where the answer goes.
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) answer: oneshot::Sender<explain::Known>,
}

impl Api {
    /// `/debug/explain?pod=NS/NAME`, and the same for `service`, `monitor` and `target`.
    pub(super) async fn explain(&self, query: Query<'_>, asked: &HeaderMap) -> Response<Bytes> {
        let key = ["pod", "service", "monitor", "target"].into_iter().find(|key| query.first(key).is_some());
        let value = key.and_then(|key| query.only(key)).unwrap_or_default();
        let view = self.view();
        let question = match Question::of(key.unwrap_or_default(), &value) {
            Ok(question) => question,
            Err(why) if wants_html(asked) => {
                let example = "/debug/explain?pod=default/web-0";
                let (status, page) = refusal(&view, StatusCode::BAD_REQUEST, &why, Some(example));
                return html(status, page);
            }
            Err(why) => return plain(StatusCode::BAD_REQUEST, &format!("400 bad request: {why}")),
        };
        let (sender, answer) = oneshot::channel();
        let asking = Asked { question: question.clone(), answer: sender };
        let explain::Known { mut targets, jobs } = match self.questions.send(asking).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => return unready(&["the allocator is stopping".to_owned()]),
        };
        let cluster = self.kubernetes.as_ref().map(|kubernetes| &kubernetes.cluster);
        let reached = explain::look_up(&question, cluster, &view.monitored, &jobs).await;
        if let Some(kubernetes) = &self.kubernetes {
            let monitored = view.monitored.jobs.iter().filter(|job| reached.may_be_of(job.name()));
            let jobs = jobs.iter().filter(|job| reached.is_searched_by(&question, job.name()));
            explain::look_at_passed_over(&question, jobs.chain(monitored), kubernetes, &mut targets).await;
        }
        let mut problems = view.monitored.problems.clone();
        let states = cluster.map(cluster::Cluster::states).unwrap_or_default();
        problems.extend(states.into_iter().filter_map(|(.., state)| Some(state.failure?.message)));
        problems.sort();
        problems.dedup();
        let answer = explain::answer(&question, &targets, &reached, &problems, &view, &self.errors);
        if !wants_html(asked) {
            return reply::json(&answer);
        }
        let body = markup! { pre { (text::print(&answer)) } };
        html(StatusCode::OK, frame(&view, &format!("Explain: {}", question.subject()), &body))
    }

    /// `/readyz`; with `verbose` a line for each part.
    pub(super) fn ready(&self, query: Query<'_>) -> Response<Bytes> {
        let view = self.view();
        let reasons = view.why_not_ready();
        if query.first("verbose").is_none() {
            return if reasons.is_empty() { reply::empty(StatusCode::OK) } else { unready(&reasons) };
        }
        let mut lines = String::new();
        let mut line = |is_good: bool, text: &str| {
            writeln!(lines, "[{}] {text}", if is_good { '+' } else { '-' })
                .expect("writing to memory cannot fail");
        };
        for reason in &reasons {
            line(false, reason);
        }
        if reasons.is_empty() {
            line(true, "discovery has settled, collectors are known, targets are shared out");
        }
        for (is_good, text) in self.kubernetes.iter().flat_map(watches) {
            line(is_good, &text);
        }
        for (kind, selected) in Kind::ALL.iter().zip(&view.monitored.selected) {
            if let Some(why) = &selected.nothing {
                line(false, &format!("{kind}: nothing is selected: {why}"));
            }
        }
        for Held { what, .. } in &view.monitored.quarantine {
            line(false, &format!("{} is in quarantine: {}: {}", what.key, what.field, what.reason));
        }
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        plain(status, &lines)
    }
}

/// A line about every watch.
fn watches(kubernetes: &Kubernetes) -> Vec<(bool, String)> {
    let now = Instant::now();
    let told = |(kind, scope, state): &(cluster::Kind, cluster::Scope, cluster::State)| {
        let contact = state.last_contact.map_or_else(
            || "never heard of".to_owned(),
            |at| format!("last heard of {} s ago", now.saturating_duration_since(at).as_secs()),
        );
        let failure =
            state.failure.as_ref().map(|failure| format!("; {}", failure.message)).unwrap_or_default();
        let kept = if state.is_synced && !state.is_live { "; what is known stays" } else { "" };
        (state.is_live, format!("{kind} {scope}: {contact}{failure}{kept}"))
    };
    kubernetes.cluster.states().iter().map(told).collect()
}
