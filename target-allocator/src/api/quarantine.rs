//! `/debug/quarantine`: monitors that make no jobs and why, what else should be known about monitors, and how many there are.
//! Ours alone; upstream tells it in its log.

use serde_json::{Map, Value, json};

use crate::handover::unix_millis;
use crate::kubernetes::{Held, Monitored};
use crate::monitors::{Kind, MonitorKey, Quarantined, Selected, Warned};

/// As JSON. Times are milliseconds since 1970 in UTC.
pub(super) fn describe(monitored: &Monitored) -> Value {
    let kinds = Kind::ALL.iter().zip(&monitored.selected);
    let selected: Map<String, Value> =
        kinds.map(|(kind, selected)| (kind.to_string(), describe_selected(selected))).collect();
    json!({
        "quarantine": monitored.quarantine.iter().map(describe_held).collect::<Vec<_>>(),
        "warnings": monitored.warnings.iter().map(describe_warned).collect::<Vec<_>>(),
        "selected": selected,
        "waits_for": monitored.waits_for,
        "problems": monitored.problems,
    })
}

fn describe_held(held: &Held) -> Value {
    let Quarantined { key, uid, generation, field, reason, n_more } = &held.what;
    let mut described = describe_key(key);
    described.extend([
        ("uid".to_owned(), uid.as_str().into()),
        ("generation".to_owned(), (*generation).into()),
        ("field".to_owned(), field.as_str().into()),
        ("reason".to_owned(), reason.as_str().into()),
        ("more_mistakes".to_owned(), (*n_more).into()),
        ("since".to_owned(), unix_millis(held.since).into()),
    ]);
    described.into()
}

fn describe_warned(warned: &Warned) -> Value {
    let mut described = describe_key(&warned.key);
    described.extend([
        ("field".to_owned(), warned.field.as_str().into()),
        ("message".to_owned(), warned.message.as_str().into()),
    ]);
    described.into()
}

fn describe_key(key: &MonitorKey) -> Map<String, Value> {
    Map::from_iter([
        ("kind".to_owned(), key.kind.as_str().into()),
        ("namespace".to_owned(), key.namespace.as_str().into()),
        ("name".to_owned(), key.name.as_str().into()),
    ])
}

fn describe_selected(selected: &Selected) -> Value {
    json!({
        "seen": selected.n_seen,
        "selected": selected.n_selected,
        "quarantined": selected.n_quarantined,
        "waiting": selected.n_waiting,
        "nothing": selected.nothing.as_ref().map(ToString::to_string),
    })
}
