//! Facts about scraped series that both directions share.
//!
//! A metric that was scraped carries `prometheus.type` in its metadata, as the Go collector writes it; on the way back it
//! says that name and labels are final. Two more keys are ours. [`ABSENT`] names what the series do not have but
//! OTLP's form of them would bring back: without it a series from a federation that has no `instance` would come back
//! with one. [`FAMILY`] keeps the name under which TYPE and HELP were exposed.

use model::{Family, Kind, SeriesId, SeriesTable};
use wire::otlp::{AnyValue, Metric};

use crate::labels::Rank;

/// Metadata key under which the exposed type travels.
pub(crate) const TYPE: &str = "prometheus.type";

/// Metadata key for what the series do not have; the value is a list of [`Absent::WORDS`].
pub(crate) const ABSENT: &str = "muster.absent";

/// Metadata key for the name of the family, where it is not that of the metric: `foo` of `foo_total`.
pub(crate) const FAMILY: &str = "muster.family";

/// Prefix of labels that describe the scope.
pub(crate) const SCOPE_PREFIX: &str = "otel_scope_";

/// Name of the series whose labels describe the resource.
pub(crate) const TARGET_INFO: &str = "target_info";

/// The scope of scraped series that name none: name and version of the receiver.
///
/// The name is that of the Go collector's receiver, under which backends know such metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeInfo<'a> {
    /// The scope's name.
    pub name: &'a str,
    /// The scope's version.
    pub version: &'a str,
}

/// Name of the scope of scraped series; a scope of this name gives no `otel_scope_` labels.
pub(crate) const OWN_SCOPE: &str =
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver";

impl<'a> ScopeInfo<'a> {
    /// The scope of the Prometheus receiver, in this version of the program.
    #[must_use]
    pub fn prometheus_receiver(version: &'a str) -> Self {
        Self { name: OWN_SCOPE, version }
    }
}

/// What a series does not have although its form in OTLP suggests it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Absent(u16);

impl Absent {
    pub(crate) const JOB: Self = Self(1);
    pub(crate) const INSTANCE: Self = Self(2);
    /// The bucket without a bound.
    pub(crate) const INFINITE_BUCKET: Self = Self(4);
    /// The sum of a summary.
    pub(crate) const SUM: Self = Self(8);
    /// Counts of a native histogram that are integers: it is one of floats.
    pub(crate) const INTEGERS: Self = Self(16);
    /// The classic series of an explicit histogram: it is a native one with bounds of its own.
    pub(crate) const CLASSIC: Self = Self(32);
    /// The unit at the end of the name, which was trimmed.
    pub(crate) const UNIT_SUFFIX: Self = Self(64);
    /// `_total` at the end of the name, which was trimmed.
    pub(crate) const TOTAL_SUFFIX: Self = Self(128);

    const WORDS: [(&str, Self); 8] = [
        ("job", Self::JOB),
        ("instance", Self::INSTANCE),
        ("le=+Inf", Self::INFINITE_BUCKET),
        ("sum", Self::SUM),
        ("integers", Self::INTEGERS),
        ("classic", Self::CLASSIC),
        ("suffix=unit", Self::UNIT_SUFFIX),
        ("suffix=total", Self::TOTAL_SUFFIX),
    ];

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The list that travels in metadata.
    pub(crate) fn print(self) -> String {
        let words: Vec<&str> = Self::WORDS.iter().filter(|row| self.has(row.1)).map(|row| row.0).collect();
        words.join(",")
    }

    fn parse(list: &[u8]) -> Self {
        list.split(|byte| *byte == b',')
            .filter_map(|word| Self::WORDS.iter().find(|row| row.0.as_bytes() == word))
            .fold(Self::default(), |all, row| all.with(row.1))
    }

    /// Whether labels of this rank are among what is absent.
    pub(crate) fn hides(self, rank: Rank) -> bool {
        match rank {
            Rank::Job => self.has(Self::JOB),
            Rank::Instance => self.has(Self::INSTANCE),
            _ => false,
        }
    }
}

/// What a metric's metadata says of its scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// The exposed type; none where the metric was not scraped.
    pub(crate) kind: Option<Kind>,
    pub(crate) absent: Absent,
    /// Name of the family; empty where it is that of the metric.
    pub(crate) family: &'a [u8],
}

impl<'a> Origin<'a> {
    pub(crate) fn of(metric: &Metric<'a>) -> Self {
        let mut origin = Self::default();
        for fact in metric.metadata().map_while(Result::ok) {
            let AnyValue::Str(value) = fact.value else { continue };
            if fact.key == TYPE.as_bytes() {
                origin.kind = Some(kind_of(value));
            } else if fact.key == ABSENT.as_bytes() {
                origin.absent = Absent::parse(value);
            } else if fact.key == FAMILY.as_bytes() {
                origin.family = value;
            }
        }
        origin
    }

    pub(crate) fn is_scraped(self) -> bool {
        self.kind.is_some()
    }
}

fn kind_of(word: &[u8]) -> Kind {
    const KINDS: [Kind; 7] = [
        Kind::Counter,
        Kind::Gauge,
        Kind::Histogram,
        Kind::GaugeHistogram,
        Kind::Summary,
        Kind::Info,
        Kind::StateSet,
    ];
    KINDS.into_iter().find(|kind| kind.as_str().as_bytes() == word).unwrap_or(Kind::Unknown)
}

/// Labels of a scraped series that mean something; empty where the series does not have them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known<'a> {
    pub(crate) name: &'a str,
    pub(crate) job: &'a str,
    pub(crate) instance: &'a str,
    pub(crate) le: &'a str,
    pub(crate) quantile: &'a str,
    /// Whether a label describes the scope.
    pub(crate) is_scoped: bool,
}

impl<'a> Known<'a> {
    #[inline]
    pub(crate) fn of(table: &'a SeriesTable, id: SeriesId) -> Self {
        let mut known = Self::default();
        for (name, value) in table.labels(id) {
            match name {
                "__name__" => known.name = value,
                "job" => known.job = value,
                "instance" => known.instance = value,
                "le" => known.le = value,
                "quantile" => known.quantile = value,
                _ => known.is_scoped |= name.starts_with(SCOPE_PREFIX),
            }
        }
        known
    }
}

/// What the scraper says of its own series (`up` ...), for which no exposition has HELP and UNIT: name, HELP, UNIT.
/// The texts are those of the Go collector's receiver.
pub(crate) const REPORT_SERIES: [(&str, &str, &str); 5] = [
    ("up", "The scraping was successful", ""),
    ("scrape_duration_seconds", "Duration of the scrape", "seconds"),
    ("scrape_samples_scraped", "The number of samples the target exposed", ""),
    ("scrape_series_added", "The approximate number of new series in this scrape", ""),
    (
        "scrape_samples_post_metric_relabeling",
        "The number of samples remaining after metric relabeling was applied",
        "",
    ),
];

/// Type, HELP and UNIT of a series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Described<'a> {
    pub(crate) kind: Kind,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
}

impl<'a> Described<'a> {
    pub(crate) fn of(family: Option<&'a Family>, name: &str) -> Self {
        if let Some(family) = family {
            return Self { kind: family.kind, help: &family.help, unit: &family.unit };
        }
        REPORT_SERIES.iter().find(|row| row.0 == name).map_or(Self::default(), |(_, help, unit)| Self {
            kind: Kind::Gauge,
            help,
            unit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_travels_as_words() {
        let absent = Absent::JOB.with(Absent::INFINITE_BUCKET);
        assert_eq!(absent.print(), "job,le=+Inf");
        assert_eq!(Absent::parse(absent.print().as_bytes()), absent);
        assert_eq!(Absent::parse(b"later,words,job"), Absent::JOB);
        for (word, absent) in Absent::WORDS {
            assert_eq!((absent.print().as_str(), Absent::parse(word.as_bytes())), (word, absent));
        }
        assert!(Absent::parse(b"").is_empty());
    }

    #[test]
    fn kinds_are_known_by_the_words_of_type_lines() {
        for kind in [Kind::Counter, Kind::StateSet, Kind::GaugeHistogram, Kind::Unknown] {
            assert_eq!(kind_of(kind.as_str().as_bytes()), kind);
        }
        assert_eq!(kind_of(b"untyped"), Kind::Unknown);
    }
}
