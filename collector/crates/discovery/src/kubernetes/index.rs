//! Which jobs may want a group, found by the values of its labels.
//!
//! A thousand jobs over ten thousand pods would be asked ten million times otherwise. Each job stands under one of the labels that
//! it needs: the one with values that the fewest jobs need. A group looks up its own labels, so that it costs what its labels cost
//! and what the jobs under their values cost, however many others there are.

use std::collections::HashMap;
use std::sync::Arc;

use relabel::Need;

use super::subscriber::{Made, Subscriber};

/// Jobs by what they need; a job is its place in a list.
#[derive(Default)]
pub(super) struct Index {
    by_label: HashMap<Arc<str>, ByValue>,
    /// Jobs that have to be asked about every group.
    others: Vec<usize>,
}

/// Jobs that need a label.
#[derive(Default)]
struct ByValue {
    of_value: HashMap<Box<str>, Vec<usize>>,
    all: Vec<usize>,
}

impl Index {
    pub(super) fn of(jobs: &[Subscriber]) -> Self {
        let mut n_jobs: HashMap<(&str, &str), usize> = HashMap::new();
        for need in jobs.iter().flat_map(Subscriber::needs) {
            for value in &need.values {
                *n_jobs.entry((&*need.label, &**value)).or_default() += 1;
            }
        }
        let weight = |need: &&Need| -> usize {
            need.values.iter().filter_map(|value| n_jobs.get(&(&*need.label, &**value))).sum()
        };
        let mut index = Self::default();
        for (job, subscriber) in jobs.iter().enumerate() {
            let Some(need) = subscriber.needs().iter().min_by_key(weight) else {
                index.others.push(job);
                continue;
            };
            let by_value = index.by_label.entry(Arc::from(&*need.label)).or_default();
            by_value.all.push(job);
            for value in &need.values {
                by_value.of_value.entry(value.clone()).or_default().push(job);
            }
        }
        index
    }

    /// The jobs that may want any of these forms of a group, each once, in order.
    pub(super) fn candidates<'m>(&self, forms: impl Iterator<Item = &'m Made>) -> Vec<usize> {
        let mut jobs = self.others.clone();
        for made in forms {
            let of_label = |name: &str| self.by_label.get(name);
            for (name, value) in made.group.labels.iter() {
                let of_value = of_label(name).and_then(|by_value| by_value.of_value.get(value));
                jobs.extend(of_value.into_iter().flatten());
            }
            // Targets differ in these, so that no value is known.
            for name in &*made.own {
                jobs.extend(of_label(name).into_iter().flat_map(|by_value| &by_value.all));
            }
        }
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }
}
