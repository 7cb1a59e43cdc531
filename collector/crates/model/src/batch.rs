//! What moves between components.

use std::fmt;

use bytes::Bytes;

use crate::{Histogram, Scrape};

/// The three kinds of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Logs.
    Logs,
    /// Traces.
    Traces,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Logs, Self::Traces];

    /// The word that begins a pipeline's id: `metrics`, `logs`, `traces`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Traces => "traces",
        }
    }

    /// What one item is called in the names of our own metrics: `metric_points`, `log_records`, `spans`.
    #[must_use]
    pub fn items(self) -> &'static str {
        match self {
            Self::Metrics => "metric_points",
            Self::Logs => "log_records",
            Self::Traces => "spans",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals(u8);

impl Signals {
    /// None.
    pub const NONE: Self = Self(0);
    /// Metrics only.
    pub const METRICS: Self = Self(1 << Signal::Metrics as u8);
    /// Logs only.
    pub const LOGS: Self = Self(1 << Signal::Logs as u8);
    /// Traces only.
    pub const TRACES: Self = Self(1 << Signal::Traces as u8);
    /// All three.
    pub const ALL: Self = Self(0b111);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the signal is in the set.
    #[must_use]
    pub const fn has(self, signal: Signal) -> bool {
        self.0 & (1 << signal as u8) != 0
    }

    /// The signals of the set.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.into_iter().filter(move |signal| self.has(*signal))
    }
}

impl From<Signal> for Signals {
    fn from(signal: Signal) -> Self {
        Self(1 << signal as u8)
    }
}

/// OTLP as it was received: the encoded `ResourceMetrics`, `ResourceLogs` or `ResourceSpans` messages, without the tag
/// and length that frame them in a request. Cloning copies reference counts only. Strings inside are bytes: broken
/// UTF-8 passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// One encoded resource message each.
    pub resources: Vec<Bytes>,
    /// Points, records or spans in all of them together.
    pub n_items: usize,
}

impl Frames {
    /// Bytes of all messages.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.resources.iter().map(Bytes::len).sum()
    }
}

/// Metrics in the form in which they arrived.
#[derive(Clone, Debug)]
pub enum Metrics {
    /// One scrape of one target.
    Scrape(Scrape),
    /// OTLP, still encoded.
    Otlp(Frames),
}

/// What moves between components: one signal, in the form in which it arrived.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Metrics.
    Metrics(Metrics),
    /// Logs, as OTLP.
    Logs(Frames),
    /// Traces, as OTLP.
    Traces(Frames),
}

impl Batch {
    /// A batch of OTLP of the given signal.
    #[must_use]
    pub fn from_frames(signal: Signal, frames: Frames) -> Self {
        match signal {
            Signal::Metrics => Self::Metrics(Metrics::Otlp(frames)),
            Signal::Logs => Self::Logs(frames),
            Signal::Traces => Self::Traces(frames),
        }
    }

    /// A batch of one scrape.
    #[must_use]
    pub fn from_scrape(scrape: Scrape) -> Self {
        Self::Metrics(Metrics::Scrape(scrape))
    }

    /// Which signal this is.
    #[must_use]
    pub fn signal(&self) -> Signal {
        match self {
            Self::Metrics(_) => Signal::Metrics,
            Self::Logs(_) => Signal::Logs,
            Self::Traces(_) => Signal::Traces,
        }
    }

    /// Points, records or spans.
    #[must_use]
    pub fn n_items(&self) -> usize {
        match self {
            Self::Metrics(Metrics::Scrape(scrape)) => scrape.points.len(),
            Self::Metrics(Metrics::Otlp(frames)) | Self::Logs(frames) | Self::Traces(frames) => {
                frames.n_items
            }
        }
    }

    /// Memory that the batch holds alone, in bytes: what a limit by bytes counts.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        match self {
            Self::Metrics(Metrics::Scrape(scrape)) => {
                let histogram = |(_, value): &(u32, Histogram)| size_of::<Histogram>() + value.heap_bytes();
                size_of_val(&scrape.points[..]) + scrape.histograms.iter().map(histogram).sum::<usize>()
            }
            Self::Metrics(Metrics::Otlp(frames)) | Self::Logs(frames) | Self::Traces(frames) => {
                frames.n_bytes()
            }
        }
    }
}
