//! Series that we make about every scrape: `up` and its siblings.
//!
//! As Prometheus `scrape` (`report`): same names, values, help and units; labels of the target only, no
//! `metric_relabel_configs`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use model::{Family, Kind, SeriesId};

use crate::series::SeriesRules;
use crate::store::Store;

/// What there is to say about a scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) is_up: bool,
    pub(crate) duration: Duration,
    pub(crate) n_scraped: u64,
    pub(crate) n_kept: u64,
    pub(crate) n_added: u64,
    pub(crate) timeout: Duration,
    pub(crate) sample_limit: u64,
    /// Bytes after decompression; minus one when they were too many, zero for other failures.
    pub(crate) body_bytes: i64,
}

struct Series {
    name: &'static str,
    help: &'static str,
    unit: &'static str,
    is_extra: bool,
    value: fn(&Report) -> f64,
}

const SERIES: [Series; 8] = [
    Series {
        name: "up",
        help: "Health of the scrape target. 1 means the target is healthy, 0 if the scrape failed.",
        unit: "targets",
        is_extra: false,
        value: |report| f64::from(u8::from(report.is_up)),
    },
    Series {
        name: "scrape_duration_seconds",
        help: "Duration of the last scrape in seconds.",
        unit: "seconds",
        is_extra: false,
        value: |report| report.duration.as_secs_f64(),
    },
    Series {
        name: "scrape_samples_scraped",
        help: "Number of samples last scraped.",
        unit: "samples",
        is_extra: false,
        value: |report| report.n_scraped as f64,
    },
    Series {
        name: "scrape_samples_post_metric_relabeling",
        help: "Number of samples remaining after metric relabeling was applied.",
        unit: "samples",
        is_extra: false,
        value: |report| report.n_kept as f64,
    },
    Series {
        name: "scrape_series_added",
        help: "Number of series in the last scrape.",
        unit: "series",
        is_extra: false,
        value: |report| report.n_added as f64,
    },
    Series {
        name: "scrape_timeout_seconds",
        help: "The configured scrape timeout for a target.",
        unit: "seconds",
        is_extra: true,
        value: |report| report.timeout.as_secs_f64(),
    },
    Series {
        name: "scrape_sample_limit",
        help: "The configured sample limit for a target. Returns zero if there is no limit configured.",
        unit: "samples",
        is_extra: true,
        value: |report| report.sample_limit as f64,
    },
    Series {
        name: "scrape_body_size_bytes",
        help: "The uncompressed size of the last scrape response, if successful. Scrapes failing because \
               body_size_limit is exceeded report -1, other scrape failures report 0.",
        unit: "bytes",
        is_extra: true,
        value: |report| report.body_bytes as f64,
    },
];

/// Their families, whose texts all targets share.
static FAMILIES: LazyLock<Vec<Arc<Family>>> = LazyLock::new(|| {
    let family = |Series { name, help, unit, .. }: &Series| {
        Arc::new(Family {
            name: (*name).into(),
            kind: Kind::Gauge,
            help: (*help).into(),
            unit: (*unit).into(),
        })
    };
    SERIES.iter().map(family).collect()
});

/// The report series of one target.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    ids: Box<[(SeriesId, u8)]>,
}

impl Reports {
    /// Makes the series in the store; `extra` says whether `extra_scrape_metrics` is on.
    pub(crate) fn new(rules: &SeriesRules, extra: bool, store: &mut Store) -> Self {
        let wanted = (0u8..).zip(&SERIES).filter(|(_, series)| extra || !series.is_extra);
        let ids = wanted.map(|(index, series)| {
            let labels = rules.report(series.name);
            let id = store.id_of(&labels, rules.is_plain(&labels));
            store.state_mut(id).is_report = true;
            (id, index)
        });
        Self { ids: ids.collect() }
    }

    /// Puts the series under families of their own.
    pub(crate) fn set_families(&self, store: &mut Store) {
        for (id, index) in &self.ids {
            let family = Arc::make_mut(store.table_mut()).family_index(FAMILIES[usize::from(*index)].clone());
            store.set_family(*id, Some(family));
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> {
        self.ids.iter().map(|(id, _)| *id)
    }

    /// The series with their values.
    pub(crate) fn values(&self, report: &Report) -> impl Iterator<Item = (SeriesId, f64)> {
        self.ids.iter().map(move |(id, index)| (*id, (SERIES[usize::from(*index)].value)(report)))
    }
}

/// Whether a family of this name is ours.
pub(crate) fn is_report(family: &str) -> bool {
    SERIES.iter().any(|series| series.name == family)
}
