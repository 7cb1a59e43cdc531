//! What each rule of a job does to a target.

use model::Labels;
use relabel::{NameScheme, Seen, trace};
use serde_json::{Value, json};

use crate::jobs::JobSpec;

/// One entry per rule, until one drops the target: the rule, what it looked at, what it changed, whether it kept it.
pub(super) fn of(spec: &JobSpec, mut labels: Labels) -> Vec<Value> {
    let names = match spec.config().metric_name_validation_scheme {
        Some(scrape::NameScheme::Legacy) => NameScheme::Legacy,
        _ => NameScheme::Utf8,
    };
    let mut steps = Vec::new();
    for rule in &spec.config().relabel_configs {
        let written = serde_json::to_string(rule).unwrap_or_default();
        // The job was checked, so that its rules can be built.
        let Ok(step) = trace(rule, names, &mut labels) else { break };
        let changes: Vec<Value> = (step.changes.iter())
            .map(|change| json!({ "label": change.name, "before": change.before, "after": change.after }))
            .collect();
        steps.push(json!({
            "rule": written,
            "seen": seen(&step.seen),
            "changes": changes,
            "kept": step.is_kept,
        }));
        if !step.is_kept {
            break;
        }
    }
    steps
}

fn seen(seen: &Seen) -> Value {
    match seen {
        Seen::Text { joined, groups } => json!({ "text": joined, "matches": groups.is_some() }),
        Seen::Compared { joined, with } => json!({ "text": joined, "with": with }),
        Seen::Read { joined } => json!({ "text": joined }),
        Seen::Names(names) => json!({ "names": names }),
    }
}
