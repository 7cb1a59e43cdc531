use world::kubelet::{Answer, FakeKubelet};

use super::fixture::*;
use super::goldens::everything_on;
use crate::{METRICS, Metric, Needs, ValueType};

async fn printed_with(yaml: &str) -> String {
    let kubelet = golden_kubelet().await;
    let scraped = scraped(&kubelet, yaml).await;
    assert_eq!(errors(&scraped), [""; 0]);
    printed(&scraped.frames)
}

/// The lines of a metric.
fn lines<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(name)).collect()
}

#[tokio::test]
async fn every_row_is_sent_as_the_table_says() {
    // A summary in which nothing is absent: of the two containers the first alone, with interfaces also on the pod.
    let text = testdata("summary.json")
        .replace(
            r#""rxBytes":500,"rxErrors":0,"txBytes":600,"txErrors":0"#,
            r#""interfaces":[{"name":"eth0","rxBytes":500,"rxErrors":0,"txBytes":600,"txErrors":0}]"#,
        )
        .replace(r#""usageBytes":104857600"#, r#""availableBytes":1,"usageBytes":104857600"#);
    let pods = testdata("pods.json").replace(
        r#"{"limits":{"cpu":"100m"}}"#,
        r#"{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}}"#,
    );
    let kubelet = golden_kubelet().await;
    kubelet.answer("/stats/summary", Answer::json(text));
    kubelet.answer("/pods", Answer::json(pods));
    let scraped = scraped(&kubelet, &everything_on()).await;
    let resources = decoded(&scraped.frames);
    for row in METRICS {
        let mut all = resources.iter().flat_map(|resource| &resource.scope_metrics[0].metrics);
        let metric =
            all.find(|metric| metric.name == row.name).unwrap_or_else(|| panic!("{} is not sent", row.name));
        let kind = match row.kind {
            crate::Kind::Gauge => "gauge",
            crate::Kind::MonotonicSum => "counter",
            crate::Kind::Sum => "sum",
        };
        assert_eq!(
            (&*metric.unit, &*metric.description, kind_of(metric)),
            (row.unit, row.description, kind),
            "{}",
            row.name
        );
        for point in points_of(metric) {
            use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
            let is_int = matches!(point.value, Some(Value::AsInt(_)));
            assert_eq!(is_int, row.value == ValueType::Int, "{}", row.name);
            let keys: Vec<&str> = point.attributes.iter().map(|attribute| &*attribute.key).collect();
            assert_eq!(keys, row.attributes, "{}", row.name);
        }
    }
}

use super::fixture::kind as kind_of;

#[tokio::test]
async fn what_is_off_by_default_is_off_and_what_is_on_can_be_switched_off() {
    let text = printed_with("metric_groups: [container, pod, node, volume]\n").await;
    for row in METRICS {
        let is_sent = !lines(&text, &format!("{} ", row.name)).is_empty();
        // The golden pod has no limit of memory.
        let is_absent = row.metric == Metric::PodMemoryAvailable;
        assert_eq!(is_sent, row.is_on && !is_absent, "{}", row.name);
    }
    let off: Vec<String> = METRICS
        .iter()
        .filter(|row| row.is_on)
        .map(|row| format!("{}: {{enabled: false}}", row.name))
        .collect();
    let all = format!("metric_groups: [container, pod, node, volume]\nmetrics: {{{}}}\n", off.join(", "));
    assert_eq!(printed_with(&all).await, "", "a resource about which nothing is said is not sent");
}

#[tokio::test]
async fn groups_choose_resources() {
    for (groups, resources) in [
        ("[node]", vec!["k8s.node.name=n1"]),
        ("[pod]", vec!["web-0"]),
        ("[container]", vec!["k8s.container.name=app", "k8s.container.name=side"]),
        ("[volume]", vec!["k8s.volume.name=data"]),
        ("[]", vec![]),
    ] {
        let text = printed_with(&format!("metric_groups: {groups}\n")).await;
        let heads: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(heads.len(), resources.len(), "{groups}");
        assert!(heads.iter().zip(resources).all(|(head, resource)| head.contains(resource)), "{heads:?}");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_what_nothing_needs() {
    let kubelet = golden_kubelet().await;
    let paths =
        |kubelet: &FakeKubelet| -> Vec<String> { kubelet.seen().into_iter().map(|seen| seen.path).collect() };
    scraped(&kubelet, "").await;
    assert_eq!(paths(&kubelet), ["/stats/summary"]);
    for row in METRICS.iter().filter(|row| row.needs == Needs::Pods) {
        let kubelet = golden_kubelet().await;
        scraped(&kubelet, &format!("metrics: {{{}: {{enabled: true}}}}\n", row.name)).await;
        assert!(paths(&kubelet).contains(&"/pods".to_owned()), "{}", row.name);
    }
    for label in ["container.id", "k8s.volume.type"] {
        let kubelet = golden_kubelet().await;
        scraped(&kubelet, &format!("extra_metadata_labels: [{label}]\n")).await;
        assert!(paths(&kubelet).contains(&"/pods".to_owned()), "{label}");
    }
}

#[tokio::test]
async fn attributes_that_are_not_kept_make_points_one() {
    let io = |of: &'static str| async move {
        let yaml = format!(
            "metric_groups: [node]\ncollect_all_network_interfaces: {{node: true}}\nmetrics: {{k8s.node.network.io: {{{of}}}}}\n"
        );
        let text = printed_with(&yaml).await;
        lines(&text, "k8s.node.network.io By counter: ").join("|")
    };
    let receive_and_transmit = |receive: &str, transmit: &str| {
        format!("{receive} (direction=receive) {transmit} (direction=transmit)")
    };
    assert_eq!(
        io("").await,
        "1111 (interface=eth0, direction=receive) 2222 (interface=eth0, direction=transmit) \
         33 (interface=cni0, direction=receive) 44 (interface=cni0, direction=transmit)"
    );
    assert_eq!(io("attributes: [direction]").await, receive_and_transmit("1144", "2266"));
    assert_eq!(
        io("attributes: [direction], aggregation_strategy: max").await,
        receive_and_transmit("1111", "2222")
    );
    assert_eq!(
        io("attributes: [direction], aggregation_strategy: min").await,
        receive_and_transmit("33", "44")
    );
    assert_eq!(
        io("attributes: [direction], aggregation_strategy: avg").await,
        receive_and_transmit("572", "1133")
    );
    assert_eq!(io("attributes: [interface]").await, "3333 (interface=eth0) 77 (interface=cni0)");
    assert_eq!(io("attributes: []").await, "3410");
}

#[tokio::test]
async fn resource_attributes_can_be_left_out_and_filtered_by() {
    let text =
        printed_with("metric_groups: [pod]\nresource_attributes: {k8s.pod.uid: {enabled: false}}\n").await;
    assert!(text.starts_with("k8s.pod.name=web-0, k8s.namespace.name=shop since"), "{text}");
    let names = |filters: &'static str| async move {
        let yaml = format!(
            "metric_groups: [container]\nresource_attributes: {{k8s.container.name: {{{filters}}}}}\n"
        );
        let text = printed_with(&yaml).await;
        ["app", "side"]
            .into_iter()
            .filter(|name| text.contains(&format!("k8s.container.name={name}")))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("metrics_include: [{strict: app}]").await, ["app"]);
    assert_eq!(names("metrics_include: [{strict: app}, {regexp: ^s}]").await, ["app", "side"]);
    assert_eq!(names("metrics_exclude: [{strict: app}]").await, ["side"]);
    assert_eq!(names("metrics_exclude: [{regexp: p}]").await, ["side"]);
    assert_eq!(names("metrics_include: [{regexp: '.'}], metrics_exclude: [{regexp: 'd.$'}]").await, ["app"]);
    assert_eq!(names("metrics_include: [{strict: ap}]").await, [""; 0]);
    // What a resource does not say is not compared.
    let text = printed_with(
        "metric_groups: [node]\nresource_attributes: {k8s.pod.name: {metrics_include: [{strict: x}]}}\n",
    )
    .await;
    assert!(text.contains("k8s.node.cpu.time"), "{text}");
}

#[tokio::test]
async fn a_container_without_an_id_keeps_its_metrics() {
    let kubelet = golden_kubelet().await;
    kubelet.answer("/pods", Answer::json(testdata("pods.json").replace("cri-o://bbb", "")));
    let scraped =
        scraped(&kubelet, "metric_groups: [container]\nextra_metadata_labels: [container.id]\n").await;
    let text = printed(&scraped.frames);
    let heads: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(heads[0].contains("k8s.container.name=app, container.id=aaa since"), "{text}");
    assert!(heads[1].contains("k8s.container.name=side since"), "{text}");
    assert_eq!((scraped.frames.n_items, scraped.missing.container_ids), (17, 1));
}

#[tokio::test]
async fn an_unknown_start_is_zero_and_has_no_uptime() {
    let text = testdata("summary.json").replacen("2026-01-01T01:00:05Z", "0001-01-01T00:00:00Z", 1);
    let kubelet = golden_kubelet().await;
    kubelet.answer("/stats/summary", Answer::json(text));
    let yaml = "metric_groups: [container]\nmetrics: {container.uptime: {enabled: true}}\n";
    let text = printed(&scraped(&kubelet, yaml).await.frames);
    assert!(text.contains("k8s.container.name=app since 0\n"), "{text}");
    assert_eq!(lines(&text, "container.uptime s counter: "), ["82794"]);
}

#[tokio::test]
async fn every_kind_of_volume_that_upstream_has_a_word_for_is_told_by_that_word() {
    let yaml = "metric_groups: [volume]\nextra_metadata_labels: [k8s.volume.type]\n";
    for (kind, told) in [
        ("configMap", ", k8s.volume.type=configMap since"),
        ("downwardAPI", ", k8s.volume.type=downwardAPI since"),
        ("emptyDir", ", k8s.volume.type=emptyDir since"),
        ("secret", ", k8s.volume.type=secret since"),
        ("hostPath", ", k8s.volume.type=hostPath since"),
        ("awsElasticBlockStore", ", k8s.volume.type=awsElasticBlockStore since"),
        ("gcePersistentDisk", ", k8s.volume.type=gcePersistentDisk since"),
        ("glusterfs", ", k8s.volume.type=glusterfs since"),
        ("projected", " since"),
        ("csi", " since"),
    ] {
        let claim = "\"persistentVolumeClaim\":{\"claimName\":\"data-web-0\"}";
        let pods = testdata("pods.json").replace(claim, &format!("\"{kind}\":{{}}"));
        let kubelet = golden_kubelet().await;
        kubelet.answer("/pods", Answer::json(pods));
        let scraped = scraped(&kubelet, yaml).await;
        assert_eq!(errors(&scraped), [""; 0], "{kind}");
        assert_eq!(scraped.missing.volume_types, u32::from(told == " since"), "{kind}");
        let text = printed(&scraped.frames);
        assert!(text.contains(&format!("k8s.volume.name=data{told}")), "{kind}: {text}");
    }
}

#[tokio::test]
async fn what_is_behind_a_claim_is_looked_up_once_a_pod() {
    let all = [
        "aws.volume.id",
        "fs.type",
        "partition",
        "gce.pd.name",
        "glusterfs.endpoints.name",
        "glusterfs.path",
    ];
    let on: Vec<String> = all.iter().map(|name| format!("{name}: {{enabled: true}}")).collect();
    let yaml = format!(
        "metric_groups: [volume]\nextra_metadata_labels: [k8s.volume.type]\nk8s_api_config: {{}}\nresource_attributes: {{{}}}\n",
        on.join(", ")
    );
    for (volume, told) in [
        (
            "{\"local\":{\"path\":\"/mnt\"}}",
            "k8s.volume.type=local, k8s.persistentvolumeclaim.name=data-web-0 since",
        ),
        (
            "{\"awsElasticBlockStore\":{\"volumeID\":\"vol-1\",\"fsType\":\"ext4\",\"partition\":2}}",
            "k8s.volume.type=awsElasticBlockStore, k8s.persistentvolumeclaim.name=data-web-0, aws.volume.id=vol-1, fs.type=ext4, partition=2 since",
        ),
        (
            "{\"gcePersistentDisk\":{\"pdName\":\"pd-1\",\"fsType\":\"xfs\"}}",
            "k8s.volume.type=gcePersistentDisk, k8s.persistentvolumeclaim.name=data-web-0, gce.pd.name=pd-1, fs.type=xfs, partition=0 since",
        ),
        (
            "{\"glusterfs\":{\"endpoints\":\"g\",\"path\":\"/v\"}}",
            "k8s.volume.type=glusterfs, k8s.persistentvolumeclaim.name=data-web-0, glusterfs.endpoints.name=g, glusterfs.path=/v since",
        ),
        (
            "{\"csi\":{}}",
            "k8s.volume.type=persistentVolumeClaim, k8s.persistentvolumeclaim.name=data-web-0 since",
        ),
    ] {
        let kubelet = golden_kubelet().await;
        kubelet.answer("/api/v1/persistentvolumes/pv-7", Answer::json(format!("{{\"spec\":{volume}}}")));
        let pod = Pod::with_api_at(&kubelet);
        let mut scraper = scraper(&kubelet, &pod, &yaml);
        for _ in 0..3 {
            let scraped = scraper.scrape(NOW, PATIENCE).await;
            assert_eq!(errors(&scraped), [""; 0]);
            let text = printed(&scraped.frames);
            assert!(text.contains(told), "{text}");
        }
        let n_lookups = kubelet.seen().iter().filter(|seen| seen.path.starts_with("/api")).count();
        assert_eq!(n_lookups, 2);
    }
}

#[tokio::test]
async fn a_claim_that_cannot_be_looked_up_stays_a_claim() {
    let yaml = "metric_groups: [volume]\nextra_metadata_labels: [k8s.volume.type]\nk8s_api_config: {}\n";
    for (answer, told) in [
        (Answer::Status(403, "no".to_owned()), "answered 403: no; allow get on persistentvolumeclaims"),
        (Answer::Status(404, "gone".to_owned()), "answered 404: gone"),
        (Answer::json("{\"spec\""), "cannot be read"),
    ] {
        let kubelet = golden_kubelet().await;
        kubelet.answer(CLAIM, answer);
        let scraped = scraped(&kubelet, yaml).await;
        let [error] = &errors(&scraped)[..] else { panic!("one error") };
        assert!(error.contains(told) && error.contains(&format!("{}{CLAIM}", kubelet.url())), "{error}");
        assert!(printed(&scraped.frames).contains("k8s.volume.type=persistentVolumeClaim"));
        assert_eq!(scraped.frames.n_items, 5);
    }
    // A claim that is not bound is no failure.
    let kubelet = golden_kubelet().await;
    kubelet.answer(CLAIM, Answer::json("{\"spec\":{}}"));
    let scraped = scraped(&kubelet, yaml).await;
    assert_eq!((errors(&scraped).len(), scraped.frames.n_items), (0, 5));
}
