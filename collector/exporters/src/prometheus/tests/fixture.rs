//! Scrapes written as exposition text or put together by hand.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use config::Node;
use exposition::{Event, Format, Parser, series_labels};
use model::{
    Batch, Exemplar, Family, Histogram, Kind, Labels, Point, STALE_BITS, Scrape, SeriesTable, TargetInfo,
    Timestamp, canonical_bits,
};
use pipeline::{Bodies, Component, Exporter, Site};

use super::super::{Config, Prometheus};

/// Time of every scrape.
pub(in crate::prometheus) const AT: Timestamp = Timestamp(1_700_000_100_000);

/// An exporter that was not started.
pub(in crate::prometheus) fn exporter(yaml: &str) -> Prometheus {
    let node: Node = config::parse(&format!("endpoint: 127.0.0.1:0\n{yaml}"), "test.yaml").unwrap().root;
    let config = config::read::<Config>(&node, "exporters::prometheus").unwrap();
    Prometheus::build(config, &Site::for_test("prometheus", None)).unwrap()
}

pub(in crate::prometheus) fn put(exporter: &Prometheus, scrape: &Scrape) {
    exporter.encode(&Batch::from_scrape(scrape.clone()), &mut Bodies::new(1)).unwrap();
}

/// Builds a scrape of a target of job `j` at `h:1`.
#[derive(Default)]
pub(in crate::prometheus) struct Builder {
    table: SeriesTable,
    family: Option<u32>,
    scrape: Scrape,
}

impl Builder {
    pub(in crate::prometheus) fn new() -> Self {
        Self::default()
    }

    pub(in crate::prometheus) fn family(self, name: &str, kind: Kind) -> Self {
        self.described(Family { name: name.into(), kind, ..Family::default() })
    }

    pub(in crate::prometheus) fn described(mut self, family: Family) -> Self {
        self.family = Some(self.table.family_index(family));
        self
    }

    pub(in crate::prometheus) fn orphaned(mut self) -> Self {
        self.family = None;
        self
    }

    pub(in crate::prometheus) fn sample(self, name: &str, labels: &[(&str, &str)], value: f64) -> Self {
        self.bits(name, labels, canonical_bits(value))
    }

    fn bits(mut self, name: &str, labels: &[(&str, &str)], bits: u64) -> Self {
        let mut all: Labels = labels.iter().copied().collect();
        all.set("__name__", name);
        all.set_if_absent("job", "j");
        all.set_if_absent("instance", "h:1");
        let series = self.table.insert(all.iter(), self.family);
        self.scrape.points.push(Point { series, bits });
        self
    }

    fn index(&self) -> u32 {
        u32::try_from(self.scrape.points.len() - 1).unwrap()
    }

    pub(in crate::prometheus) fn histogram(
        self,
        name: &str,
        labels: &[(&str, &str)],
        histogram: Histogram,
    ) -> Self {
        let sum = histogram.sum;
        let mut this = self.family(name, Kind::Histogram).sample(name, labels, sum);
        let index = this.index();
        this.scrape.histograms.push((index, histogram));
        this
    }

    pub(in crate::prometheus) fn start(mut self, start: Timestamp) -> Self {
        let index = self.index();
        self.scrape.starts.push((index, start));
        self
    }

    pub(in crate::prometheus) fn exemplar(self, labels: &[(&str, &str)], value: f64) -> Self {
        let labels = labels.iter().copied().collect();
        self.exemplified(Exemplar { labels, value, at: None })
    }

    fn exemplified(mut self, exemplar: Exemplar) -> Self {
        let index = self.index();
        self.scrape.exemplars.push((index, exemplar));
        self
    }

    pub(in crate::prometheus) fn scrape(self) -> Scrape {
        let labels = [("job", "j"), ("instance", "h:1")].into_iter().collect();
        let target = TargetInfo { labels, ..TargetInfo::default() };
        Scrape { target: Arc::new(target), table: Arc::new(self.table), at: AT, ..self.scrape }
    }
}

/// A scrape of this text; the value `STALE` ends a series.
pub(in crate::prometheus) fn scraped(body: &str) -> Scrape {
    parsed(&body.replace("STALE", &f64::MIN.to_string()), Format::Text)
}

/// Suffixes of series that share the family of the name before them.
const SUFFIXES: [&str; 8] = ["_bucket", "_sum", "_count", "_total", "_info", "_created", "_gsum", "_gcount"];

pub(in crate::prometheus) fn parsed(body: &str, format: Format) -> Scrape {
    let mut families: HashMap<String, Family> = HashMap::new();
    let mut builder = Builder::new();
    let mut kind = Kind::Unknown;
    let mut parser = Parser::new(format, body.as_bytes());
    while let Some(event) = parser.next(b"") {
        let mut describe = |name: Cow<'_, str>, edit: &dyn Fn(&mut Family)| {
            let family = families.entry(name.to_string()).or_default();
            family.name = name.into();
            edit(family);
        };
        match event.unwrap() {
            Event::Type { family, kind: new } => {
                kind = new;
                describe(family, &|family| family.kind = new);
            }
            Event::Help { family, text } => describe(family, &|family| family.help = (*text).into()),
            Event::Unit { family, unit } => describe(family, &|family| family.unit = (*unit).into()),
            Event::Sample(sample) => {
                let mut labels = Vec::new();
                series_labels(format, sample.series, kind, &mut labels).unwrap();
                let name = labels[0].1.to_string();
                let parents = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
                let family = [&*name].into_iter().chain(parents).find_map(|name| families.get(name));
                builder = match family {
                    Some(family) => builder.described(family.clone()),
                    None => builder.orphaned(),
                };
                let labels: Vec<(&str, &str)> =
                    labels[1..].iter().map(|(name, value)| (&**name, &**value)).collect();
                let is_stale = sample.value == f64::MIN;
                let bits = if is_stale { STALE_BITS } else { canonical_bits(sample.value) };
                builder = builder.bits(&name, &labels, bits);
                if let Some(at) = sample.timestamp {
                    let index = builder.index();
                    builder.scrape.timestamps.push((index, at));
                }
                if let Some(exemplar) = sample.exemplar {
                    let (value, at) = (exemplar.value, exemplar.timestamp);
                    builder =
                        builder.exemplified(Exemplar { labels: exemplar.labels().collect(), value, at });
                }
            }
            _ => {}
        }
    }
    builder.scrape()
}
