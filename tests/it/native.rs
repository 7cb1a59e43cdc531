//! Native histograms on their way from a page to remote write.

use anyhow::{Context, Result, ensure};
use prost::Message;
use wire::remote_write::v1::{WriteRequest, histogram};
use world::http::{self, Server, reply};

use crate::Case;
use crate::paths::{Job, scraped};
use crate::programs::block_on;

pub(crate) const CASES: &[Case] = &[
    Case::new("a_native_histogram_of_a_protobuf_page_arrives_with_its_buckets_in_either_protocol", || {
        block_on(of_protobuf())
    }),
    Case::new(
        "a_classic_histogram_arrives_as_a_native_one_with_custom_buckets_where_that_is_asked_for",
        || block_on(of_classic()),
    ),
];

const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The messages of `io.prometheus.client` as far as the page needs them.
#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    /// 4 is a histogram.
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    positive_deltas: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

async fn of_protobuf() -> Result<()> {
    let histogram = Histogram {
        count: 10,
        sum: 12.5,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 1,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 4, length: 1 }],
        positive_deltas: vec![2, 1, 1],
    };
    let family = MetricFamily {
        name: "rpc_seconds".into(),
        help: "Time of calls.".into(),
        kind: 4,
        metrics: vec![Metric { histogram: Some(histogram) }],
    };
    let body = family.encode_length_delimited_to_vec();
    let page = Server::start(move |_: http::Request| {
        let body = body.clone();
        async move { Ok(reply(200, PROTOBUF, body)) }
    })
    .await?;
    for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        let keys = "scrape_native_histograms: true";
        let request = scraped(&page, &Job { message, keys, ..Job::default() }).await?;
        let histogram = histogram_of(&request, "rpc_seconds")?;
        let spans: Vec<(i32, u32)> =
            histogram.positive_spans.iter().map(|span| (span.offset, span.length)).collect();
        ensure!(histogram.count == Some(histogram::Count::Int(10)), "{message}: {histogram:?}");
        ensure!(histogram.zero_count == Some(histogram::ZeroCount::Int(1)), "{message}: {histogram:?}");
        ensure!((histogram.schema, histogram.sum) == (3, 12.5), "{message}: {histogram:?}");
        ensure!(spans == [(-2, 2), (4, 1)], "{message}: {histogram:?}");
        ensure!(histogram.positive_deltas == [2, 1, 1], "{message}: {histogram:?}");
    }
    Ok(())
}

const CLASSIC: &str = r#"# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.5"} 1
latency_seconds_bucket{le="2"} 3
latency_seconds_bucket{le="+Inf"} 4
latency_seconds_sum 17.5
latency_seconds_count 4
"#;

async fn of_classic() -> Result<()> {
    let page =
        Server::start(|_: http::Request| async { Ok(reply(200, "text/plain; version=0.0.4", CLASSIC)) })
            .await?;
    let keys = "convert_classic_histograms_to_nhcb: true";
    let message = "io.prometheus.write.v2.Request";
    let request = scraped(&page, &Job { message, keys, ..Job::default() }).await?;
    let histogram = histogram_of(&request, "latency_seconds")?;
    ensure!(histogram.schema == -53 && histogram.custom_values == [0.5, 2.0], "{histogram:?}");
    ensure!(histogram.positive_deltas == [1, 1, -1] && histogram.sum == 17.5, "{histogram:?}");
    Ok(())
}

fn histogram_of<'a>(request: &'a WriteRequest, name: &str) -> Result<&'a wire::remote_write::v1::Histogram> {
    let series = request.timeseries.iter().find(|series| series.label("__name__") == name);
    series
        .and_then(|series| series.histograms.first())
        .with_context(|| format!("{name} arrives: {request:?}"))
}
