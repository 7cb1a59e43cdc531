//! What a scraper can say: one table each, from which configuration keys, their schema and the reference are made.

use wire::otlp::write::MetricHead;

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value of now that makes no sense added up.
    Gauge,
    /// A value of now that does: an OTLP sum that may go down.
    Sum,
    /// A count since the start time.
    Counter,
}

impl Kind {
    /// In the words of the reference.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Sum => "sum",
            Self::Counter => "monotonic sum",
        }
    }
}

/// Type of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Whole numbers.
    Int,
    /// Fractions.
    Double,
}

/// A key of the points of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The key as it is sent.
    pub key: &'static str,
    /// The name in `attributes` of the configuration, where upstream's differs from the key; both are taken.
    pub name: &'static str,
    /// All values that it can have; empty where they come from the host.
    pub values: &'static [&'static str],
    /// Whether values are sent as integers.
    pub is_integer: bool,
}

impl Attribute {
    /// An attribute whose values come from the host.
    pub(crate) const fn open(key: &'static str) -> Self {
        Self { key, name: key, values: &[], is_integer: false }
    }

    /// An attribute with known values.
    pub(crate) const fn of(key: &'static str, values: &'static [&'static str]) -> Self {
        Self { key, name: key, values, is_integer: false }
    }

    /// The same under another name in the configuration.
    pub(crate) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The same with values that are sent as integers.
    pub(crate) const fn integer(self) -> Self {
        Self { is_integer: true, ..self }
    }
}

/// A row: one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// Its unit, in UCUM notation.
    pub unit: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// Their type.
    pub number: Number,
    /// Keys of its points, in the order in which scrapers give values.
    pub attributes: &'static [Attribute],
    /// Whether it is sent unless the configuration says otherwise.
    pub is_on: bool,
}

impl Metric {
    /// A metric that is sent by default.
    pub(crate) const fn on(
        name: &'static str,
        unit: &'static str,
        (kind, number): (Kind, Number),
        attributes: &'static [Attribute],
        description: &'static str,
    ) -> Self {
        Self { name, description, unit, kind, number, attributes, is_on: true }
    }

    /// A metric that is sent only where the configuration asks for it.
    pub(crate) const fn off(
        name: &'static str,
        unit: &'static str,
        how: (Kind, Number),
        attributes: &'static [Attribute],
        description: &'static str,
    ) -> Self {
        Self { is_on: false, ..Self::on(name, unit, how, attributes, description) }
    }

    /// What an OTLP metric says of itself.
    pub(crate) fn head(&self) -> MetricHead<'static> {
        MetricHead { name: self.name, description: self.description, unit: self.unit }
    }
}

/// Kinds and types by the short names of the tables.
pub(crate) mod how {
    use super::{Kind, Number};

    pub(crate) const INT_COUNTER: (Kind, Number) = (Kind::Counter, Number::Int);
    pub(crate) const COUNTER: (Kind, Number) = (Kind::Counter, Number::Double);
    pub(crate) const INT_SUM: (Kind, Number) = (Kind::Sum, Number::Int);
    pub(crate) const INT_GAUGE: (Kind, Number) = (Kind::Gauge, Number::Int);
    pub(crate) const GAUGE: (Kind, Number) = (Kind::Gauge, Number::Double);
}

/// What was decided about a defect of upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As upstream: dashboards rely on it.
    Kept,
    /// As upstream by default; the gate `muster.hostmetrics.upstreamValues`, switched off, gives the true value.
    Switch,
    /// Right here, wrong upstream.
    Mended,
}

impl Verdict {
    /// In the words of the reference.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Switch => "kept; the gate mends it",
            Self::Mended => "mended",
        }
    }
}

/// One known defect of upstream, what was decided about it, and the test that holds the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The metric or key that it is about.
    pub about: &'static str,
    /// What upstream does.
    pub upstream: &'static str,
    /// What we do.
    pub verdict: Verdict,
    /// Name of the test that says so.
    pub test: &'static str,
}

/// A scraper as data.
pub trait Table: 'static {
    /// Its key below `scrapers`.
    const SCRAPER: &'static str;
    /// Schema URL of what it sends; empty where upstream has none.
    const SCHEMA_URL: &'static str = "";
    /// What it can say.
    const METRICS: &'static [Metric];
    /// What was decided about upstream's defects.
    const DECISIONS: &'static [Decision] = &[];
}

/// The place of a metric in its table, found while compiling: a name that is not there does not compile.
pub(crate) const fn row(metrics: &[Metric], name: &str) -> usize {
    let mut index = 0;
    while index < metrics.len() {
        if is_same(metrics[index].name.as_bytes(), name.as_bytes()) {
            return index;
        }
        index += 1;
    }
    panic!("the table has no metric of this name")
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}
