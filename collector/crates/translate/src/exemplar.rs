//! Labels of exemplars: which are ids, and how many fit.

use std::borrow::Cow;

use model::{Exemplar, Labels};

use crate::names::{self, Strategy};

/// Characters that names and values of an exemplar may have together, by OpenMetrics.
const MAX_RUNES: usize = 128;

/// A label whose value is an id: its name and the id.
pub(crate) type Id<'a, const N: usize> = (&'a str, [u8; N]);

/// The ids among the labels of an exemplar. They are ids where they have the right size and are not zero; whatever the
/// case of their letters, as the Go receiver takes them.
pub(crate) fn ids(labels: &Labels) -> (Option<Id<'_, 16>>, Option<Id<'_, 8>>) {
    (id_of(labels, "trace_id"), id_of(labels, "span_id"))
}

fn id_of<'a, const N: usize>(labels: &'a Labels, wanted: &str) -> Option<Id<'a, N>> {
    let label = labels.iter().find(|label| label.0.eq_ignore_ascii_case(wanted))?;
    Some((label.0, parse_id(label.1)?))
}

fn parse_id<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
    }
    (id != [0; N]).then_some(id)
}

/// Ids as labels, without those that are missing or zero.
pub(crate) fn id_labels(trace_id: &[u8], span_id: &[u8]) -> Labels {
    let mut labels = Labels::new();
    for (name, id) in [("trace_id", trace_id), ("span_id", span_id)] {
        if id.iter().any(|byte| *byte != 0) {
            labels.set(name, &id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
    }
    labels
}

/// Adds an attribute under a name that the strategy allows, unless there is a label of that name.
pub(crate) fn add(labels: &mut Labels, strategy: Strategy, key: &str, value: &str) {
    let mut name = String::new();
    if strategy.escapes() {
        names::push_escaped(&mut name, key, true);
    } else {
        name.push_str(key);
    }
    labels.set_if_absent(&name, value);
}

/// All labels, or the ids alone where all together are longer than OpenMetrics allows.
pub(crate) fn fitting(all: Labels, ids: Labels) -> Labels {
    if fits(&all) { all } else { ids }
}

fn fits(labels: &Labels) -> bool {
    let n_runes = |(name, value): (&str, &str)| name.chars().count() + value.chars().count();
    labels.iter().map(n_runes).sum::<usize>() <= MAX_RUNES
}

/// Exemplars of a scrape as they come out of OTLP; lent where nothing changes, which is nearly always.
pub(crate) fn settled(exemplars: &[(u32, Exemplar)], strategy: Strategy) -> Cow<'_, [(u32, Exemplar)]> {
    let is_settled = |labels: &Labels| {
        fits(labels) && (!strategy.escapes() || labels.iter().all(|label| names::is_legal_label(label.0)))
    };
    if exemplars.iter().all(|(_, exemplar)| is_settled(&exemplar.labels)) {
        return Cow::Borrowed(exemplars);
    }
    let settle = |(index, exemplar): &(u32, Exemplar)| {
        let labels = if is_settled(&exemplar.labels) {
            exemplar.labels.clone()
        } else {
            rebuilt(&exemplar.labels, strategy)
        };
        (*index, Exemplar { labels, ..*exemplar })
    };
    Cow::Owned(exemplars.iter().map(settle).collect())
}

fn rebuilt(labels: &Labels, strategy: Strategy) -> Labels {
    let (trace_id, span_id) = ids(labels);
    let is_id =
        |name: &str| trace_id.is_some_and(|id| id.0 == name) || span_id.is_some_and(|id| id.0 == name);
    let ids = id_labels(
        trace_id.as_ref().map_or(&[], |id| &id.1[..]),
        span_id.as_ref().map_or(&[], |id| &id.1[..]),
    );
    let mut all = ids.clone();
    labels
        .iter()
        .filter(|label| !is_id(label.0))
        .for_each(|(name, value)| add(&mut all, strategy, name, value));
    fitting(all, ids)
}
