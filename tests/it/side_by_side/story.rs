//! What one writer told of each target, scrape by scrape.

use std::collections::{BTreeMap, BTreeSet};

use world::ledger::{Ledger, Remembered};

/// The value that says that a series has ended.
pub(super) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Labels of a series, its name included.
pub(super) type Labels = BTreeMap<String, String>;

/// A sample that has the time of its scrape.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) bits: u64,
}

impl Sample {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.labels.get("__name__").map_or("", String::as_str)
    }

    /// Whether it is about the scrape, not from the page.
    pub(super) fn is_report(&self) -> bool {
        self.name() == "up" || self.name().starts_with("scrape_")
    }

    fn is_end(&self) -> bool {
        self.bits == STALE
    }

    /// What has to be equal: of a duration only that there is one.
    fn text(&self) -> String {
        if self.name() == "scrape_duration_seconds" && !self.is_end() {
            return format!("{} took a while", series(&self.labels));
        }
        format!("{} {}", series(&self.labels), value(self.bits))
    }
}

/// Samples of one scrape; those of one series in the order in which they were sent.
pub(super) type Scrape = Vec<Sample>;

/// All that was told of one target.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) scrapes: Vec<Scrape>,
    /// Exemplars that have the time of their scrape.
    pub(super) exemplars: Vec<BTreeSet<String>>,
    /// Samples and exemplars with times of their own.
    timed: BTreeSet<String>,
}

/// Everything that a sink was told, by the `page` label; `address` of the page's server is replaced by a word, for it
/// differs.
pub(super) fn stories(ledger: &Ledger, address: &str) -> BTreeMap<String, Story> {
    let mut by_page: BTreeMap<String, Vec<Remembered>> = BTreeMap::new();
    for series in ledger.all_remembered() {
        let mut series = series.clone();
        series
            .labels
            .values_mut()
            .filter(|value| *value == address)
            .for_each(|value| *value = "pages".into());
        let page = series.labels.get("page").cloned().unwrap_or_default();
        by_page.entry(page).or_default().push(series);
    }
    by_page.into_iter().map(|(page, series)| (page, Story::of(&series))).collect()
}

impl Story {
    /// Every scrape writes `up` once; what has another time than any of them has a time of its own.
    fn of(all: &[Remembered]) -> Self {
        let is_up = |series: &&Remembered| series.labels.get("__name__").is_some_and(|name| name == "up");
        let ups = all.iter().filter(is_up).flat_map(|series| &series.samples);
        let times: Vec<i64> = ups.map(|(at, _)| *at).collect::<BTreeSet<_>>().into_iter().collect();
        let n = times.len();
        let (scrapes, exemplars) = (vec![Scrape::new(); n], vec![BTreeSet::new(); n]);
        let mut story = Self { scrapes, exemplars, timed: BTreeSet::new() };
        for Remembered { labels, samples, exemplars, .. } in all {
            for (at, number) in samples {
                match times.binary_search(at) {
                    Ok(index) => {
                        story.scrapes[index].push(Sample { labels: labels.clone(), bits: number.to_bits() })
                    }
                    Err(_) => {
                        story.timed.insert(format!("{} {} {at}", series(labels), value(number.to_bits())));
                    }
                }
            }
            for (own, at, number) in exemplars {
                let text = format!("{} # {} {}", series(labels), series(own), value(number.to_bits()));
                match times.binary_search(at) {
                    Ok(index) => story.exemplars[index].insert(text),
                    Err(_) => story.timed.insert(format!("{text} {at}")),
                };
            }
        }
        story
    }

    /// Only the first scrapes.
    pub(super) fn first(mut self, n: usize) -> Self {
        self.scrapes.truncate(n);
        self.exemplars.truncate(n);
        self
    }

    /// Scrapes that tell the same as the one before are left out.
    pub(super) fn changes(&self) -> Vec<BTreeSet<String>> {
        let mut changes = texts(&self.scrapes);
        changes.dedup();
        changes
    }

    /// Where the other tells something else.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |place: &str, ours: &BTreeSet<String>, theirs: &BTreeSet<String>| {
            let lines = ours.difference(theirs).map(|line| format!("  {place}: only muster: {line}"));
            differences.extend(lines);
            let lines = theirs.difference(ours).map(|line| format!("  {place}: only Prometheus: {line}"));
            differences.extend(lines);
        };
        let pairs = texts(&self.scrapes).into_iter().zip(texts(&other.scrapes)).enumerate();
        for (index, (ours, theirs)) in pairs {
            compare(&format!("scrape {index}"), &ours, &theirs);
        }
        for (index, (ours, theirs)) in self.exemplars.iter().zip(&other.exemplars).enumerate() {
            compare(&format!("scrape {index}"), ours, theirs);
        }
        compare("with times", &self.timed, &other.timed);
        if self.scrapes.len() != other.scrapes.len() {
            differences.push(format!("  {} scrapes, {}", self.scrapes.len(), other.scrapes.len()));
        }
        differences
    }

    /// Samples that were sent twice.
    pub(super) fn duplicates(&self) -> Vec<String> {
        let mut duplicates = Vec::new();
        for (index, scrape) in self.scrapes.iter().enumerate() {
            let mut seen = BTreeSet::new();
            let twice = scrape.iter().filter(|sample| !seen.insert(&sample.labels));
            duplicates.extend(twice.map(|sample| format!("  scrape {index}: twice: {}", sample.text())));
        }
        duplicates
    }
}

fn texts(scrapes: &[Scrape]) -> Vec<BTreeSet<String>> {
    scrapes.iter().map(|scrape| scrape.iter().map(Sample::text).collect()).collect()
}

fn series(labels: &Labels) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let others = labels.iter().filter(|(label, _)| *label != "__name__");
    let others: Vec<String> = others.map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{name}{{{}}}", others.join(","))
}

/// A value and its bits, for there are many kinds of NaN.
fn value(bits: u64) -> String {
    if bits == STALE { "has ended".to_owned() } else { format!("{} ({bits:016x})", f64::from_bits(bits)) }
}
