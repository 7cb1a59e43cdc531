mod rows;

use expect_test::{Expect, expect};

use crate::fixture::{frames_of, print_otlp, scrape};

fn check(text: &str, want: &Expect) {
    want.assert_eq(&print_otlp(&frames_of(&scrape(text))));
}

#[test]
fn types_become_the_forms_of_otlp() {
    check(
        r#"
        # TYPE requests_total counter
        # HELP requests_total All requests.
        requests_total{code="200"} 4
        requests_total{code="500"} 1
        # TYPE temperature_celsius gauge
        # UNIT temperature_celsius celsius
        temperature_celsius -3.5
        untyped_thing NaN
        # TYPE build info
        build_info{version="1"} 1
        # TYPE state stateset
        state{state="a"} 1
        # TYPE sizes gaugehistogram
        sizes_bucket{le="+Inf"} 3
        sizes_gcount 3
        up 1
        scrape_duration_seconds 0.25
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                counter requests_total {prometheus.type=counter} [] All requests.
                  {code=200} 4
                  {code=500} 1
                gauge temperature_celsius {prometheus.type=gauge} [Cel] 
                  {} -3.5
                gauge untyped_thing {prometheus.type=unknown} [] 
                  {} NaN
                sum build_info {prometheus.type=info, muster.family=build} [] 
                  {version=1} 1
                sum state {prometheus.type=stateset} [] 
                  {state=a} 1
                gauge up {prometheus.type=gauge} [] The scraping was successful
                  {} 1
                gauge scrape_duration_seconds {prometheus.type=gauge} [s] Duration of the scrape
                  {} 0.25
        "#]],
    );
}

#[test]
fn histograms_are_put_together_whatever_the_order_of_their_series() {
    check(
        r#"
        # TYPE latency_seconds histogram
        # UNIT latency_seconds seconds
        latency_seconds_bucket{path="/a",le="0.5"} 1
        latency_seconds_bucket{path="/b",le="0.5"} 0
        latency_seconds_bucket{path="/a",le="+Inf"} 4
        latency_seconds_bucket{path="/a",le="1.0"} 3
        latency_seconds_sum{path="/a"} 2.5
        latency_seconds_count{path="/a"} 4
        latency_seconds_count{path="/b"} 0
        latency_seconds_bucket{path="/b",le="+Inf"} 0
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                histogram latency_seconds {prometheus.type=histogram} [s] 
                  {path=/a} count 4 sum Some(2.5) bounds [0.5, 1.0] counts [1, 2, 1]
                  {path=/b} count 0 sum None bounds [0.5] counts [0, 0]
        "#]],
    );
}

#[test]
fn a_histogram_without_buckets_has_one_and_a_missing_last_bucket_is_noted() {
    check(
        r#"
        # TYPE a histogram
        a_count 4
        a_sum 2
        # TYPE b histogram
        b_bucket{le="1.0"} 1
        b_count 4
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                histogram a {prometheus.type=histogram, muster.absent=le=+Inf} [] 
                  {} count 4 sum Some(2.0) bounds [] counts [4]
                histogram b {prometheus.type=histogram, muster.absent=le=+Inf} [] 
                  {} count 4 sum None bounds [1.0] counts [1, 3]
        "#]],
    );
}

#[test]
fn the_count_wins_over_the_last_bucket() {
    check(
        r#"
        # TYPE a histogram
        a_bucket{le="1.0"} 1
        a_bucket{le="+Inf"} 3
        a_count 4
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                histogram a {prometheus.type=histogram} [] 
                  {} count 4 sum None bounds [1.0] counts [1, 3]
        "#]],
    );
}

#[test]
fn what_is_no_histogram_stays_the_series_it_was() {
    let gauges_of = |text: &str| {
        let printed = print_otlp(&frames_of(&scrape(&format!("# TYPE a histogram\n{text}"))));
        let names = printed.lines().filter_map(|line| line.trim().strip_prefix("gauge "));
        assert!(!printed.contains(" histogram a"), "{printed}");
        names.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(gauges_of("a_bucket{le=\"1.0\"} 1\na_sum 1"), ["a_bucket", "a_sum"]);
    assert_eq!(gauges_of("a_bucket{le=\"1.0\"} 5\na_count 4"), ["a_bucket", "a_count"]);
    assert_eq!(
        gauges_of("a_bucket{le=\"1.0\"} 2\na_bucket{le=\"2.0\"} 1\na_count 4"),
        ["a_bucket", "a_count"]
    );
    assert_eq!(gauges_of("a_bucket{le=\"1.0\"} NaN\na_count 4"), ["a_bucket", "a_count"]);
    assert_eq!(gauges_of("a_count 1.5"), ["a_count"]);
    assert_eq!(gauges_of("a_count -1"), ["a_count"]);
    assert_eq!(gauges_of("a_count 1e300"), ["a_count"]);
    assert_eq!(gauges_of("a 1"), ["a"]);
    assert_eq!(gauges_of("a_created 1"), ["a_created"]);
}

#[test]
fn a_bound_spelled_another_way_keeps_its_bucket_apart() {
    check(
        r#"
        # TYPE a histogram
        a_bucket{le="1"} 1
        a_bucket{le="+Inf"} 4
        a_count 4
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                gauge a_bucket {prometheus.type=histogram, muster.family=a} [] 
                  {le=1} 1
                histogram a {prometheus.type=histogram} [] 
                  {} count 4 sum None bounds [] counts [4]
        "#]],
    );
}

#[test]
fn summaries_are_put_together() {
    check(
        r#"
        # TYPE rpc_seconds summary
        rpc_seconds{quantile="0.5"} 0.1
        rpc_seconds{quantile="0.99"} NaN
        rpc_seconds_sum 12
        rpc_seconds_count 40
        # TYPE without_sum summary
        without_sum_count 1
        # TYPE without_count summary
        without_count{quantile="0.5"} 1
        without_count_sum 2
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                summary rpc_seconds {prometheus.type=summary} [] 
                  {} count 40 sum 12 quantiles [(0.5, 0.1), (0.99, NaN)]
                summary without_sum {prometheus.type=summary, muster.absent=sum} [] 
                  {} count 1 sum 0 quantiles []
                gauge without_count {prometheus.type=summary} [] 
                  {quantile=0.5} 1
                gauge without_count_sum {prometheus.type=summary, muster.family=without_count} [] 
                  {} 2
        "#]],
    );
}

#[test]
fn stale_series_become_points_without_a_value() {
    check(
        r#"
        # TYPE c counter
        c_total STALE
        # TYPE h histogram
        h_bucket{le="1.0"} STALE
        h_bucket{le="+Inf"} STALE
        h_sum STALE
        h_count STALE
        # TYPE s summary
        s{quantile="0.5"} STALE
        s_sum STALE
        s_count STALE
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                counter c_total {prometheus.type=counter, muster.family=c} [] 
                  {} none stale
                histogram h {prometheus.type=histogram} [] 
                  {} count 0 sum Some(0.0) bounds [1.0] counts [0, 0] stale
                summary s {prometheus.type=summary} [] 
                  {} count 0 sum 0 quantiles [(0.5, 0.0)] stale
        "#]],
    );
}

#[test]
fn a_bucket_that_ends_alone_does_not_end_its_histogram() {
    check(
        r#"
        # TYPE h histogram
        h_bucket{le="1.0"} STALE
        h_bucket{le="2.0"} 1
        h_bucket{le="+Inf"} 1
        h_count 1
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                gauge h_bucket {prometheus.type=histogram, muster.family=h} [] 
                  {le=1.0} none stale
                histogram h {prometheus.type=histogram} [] 
                  {} count 1 sum None bounds [2.0] counts [1, 0]
        "#]],
    );
}

#[test]
fn exposed_times_separate_points() {
    check(
        r#"
        # TYPE h histogram
        h_count 1 1700000000500
        h_count 2
        # TYPE g gauge
        g 1 1700000000001
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                histogram h {prometheus.type=histogram, muster.absent=le=+Inf} [] 
                  {} count 1 sum None bounds [] counts [1] at +500ms
                  {} count 2 sum None bounds [] counts [2]
                gauge g {prometheus.type=gauge} [] 
                  {} 1 at +1ms
        "#]],
    );
}

#[test]
fn scope_labels_become_scopes_and_target_info_becomes_the_resource() {
    check(
        r#"
        target_info{env="prod",service_name="x"} 1
        a{otel_scope_name="lib",otel_scope_version="1.2",otel_scope_schema_url="https://s",otel_scope_k="v",x="y"} 1
        b 2
        c{otel_scope_name="lib",otel_scope_version="1.2",otel_scope_schema_url="https://s",otel_scope_k="v"} 3
        d{otel_scope_name="other"} 4
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http, env=prod, service_name=x}
              scope lib@1.2 {k=v} https://s
                gauge a {prometheus.type=unknown} [] 
                  {x=y} 1
                gauge c {prometheus.type=unknown} [] 
                  {} 3
              scope prometheusreceiver@1.0 {} 
                gauge b {prometheus.type=unknown} [] 
                  {} 2
              scope other@ {} 
                gauge d {prometheus.type=unknown} [] 
                  {} 4
        "#]],
    );
}

#[test]
fn series_of_other_jobs_have_resources_of_their_own() {
    check(
        r#"
        a{job="db",instance="db:1"} 1
        b 2
        c{job="db",instance="db:1"} 3
        target_info{job="db",instance="db:1",env="prod"} 1
        target_info{job="gone",instance="gone:1",env="prod"} 1
        d{instance=""} 4
        e{job="",instance=""} 5
        "#,
        &expect![[r#"
            resource {service.name=db, server.address=db, service.instance.id=db:1, server.port=1, url.scheme=http, env=prod}
              scope prometheusreceiver@1.0 {} 
                gauge a {prometheus.type=unknown} [] 
                  {} 1
                gauge c {prometheus.type=unknown} [] 
                  {} 3
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                gauge b {prometheus.type=unknown} [] 
                  {} 2
                gauge d {prometheus.type=unknown, muster.absent=instance} [] 
                  {} 4
                gauge e {prometheus.type=unknown, muster.absent=job,instance} [] 
                  {} 5
        "#]],
    );
}

#[test]
fn exemplars_keep_their_ids_where_they_are_ids() {
    check(
        r#"
        # TYPE c counter
        c_total 1 # {trace_id="0AF7651916cd43dd8448eb211c80319c",span_id="b7ad6b7169203331",user="u"} 0.5 1700000000001
        d_total 1 # {trace_id="short",span_id="0000000000000000"} 2
        # TYPE h histogram
        h_bucket{le="1.0"} 1 # {a="b"} 0.5
        h_bucket{le="+Inf"} 2 # {c="d"} 3
        h_count 2
        "#,
        &expect![[r#"
            resource {service.name=app, server.address=10.0.0.1, service.instance.id=10.0.0.1:80, server.port=80, url.scheme=http}
              scope prometheusreceiver@1.0 {} 
                counter c_total {prometheus.type=counter, muster.family=c} [] 
                  {} 1
                    exemplar 0.5 trace 0af7651916cd43dd8448eb211c80319c span b7ad6b7169203331 {user=u}
                gauge d_total {prometheus.type=unknown} [] 
                  {} 1
                    exemplar 2 trace  span  {span_id=0000000000000000, trace_id=short}
                histogram h {prometheus.type=histogram} [] 
                  {} count 2 sum None bounds [1.0] counts [1, 1]
                    exemplar 0.5 trace  span  {a=b}
                    exemplar 3 trace  span  {c=d}
        "#]],
    );
}

#[test]
fn an_empty_scrape_gives_no_frame() {
    assert_eq!(frames_of(&scrape("")).resources.len(), 0);
    assert_eq!(frames_of(&scrape("target_info{a=\"b\"} 1")).resources.len(), 0);
}
