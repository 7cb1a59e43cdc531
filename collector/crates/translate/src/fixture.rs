//! Scrapes written as exposition text, and translations printed as text.
//!
//! The reader knows just what tests need: TYPE, HELP and UNIT lines, quoted labels and names, times in milliseconds
//! after the value, start times as `st@` and milliseconds, `STALE`, native histograms ([`native`]), exemplars behind ` # `.

mod native;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use model::{
    Exemplar, Family, Frames, Kind, Labels, Point, STALE_BITS, Scrape, SeriesTable, TargetInfo, Timestamp,
    canonical_bits,
};
use wire::otlp::{self, AnyValue, Attributes, Data, ResourceView};
use wire::remote_write::v1;

use crate::{Exemplars, Report, ScopeInfo, Scratch, SeriesRef, ToOtlp, ToSeries};

/// Time of every scrape.
pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

const KINDS: [Kind; 8] = [
    Kind::Unknown,
    Kind::Counter,
    Kind::Gauge,
    Kind::Histogram,
    Kind::GaugeHistogram,
    Kind::Summary,
    Kind::Info,
    Kind::StateSet,
];

/// A scrape of a target of job `app` at `10.0.0.1:80`. Its labels fill what the text does not say; `job=""` in the text
/// leaves a label out.
pub(crate) fn scrape(text: &str) -> Scrape {
    let target = TargetInfo {
        labels: [("instance", "10.0.0.1:80"), ("job", "app")].into_iter().collect(),
        discovered: [("__scheme__", "http")].into_iter().collect(),
    };
    let mut families: HashMap<String, Family> = HashMap::new();
    let mut table = SeriesTable::new();
    let mut scrape = Scrape { at: AT, ..Scrape::default() };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            describe(&mut families, comment);
            continue;
        }
        add_sample(&mut scrape, &mut table, &families, &target, line);
    }
    Scrape { target: Arc::new(target), table: Arc::new(table), ..scrape }
}

fn describe(families: &mut HashMap<String, Family>, comment: &str) {
    let mut words = comment.splitn(3, ' ');
    let (what, name, rest) =
        (words.next().unwrap(), words.next().unwrap().trim_matches('"'), words.next().unwrap_or(""));
    let family =
        families.entry(name.to_owned()).or_insert_with(|| Family { name: name.into(), ..Family::default() });
    match what {
        "TYPE" => family.kind = KINDS.into_iter().find(|kind| kind.as_str() == rest).unwrap(),
        "HELP" => family.help = rest.into(),
        "UNIT" => family.unit = rest.into(),
        _ => panic!("{what}"),
    }
}

fn add_sample(
    scrape: &mut Scrape,
    table: &mut SeriesTable,
    families: &HashMap<String, Family>,
    target: &TargetInfo,
    line: &str,
) {
    let (line, exemplar) = line.split_once(" # ").map_or((line, None), |(line, rest)| (line, Some(rest)));
    let (pairs, rest) = read_series(line);
    let name = pairs[0].1.clone();
    let mut labels: Labels = pairs.iter().cloned().collect();
    for (label, value) in target.labels.iter() {
        if !pairs.iter().any(|pair| pair.0 == label) {
            labels.set(label, value);
        }
    }
    let family = family_of(families, &name).map(|family| table.family_index(family.clone()));
    let series = table.insert(labels.iter(), family);
    let mut words = rest.split_whitespace();
    let index = u32::try_from(scrape.points.len()).unwrap();
    let value = words.next().unwrap();
    let bits = match value.strip_prefix("native(").and_then(|rest| rest.strip_suffix(')')) {
        Some(text) => {
            let histogram = native::read(text);
            let bits = histogram.sum.to_bits();
            scrape.histograms.push((index, histogram));
            bits
        }
        None if value == "STALE" => STALE_BITS,
        None => canonical_bits(value.parse().unwrap()),
    };
    for word in words {
        match word.strip_prefix("st@") {
            Some(start) => scrape.starts.push((index, Timestamp(start.parse().unwrap()))),
            None => scrape.timestamps.push((index, Timestamp(word.parse().unwrap()))),
        }
    }
    if let Some(text) = exemplar {
        let (labels, rest) = read_series(text);
        let mut words = rest.split_whitespace();
        let value = words.next().unwrap().parse().unwrap();
        let at = words.next().map(|time| Timestamp(time.parse().unwrap()));
        scrape.exemplars.push((index, Exemplar { labels: labels.into_iter().skip(1).collect(), value, at }));
    }
    scrape.points.push(Point { series, bits });
}

/// The family of a sample, as Prometheus looks for it: by its name, then without a suffix.
fn family_of<'f>(families: &'f HashMap<String, Family>, name: &str) -> Option<&'f Family> {
    let suffixes = ["_bucket", "_count", "_sum", "_total", "_info", "_created", "_gcount", "_gsum"];
    let stripped = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
    std::iter::once(name).chain(stripped).find_map(|name| families.get(name))
}

/// Labels, the name first, and what follows them.
fn read_series(line: &str) -> (Vec<(String, String)>, &str) {
    let end = line.find(['{', ' ']).unwrap_or(line.len());
    let mut pairs = vec![("__name__".to_owned(), line[..end].to_owned())];
    let Some(inside) = line[end..].strip_prefix('{') else { return (pairs, &line[end..]) };
    let close = inside.rfind('}').unwrap();
    for part in inside[..close].split("\",").filter(|part| !part.is_empty()) {
        match part.split_once("=\"") {
            Some((name, value)) => {
                let value = value.strip_suffix('"').unwrap_or(value);
                pairs.push((name.trim().trim_matches('"').to_owned(), value.to_owned()));
            }
            // A quoted name in braces.
            None => pairs[0].1 = part.trim().trim_matches('"').to_owned(),
        }
    }
    (pairs, &inside[close + 1..])
}

fn print_value(bits: u64) -> String {
    if bits == STALE_BITS { "STALE".to_owned() } else { f64::from_bits(bits).to_string() }
}

/// Its time only where it is not that of the sample.
fn print_exemplar(out: &mut String, exemplar: &Exemplar, sample: Timestamp) {
    write!(out, " # {} {}", exemplar.labels, exemplar.value).unwrap();
    if let Some(at) = exemplar.at.filter(|at| *at != sample) {
        write!(out, " {at}").unwrap();
    }
}

/// One line: labels, value, time if it is not [`AT`], exemplars.
pub(crate) fn print_series(series: SeriesRef<'_>) -> String {
    let names: Vec<&str> = series.labels.iter().map(|label| label.0).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    assert!(series.labels.iter().all(|label| !label.1.is_empty()), "{}", series.labels);
    let value = series.histogram.map_or_else(|| print_value(series.bits), native::print);
    let mut line = format!("{} {value}", series.labels);
    if series.at != AT {
        write!(line, " {}", series.at).unwrap();
    }
    series.exemplars.iter().for_each(|exemplar| print_exemplar(&mut line, exemplar, series.at));
    line
}

/// What a scrape becomes without OTLP in between.
pub(crate) fn directly(options: &ToSeries, scrape: &Scrape, scratch: &mut Scratch) -> (Vec<String>, Report) {
    let mut lines = Vec::new();
    let report = options.scrape(scrape, scratch, &mut |series| lines.push(print_series(series)));
    assert_eq!(report.n_samples, lines.len());
    (lines, report)
}

/// A series with what is known of its family, and its bytes in remote write 1.
pub(crate) type Whole = (String, Vec<u8>);

fn print_whole(series: SeriesRef<'_>) -> Whole {
    let mut bytes = Vec::new();
    let (labels, exemplars, at) = (series.labels.iter(), series.exemplars.iter(), series.at.millis());
    match series.histogram {
        Some(histogram) => v1::append_histogram_series(&mut bytes, labels, histogram, at, exemplars),
        None => v1::append_series(&mut bytes, labels, &[(series.bits, at)], exemplars),
    }
    let family = series.family;
    v1::append_metadata(&mut bytes, family.kind, family.name, family.help, family.unit);
    // An exemplar without a time has that of its sample once it is written, so the bytes speak for exemplars.
    let bare = SeriesRef { exemplars: Exemplars::default(), ..series };
    (format!("{} of {family:?}", print_series(bare)), bytes)
}

/// Series, bytes and families that a scrape becomes, sorted: without OTLP in between, and with it.
pub(crate) fn both_ways(
    options: &ToSeries,
    scrape: &Scrape,
    scratch: &mut Scratch,
) -> [(Vec<Whole>, Report); 2] {
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    let direct_report = options.scrape(scrape, scratch, &mut |series| direct.push(print_whole(series)));
    let (frames, losses) = translated(scrape);
    let mut report = options.otlp(&frames, scratch, &mut |series| through.push(print_whole(series)));
    report.add_losses(&losses);
    direct.sort();
    through.sort();
    [(direct, direct_report), (through, report)]
}

/// What OTLP becomes.
pub(crate) fn from_otlp(options: &ToSeries, frames: &Frames, scratch: &mut Scratch) -> (Vec<String>, Report) {
    let mut lines = Vec::new();
    let report = options.otlp(frames, scratch, &mut |series| lines.push(print_series(series)));
    assert_eq!(report.n_samples, lines.len());
    (lines, report)
}

/// What a scrape becomes with OTLP in between.
pub(crate) fn through_otlp(
    options: &ToSeries,
    scrape: &Scrape,
    scratch: &mut Scratch,
) -> (Vec<String>, Report) {
    from_otlp(options, &frames_of(scrape), scratch)
}

pub(crate) fn frames_of(scrape: &Scrape) -> Frames {
    translated(scrape).0
}

/// A scrape as OTLP, and what could not be told.
pub(crate) fn translated(scrape: &Scrape) -> (Frames, Report) {
    let (frames, report) = ToOtlp::new(ScopeInfo::prometheus_receiver("1.0")).scrape(scrape);
    check_frames(&frames);
    (frames, report)
}

pub(crate) fn check_frames(frames: &Frames) {
    let n_items: usize = frames
        .resources
        .iter()
        .map(|resource| {
            let n_items = otlp::check(model::Signal::Metrics, resource).unwrap();
            assert_eq!(n_items, otlp::count_items(model::Signal::Metrics, resource).unwrap());
            n_items
        })
        .sum();
    assert_eq!(frames.n_items, n_items);
}

pub(crate) fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn print_attributes(attributes: Attributes<'_>) -> String {
    let texts: Vec<String> = attributes
        .map(|attribute| {
            let attribute = attribute.unwrap();
            let AnyValue::Str(value) = attribute.value else { panic!("{attribute:?}") };
            format!("{}={}", String::from_utf8_lossy(attribute.key), String::from_utf8_lossy(value))
        })
        .collect();
    format!("{{{}}}", texts.join(", "))
}

/// OTLP as indented text.
pub(crate) fn print_otlp(frames: &Frames) -> String {
    let mut out = String::new();
    for resource in &frames.resources {
        let view = ResourceView::new(resource).unwrap();
        writeln!(out, "resource {}", print_attributes(view.resource.attributes())).unwrap();
        for scope in view.scopes().map(Result::unwrap) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (name, version) = (text(scope.scope.name), text(scope.scope.version));
            let name = name.rsplit('/').next().unwrap();
            let attributes = print_attributes(scope.scope.attributes());
            writeln!(out, "  scope {name}@{version} {attributes} {}", text(scope.schema_url)).unwrap();
            for metric in scope.metrics().map(Result::unwrap) {
                let metadata = print_attributes(metric.metadata());
                let (name, unit) = (text(metric.name), text(metric.unit));
                let shape = print_shape(&metric.data);
                writeln!(out, "    {shape} {name} {metadata} [{unit}] {}", text(metric.description)).unwrap();
                print_points(&mut out, metric.data);
            }
        }
    }
    out
}

fn print_shape(data: &Data<'_>) -> &'static str {
    if let Data::Sum { temporality, .. }
    | Data::Histogram { temporality, .. }
    | Data::ExponentialHistogram { temporality, .. } = data
    {
        assert_eq!(*temporality, otlp::Temporality::Cumulative);
    }
    match data {
        Data::Empty => "empty",
        Data::Gauge(_) => "gauge",
        Data::Sum { monotonic: true, .. } => "counter",
        Data::Sum { .. } => "sum",
        Data::Histogram { .. } => "histogram",
        Data::ExponentialHistogram { .. } => "exponential_histogram",
        Data::Summary(_) => "summary",
    }
}

fn print_points(out: &mut String, data: Data<'_>) {
    let when = |time: u64| {
        assert_eq!(time % 1_000_000, 0);
        let at = i64::try_from(time / 1_000_000).unwrap() - AT.millis();
        if at == 0 { String::new() } else { format!(" at {at:+}ms") }
    };
    let stale = |is_stale| if is_stale { " stale" } else { "" };
    match data {
        Data::Empty => {}
        Data::ExponentialHistogram { points, .. } => {
            for point in points.map(Result::unwrap) {
                let (attributes, buckets) =
                    (print_attributes(point.attributes()), native::print_exponential(&point));
                let times = native::print_start(point.start, AT) + &when(point.time);
                writeln!(out, "      {attributes} {buckets}{}{times}", stale(point.is_stale())).unwrap();
                point.exemplars().for_each(|exemplar| print_otlp_exemplar(out, &exemplar.unwrap()));
            }
        }
        Data::Gauge(points) | Data::Sum { points, .. } => {
            for point in points.map(Result::unwrap) {
                let value = point.value.map_or("none".to_owned(), |value| match value {
                    otlp::Number::Double(value) => value.to_string(),
                    otlp::Number::Int(_) => panic!("a scraped value is a float"),
                });
                let attributes = print_attributes(point.attributes());
                let (stale, start) = (stale(point.is_stale()), native::print_start(point.start, AT));
                writeln!(out, "      {attributes} {value}{stale}{start}{}", when(point.time)).unwrap();
                point.exemplars().for_each(|exemplar| print_otlp_exemplar(out, &exemplar.unwrap()));
            }
        }
        Data::Histogram { points, .. } => {
            for point in points.map(Result::unwrap) {
                let attributes = print_attributes(point.attributes());
                let (stale, start) = (stale(point.is_stale()), native::print_start(point.start, AT));
                let bounds: Vec<f64> = point.bounds().map(Result::unwrap).collect();
                let counts: Vec<u64> = point.bucket_counts().map(Result::unwrap).collect();
                let (count, sum) = (point.count, point.sum);
                writeln!(
                    out,
                    "      {attributes} count {count} sum {sum:?} bounds {bounds:?} counts {counts:?}{stale}{start}{}",
                    when(point.time)
                )
                .unwrap();
                point.exemplars().for_each(|exemplar| print_otlp_exemplar(out, &exemplar.unwrap()));
            }
        }
        Data::Summary(points) => {
            for point in points.map(Result::unwrap) {
                let attributes = print_attributes(point.attributes());
                let (stale, start) = (stale(point.is_stale()), native::print_start(point.start, AT));
                let quantiles: Vec<(f64, f64)> = point
                    .quantiles()
                    .map(Result::unwrap)
                    .map(|quantile| (quantile.quantile, quantile.value))
                    .collect();
                let (count, sum) = (point.count, point.sum);
                writeln!(
                    out,
                    "      {attributes} count {count} sum {sum} quantiles {quantiles:?}{stale}{start}{}",
                    when(point.time)
                )
                .unwrap();
            }
        }
    }
}

fn print_otlp_exemplar(out: &mut String, exemplar: &otlp::Exemplar<'_>) {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (trace, span) = (hex(exemplar.trace_id), hex(exemplar.span_id));
    let value = exemplar.value.unwrap().as_f64();
    let attributes = print_attributes(exemplar.filtered_attributes());
    writeln!(out, "        exemplar {value} trace {trace} span {span} {attributes}").unwrap();
}
