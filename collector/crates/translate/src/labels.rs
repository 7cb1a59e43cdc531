//! Label sets put together from attributes and from what surrounds them.
//!
//! One text holds everything that is needed for a point: external labels first, then what belongs to the resource, the
//! scope, the metric, the point. Going on to the next point, metric ... cuts the text back to where that part began,
//! so a warm [`LabelSet`] does not allocate. Labels are places in the text ([`Span`]).
//!
//! Precedence and collisions are those of the Go collector's remote write translator: name and bucket labels win over
//! scope labels, those over `job` and `instance`, those over attributes, those over external labels. Attributes whose
//! keys become the same name have their values joined by `;` in order of key. Labels without a value are left out.

use std::fmt;

use crate::names::{self, Strategy};
use crate::scraped::Absent;
use crate::series::{SeriesLabels, Source};

/// A place in a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const fn new(start: usize, end: usize) -> Self {
        // Texts hold a resource and a point, both of which came in one request; `LabelSet::is_full` keeps them small.
        Self { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub(crate) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

/// Where a label comes from; the first one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Scope,
    Job,
    Instance,
    Attribute,
    External,
}

/// A label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Span,
    pub(crate) value: Span,
    rank: Rank,
}

/// An attribute whose key is not yet a name.
#[derive(Clone, Copy, Debug)]
struct Raw {
    key: Span,
    value: Span,
    /// From the resource: replaces a point's attribute of the same key.
    is_shared: bool,
    /// From a scrape: a legal name stays as it is.
    is_scraped: bool,
}

const CONSTANTS: &str = "__name__lequantilejobinstance";
const NAME: Span = Span::new(0, 8);
/// The label that holds a bucket's bound.
pub(crate) const LE: Span = Span::new(8, 10);
/// The label that holds a quantile.
pub(crate) const QUANTILE: Span = Span::new(10, 18);
/// The label made of `service.name`.
pub(crate) const JOB: Span = Span::new(18, 21);
/// The label made of `service.instance.id`.
pub(crate) const INSTANCE: Span = Span::new(21, 29);

/// Points whose labels would take more text than this are not translated.
const MAX_TEXT: usize = 1 << 30;

/// The labels of one point after the other.
#[derive(Default)]
pub(crate) struct LabelSet {
    text: String,
    /// Labels of what surrounds the point.
    around: Vec<Entry>,
    /// The resource's attributes, where every point gets them.
    shared: Vec<Raw>,
    /// The point's attributes.
    raw: Vec<Raw>,
    /// The point's labels, sorted; without its name.
    base: Vec<Entry>,
    /// The same with the name.
    series: Vec<Entry>,
    /// A name that is being cleaned.
    clean: String,
}

/// How far a [`LabelSet`] is filled.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    text: usize,
    around: usize,
    shared: usize,
}

impl LabelSet {
    pub(crate) fn clear(&mut self) {
        self.rewind(Mark { text: 0, around: 0, shared: 0 });
        self.text.push_str(CONSTANTS);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { text: self.text.len(), around: self.around.len(), shared: self.shared.len() }
    }

    /// Forgets what was added since the mark, and the point's attributes.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.around.truncate(mark.around);
        self.shared.truncate(mark.shared);
        self.raw.clear();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.text.len() > MAX_TEXT
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Adds what `write` writes to the text.
    #[inline]
    pub(crate) fn span<R>(&mut self, write: impl FnOnce(&mut String) -> R) -> (Span, R) {
        let start = self.text.len();
        let answer = write(&mut self.text);
        (Span::new(start, self.text.len()), answer)
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &str) -> Span {
        self.span(|out| out.push_str(text)).0
    }

    /// Adds `first` and `second` as one.
    pub(crate) fn push_joined(&mut self, first: Span, second: &str) -> Span {
        let (span, ()) = self.span(|_| ());
        self.text.extend_from_within(first.start as usize..first.end as usize);
        self.text.push_str(second);
        Span { start: span.start, end: self.text.len() as u32 }
    }

    /// Adds a label of what surrounds the point, unless it has no value; its name is final.
    pub(crate) fn surround(&mut self, rank: Rank, name: Span, value: Span) {
        if value.start < value.end {
            self.around.push(Entry { name, value, rank });
        }
    }

    /// Adds an attribute of the resource to every point.
    pub(crate) fn share(&mut self, key: Span, value: Span) {
        self.shared.push(Raw { key, value, is_shared: true, is_scraped: false });
    }

    /// Adds an attribute of the point.
    #[inline]
    pub(crate) fn attribute(&mut self, key: Span, value: Span, is_scraped: bool) {
        self.raw.push(Raw { key, value, is_shared: false, is_scraped });
    }

    /// Puts the point's labels together. Says false where one of its own attributes has no name left.
    pub(crate) fn assemble(&mut self, strategy: Strategy, absent: Absent) -> bool {
        self.base.clear();
        self.raw.extend_from_slice(&self.shared);
        let text = &self.text;
        self.raw.sort_by(|a, b| a.key.of(text).cmp(b.key.of(text)).then(b.is_shared.cmp(&a.is_shared)));
        let mut replacing = Span::default();
        for index in 0..self.raw.len() {
            let raw = self.raw[index];
            if raw.is_shared {
                replacing = raw.key;
            } else if !self.shared.is_empty() && raw.key.of(&self.text) == replacing.of(&self.text) {
                continue;
            }
            match self.name_of(raw, strategy) {
                Some(name) => self.base.push(Entry { name, value: raw.value, rank: Rank::Attribute }),
                // Series of one resource stay apart without it.
                None if raw.is_shared => {}
                None => return false,
            }
        }
        self.base.extend(self.around.iter().filter(|entry| !absent.hides(entry.rank)));
        self.settle();
        true
    }

    /// The label name that an attribute's key becomes.
    #[inline]
    fn name_of(&mut self, raw: Raw, strategy: Strategy) -> Option<Span> {
        let key = raw.key.of(&self.text);
        if !strategy.escapes() {
            return (!key.is_empty()).then_some(raw.key);
        }
        if if raw.is_scraped { names::is_legal_label(key) } else { is_clean(key) } {
            return Some(raw.key);
        }
        self.clean.clear();
        if raw.is_scraped {
            names::push_escaped(&mut self.clean, key, true);
        } else {
            names::push_clean_label(&mut self.clean, key);
        }
        let start = self.text.len();
        self.text.push_str(&self.clean);
        let name = Span::new(start, self.text.len());
        (name.start < name.end).then_some(name)
    }

    /// Sorts the labels by name and leaves one of each.
    fn settle(&mut self) {
        let text = &self.text;
        self.base.sort_by(|a, b| a.name.of(text).cmp(b.name.of(text)).then(a.rank.cmp(&b.rank)));
        let mut n_kept = 0;
        for index in 0..self.base.len() {
            let entry = self.base[index];
            match self.base[..n_kept].last().copied() {
                Some(kept) if kept.name.of(&self.text) == entry.name.of(&self.text) => {
                    self.base[n_kept - 1].value = self.merged(kept, entry);
                }
                _ => {
                    self.base[n_kept] = entry;
                    n_kept += 1;
                }
            }
        }
        self.base.truncate(n_kept);
        self.base.retain(|entry| entry.value.start < entry.value.end);
    }

    /// The value of two labels of one name.
    fn merged(&mut self, kept: Entry, next: Entry) -> Span {
        let both_attributes = kept.rank == Rank::Attribute && next.rank == Rank::Attribute;
        if !both_attributes || kept.value.of(&self.text) == next.value.of(&self.text) {
            return kept.value;
        }
        let span = self.push_joined(kept.value, ";");
        self.text.extend_from_within(next.value.start as usize..next.value.end as usize);
        Span { start: span.start, end: self.text.len() as u32 }
    }

    /// Makes [`Self::series`] of what [`Self::assemble`] put together, the series' name and perhaps a bucket label.
    pub(crate) fn name_series(&mut self, name: Span, extra: Option<(Span, Span)>) {
        self.series.clear();
        self.series.extend_from_slice(&self.base);
        for (name, value) in [Some((NAME, name)), extra].into_iter().flatten() {
            let text = &self.text;
            match self.series.binary_search_by(|entry| entry.name.of(text).cmp(name.of(text))) {
                Ok(at) => self.series[at].value = value,
                Err(at) => self.series.insert(at, Entry { name, value, rank: Rank::Scope }),
            }
        }
    }

    /// The labels of the series that was named last.
    pub(crate) fn series(&self) -> SeriesLabels<'_> {
        SeriesLabels(Source::Text(&self.text, &self.series))
    }
}

/// Whether cleaning would change nothing.
#[inline]
fn is_clean(key: &str) -> bool {
    let mut is_gap = false;
    key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.bytes().all(|byte| {
            let was_gap = is_gap;
            is_gap = byte == b'_';
            byte.is_ascii_alphanumeric() || (is_gap && !was_gap)
        })
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelSet").field("n_bytes", &self.text.len()).finish_non_exhaustive()
    }
}
