//! A scraped exposition goes through the exporter and comes out with its own names and values.

use std::collections::BTreeMap;

use exposition::Format;
use model::{Labels, Scrape};

use super::fixture::{exporter, parsed, put};
use super::{OPEN_METRICS, UTF8, page};

/// Series and the bits of their values.
fn series(scrape: &Scrape) -> BTreeMap<Labels, u64> {
    let labels = |point: &model::Point| scrape.table.labels(point.series).collect::<Labels>();
    scrape.points.iter().map(|point| (labels(point), point.bits)).collect()
}

pub(super) const OPEN_METRICS_BODY: &str = r##"# TYPE heat_celsius gauge
# UNIT heat_celsius celsius
# HELP heat_celsius How \"warm\" it is.
heat_celsius{room="a b\\c\n\"d\""} 21.5
# TYPE fill_ratio gauge
# UNIT fill_ratio ratio
fill_ratio 0.25
# TYPE queue gauge
# UNIT queue 
queue 3.0
# TYPE job:requests:rate5m gauge
job:requests:rate5m{code="200"} -0.0
# TYPE double__under_score gauge
double__under_score{__x__="1",le="7"} 1e-9
# TYPE odd_bytes_seconds gauge
odd_bytes_seconds NaN
# TYPE requests counter
requests_total{code="200"} 1000000.0 # {trace_id="ab"} 2.0 1700000000.000
requests_created{code="200"} 1700000000.5
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le="0.1"} 1 # {trace_id="cd"} 0.05
latency_seconds_bucket{le="1.0"} 2
latency_seconds_bucket{le="10.0"} 2
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 120.5
latency_seconds_count 3
latency_seconds_created 1700000000.5
# TYPE sizes gaugehistogram
sizes_bucket{le="1.0"} 2
sizes_bucket{le="+Inf"} 3
sizes_gsum 4.0
sizes_gcount 3
# TYPE rpc summary
rpc{quantile="0.5"} 0.2
rpc{quantile="0.99"} NaN
rpc_sum 17.0
rpc_count 4
# TYPE build info
build_info{version="1.2.3",go_version=""} 1.0
# TYPE mood stateset
mood{mood="good"} 1.0
mood{mood="bad"} 0.0
# TYPE mystery unknown
mystery_total 7.0
# TYPE no_total_here counter
no_total_here 1.0
orphan{x="1"} +Inf
# EOF
"##;

pub(super) const TEXT_BODY: &str = r##"# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200"} 10
http_requests_total{code="500"} 0
# TYPE plain counter
plain 4
# TYPE disk_ratio gauge
disk_ratio 0.5
# TYPE a:b::c gauge
a:b::c 1
# TYPE x__y___z gauge
x__y___z 2
# TYPE took_seconds histogram
took_seconds_bucket{path="/",le="0.5"} 1
took_seconds_bucket{path="/",le="1e+06"} 2
took_seconds_bucket{path="/",le="+Inf"} 2
took_seconds_sum{path="/"} 3.5
took_seconds_count{path="/"} 2
took_seconds_bucket{path="/b",le="+Inf"} 0
took_seconds_sum{path="/b"} 0
took_seconds_count{path="/b"} 0
# TYPE gc summary
gc{quantile="0"} 1
gc{quantile="1"} 2
gc_sum 3
gc_count 4
# TYPE only_sum summary
only_sum 1
# TYPE version_info gauge
version_info{v="1"} 1
untyped_thing{job="mine",instance="other"} 9
untyped_thing_total 9
"##;

#[tokio::test]
async fn names_and_values_survive_in_every_text_format() {
    for (input, body) in [(Format::OpenMetrics, OPEN_METRICS_BODY), (Format::Text, TEXT_BODY)] {
        let scrape = parsed(body, input);
        let exporter = exporter("enable_open_metrics: true");
        put(&exporter, &scrape);
        for (accept, output) in
            [("", Format::Text), (UTF8, Format::Text), (OPEN_METRICS, Format::OpenMetrics)]
        {
            let page = page(&exporter, accept).await;
            let mut read = series(&parsed(&page, output));
            read.retain(|labels, _| labels.value("__name__") != "target_info");
            let (given, read) = (printed(&series(&scrape)), printed(&read));
            assert_eq!(given, read, "{accept}:\n{page}");
        }
    }
}

fn printed(series: &BTreeMap<Labels, u64>) -> String {
    series.iter().map(|(labels, bits)| format!("{labels} {bits:x}\n")).collect()
}

#[tokio::test]
async fn types_units_and_exemplars_survive_in_open_metrics() {
    let exporter = exporter("enable_open_metrics: true");
    put(&exporter, &parsed(OPEN_METRICS_BODY, Format::OpenMetrics));
    let page = page(&exporter, OPEN_METRICS).await;
    for line in OPEN_METRICS_BODY.lines().filter(|line| line.starts_with("# TYPE") || line.contains(" # {")) {
        // A counter without `_total` cannot be one in OpenMetrics; what was left unknown goes under its series' name.
        let is_other = ["# TYPE no_total_here counter", "# TYPE mystery unknown"].contains(&line);
        let value = line.split_once(" # ").map_or(line, |parts| parts.1);
        assert!(is_other || page.contains(value), "{line}\n{page}");
    }
    assert!(page.contains("# UNIT heat_celsius celsius\n") && page.contains("# UNIT fill_ratio ratio\n"));
    assert!(page.contains("# HELP heat_celsius How \\\"warm\\\" it is.\n"));
    assert!(page.ends_with("# EOF\n"));
}
