//! Where what Debian's Prometheus 2.42 tells is not what is expected of us, page by page, and why.
//!
//! An exception turns the one into the other; the test then demands that muster tells exactly that, and that the exception
//! was needed.

use std::collections::BTreeSet;

use super::story::{Labels, STALE, Sample, Scrape, Story};

/// A difference that is meant.
pub(super) struct Exception {
    pub(super) why: &'static str,
    /// Makes what Debian's version tells what is expected of us.
    pub(super) turn: fn(&mut Story),
}

pub(super) const EMPTY_OPENMETRICS: Exception = Exception {
    why: "since 3.0 an empty answer is a good scrape in every format; 2.42 misses `# EOF`",
    turn: |story| story.scrapes.iter_mut().for_each(|scrape| report(scrape, "up", 1.0)),
};

pub(super) const LONG_DOWN: Exception = Exception {
    why: "after ten failed scrapes muster forgets a target's series to free their memory, and counts them as added when \
          they are back; Prometheus remembers them as long as it fails",
    turn: |story| report(&mut story.scrapes[20], "scrape_series_added", 4.0),
};

pub(super) const HALF_READ: Exception = Exception {
    why: "a scrape that fails half-way ends every series in muster; Prometheus, old and new, spares those in front of \
          the failure, and ends them when the next scrape fails as well",
    turn: end_at_failure,
};

pub(super) const MANY_SAMPLES: Exception = Exception {
    why: "as `HALF_READ`; 2.42 also takes series of failed scrapes for known after a good scrape without them",
    turn: |story| {
        end_at_failure(story);
        for scrape in story.scrapes.iter_mut().skip(16).step_by(15) {
            report(scrape, "scrape_series_added", 1.0);
        }
    },
};

pub(super) const WHOLE_BUCKETS: Exception = Exception {
    why: "since 3.0 bounds of buckets and quantiles are spelt as floats: 1 is 1.0",
    turn: |story| {
        let samples = story.scrapes.iter_mut().flatten();
        samples.for_each(|sample| ["le", "quantile"].iter().for_each(|label| spell(sample, label)));
    },
};

pub(super) const RETYPED: Exception = Exception {
    why: "since 3.0 the TYPE decides how bounds are spelt; 2.42 leaves them as they are, and 3.x as they were at first",
    turn: |story| {
        for (index, scrape) in story.scrapes.iter_mut().enumerate() {
            let is_histogram = (index / 4).is_multiple_of(2);
            let Some(bucket) = scrape.iter_mut().find(|sample| sample.name() == "r_bucket") else { continue };
            let mut other = Sample { bits: STALE, ..bucket.clone() };
            spell(if is_histogram { bucket } else { &mut other }, "le");
            if index > 0 && index.is_multiple_of(4) {
                scrape.push(other);
            }
        }
    },
};

pub(super) const TWICE: Exception = Exception {
    why: "since 2.52 the first of two lines of one series is kept; 2.42 sends both",
    turn: |story| story.scrapes.iter_mut().for_each(keep_first),
};

pub(super) const MADE_ONE: Exception = Exception {
    why: "of lines that relabelling makes one series, muster sends and counts the first; Prometheus leaves the others \
          to its storage, and that of 2.42 refuses them only after they were sent",
    turn: |story| {
        story.scrapes.iter_mut().for_each(keep_first);
        report(&mut story.scrapes[0], "scrape_series_added", 2.0);
    },
};

pub(super) const EMPTY_EXPORTED: Exception = Exception {
    why: "since 2.44 a label that is exposed empty leaves its name free; in 2.42 it does not",
    turn: |story| {
        for sample in story.scrapes.iter_mut().flatten() {
            if let Some(value) = sample.labels.remove("exported_exported_team") {
                sample.labels.insert("exported_team".into(), value);
            }
        }
    },
};

pub(super) const INDENTED: Exception = Exception {
    why: "muster skips blanks in front of a line; Prometheus takes them for a part of the name, which 2.42 refuses and \
          3.x keeps",
    turn: |story| {
        for (n, scrape) in story.scrapes.iter_mut().enumerate() {
            good(scrape, n, &[(&[("__name__", "plain")], n as f64), (&[("__name__", "indented")], n as f64)]);
        }
    },
};

pub(super) const UTF8_NAMES: Exception = Exception {
    why: "since 3.0 names may be any UTF-8; our remote write 1.0 sends them in the old character set",
    turn: |story| {
        for (n, scrape) in story.scrapes.iter_mut().enumerate() {
            let dotted: &[(&str, &str)] = &[("__name__", "dotted_name"), ("a_label", "x")];
            good(scrape, n, &[(dotted, n as f64), (&[("__name__", "plain")], 1.0)]);
        }
    },
};

pub(super) const FALLBACK: Exception = Exception {
    why: "2.42 reads what it does not know as text; fallback_scrape_protocol says that it is OpenMetrics",
    turn: |story| {
        for scrape in story.scrapes.iter_mut().skip(2).step_by(3) {
            report(scrape, "up", 0.0);
            scrape.iter_mut().filter(|sample| !sample.is_report()).for_each(|sample| sample.bits = STALE);
        }
    },
};

pub(super) const MINUS_ZERO: Exception = Exception {
    why: "Prometheus, old and new, leaves a value out of the message that equals zero, and with it the sign",
    turn: |story| {
        let samples = story.scrapes.iter_mut().flatten().filter(|sample| sample.name() == "minus_zero");
        samples.for_each(|sample| sample.bits = (-0.0_f64).to_bits());
    },
};

/// Gives a report series another value.
fn report(scrape: &mut Scrape, name: &str, value: f64) {
    scrape.iter_mut().filter(|sample| sample.name() == name).for_each(|sample| sample.bits = value.to_bits());
}

/// Makes a scrape the good n-th one of a page whose series never change.
fn good(scrape: &mut Scrape, n: usize, page: &[(&[(&str, &str)], f64)]) {
    let up = scrape.iter().find(|sample| sample.name() == "up").map(|up| up.labels.clone());
    let target = up.expect("every scrape has `up`");
    scrape.retain(Sample::is_report);
    for (labels, value) in page {
        let own = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        let labels: Labels = target.clone().into_iter().chain(own).collect();
        scrape.push(Sample { labels, bits: value.to_bits() });
    }
    report(scrape, "up", 1.0);
    report(scrape, "scrape_samples_scraped", page.len() as f64);
    report(scrape, "scrape_samples_post_metric_relabeling", page.len() as f64);
    report(scrape, "scrape_series_added", if n == 0 { page.len() as f64 } else { 0.0 });
}

/// Ends what was there before a failed scrape at that scrape, and nothing later.
fn end_at_failure(story: &mut Story) {
    let mut live: BTreeSet<Labels> = BTreeSet::new();
    for scrape in &mut story.scrapes {
        let is_up = scrape.iter().any(|sample| sample.name() == "up" && sample.bits == 1.0_f64.to_bits());
        scrape.retain(|sample| sample.bits != STALE || (is_up && live.contains(&sample.labels)));
        let here = scrape.iter().filter(|sample| !sample.is_report() && sample.bits != STALE);
        let here: BTreeSet<Labels> = here.map(|sample| sample.labels.clone()).collect();
        let before = std::mem::replace(&mut live, here);
        if !is_up {
            scrape.extend(before.into_iter().map(|labels| Sample { labels, bits: STALE }));
        }
    }
}

/// Keeps the first sample of each series.
fn keep_first(scrape: &mut Scrape) {
    let mut seen = BTreeSet::new();
    scrape.retain(|sample| seen.insert(sample.labels.clone()));
}

/// Spells a whole number in a label as a float.
fn spell(sample: &mut Sample, label: &str) {
    if let Some(bound) = sample.labels.get_mut(label)
        && bound.bytes().all(|byte| byte.is_ascii_digit())
    {
        bound.push_str(".0");
    }
}
