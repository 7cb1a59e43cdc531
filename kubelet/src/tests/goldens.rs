use expect_test::expect;

use super::fixture::*;
use crate::METRICS;

/// Every metric that is off by default, on.
pub(super) fn everything_on() -> String {
    let off: Vec<String> = METRICS
        .iter()
        .filter(|row| !row.is_on)
        .map(|row| format!("{}: {{enabled: true}}", row.name))
        .collect();
    format!(
        "metric_groups: [container, pod, node, volume]\nextra_metadata_labels: [container.id, k8s.volume.type]\n\
         collect_all_network_interfaces: {{pod: true, node: true}}\nnode: n1\n\
         k8s_api_config: {{auth_type: serviceAccount}}\nmetrics: {{{}}}\n",
        off.join(", ")
    )
}

#[tokio::test]
async fn default_metrics_of_a_node_with_one_pod() {
    let kubelet = golden_kubelet().await;
    let yaml = "metric_groups: [container, pod, node, volume]\nextra_metadata_labels: [container.id, k8s.volume.type]\n";
    let scraped = scraped(&kubelet, yaml).await;
    assert_eq!(errors(&scraped), [""; 0]);
    let n_metrics: usize =
        decoded(&scraped.frames).iter().map(|resource| resource.scope_metrics[0].metrics.len()).sum();
    assert_eq!((scraped.frames.resources.len(), n_metrics, scraped.frames.n_items), (5, 47, 51));
    expect![[r#"
        k8s.node.name=n1 since 1767225600
          k8s.node.cpu.time s counter: 7200.5
          k8s.node.cpu.usage {cpu} gauge: 1.5
          k8s.node.memory.available By gauge: 6000000000
          k8s.node.memory.usage By gauge: 3000000000
          k8s.node.memory.working_set By gauge: 2000000000
          k8s.node.memory.rss By gauge: 1500000000
          k8s.node.memory.page_faults 1 gauge: 1000
          k8s.node.memory.major_page_faults 1 gauge: 7
          k8s.node.filesystem.available By gauge: 60000000000
          k8s.node.filesystem.capacity By gauge: 100000000000
          k8s.node.filesystem.usage By gauge: 40000000000
          k8s.node.network.io By counter: 1111 (interface=eth0, direction=receive) 2222 (interface=eth0, direction=transmit)
          k8s.node.network.errors 1 counter: 1 (interface=eth0, direction=receive) 2 (interface=eth0, direction=transmit)
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop since 1767229200
          k8s.pod.cpu.time s counter: 540.0
          k8s.pod.cpu.usage {cpu} gauge: 0.15
          k8s.pod.memory.usage By gauge: 104857600
          k8s.pod.memory.working_set By gauge: 90000000
          k8s.pod.memory.rss By gauge: 70000000
          k8s.pod.memory.page_faults 1 gauge: 350
          k8s.pod.memory.major_page_faults 1 gauge: 2
          k8s.pod.filesystem.available By gauge: 60000000000
          k8s.pod.filesystem.capacity By gauge: 100000000000
          k8s.pod.filesystem.usage By gauge: 12288
          k8s.pod.network.io By counter: 500 (interface=eth0, direction=receive) 600 (interface=eth0, direction=transmit)
          k8s.pod.network.errors 1 counter: 0 (interface=eth0, direction=receive) 0 (interface=eth0, direction=transmit)
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop, k8s.container.name=app, container.id=aaa since 1767229205
          container.cpu.time s counter: 450.0
          container.cpu.usage {cpu} gauge: 0.125
          container.memory.available By gauge: 201326592
          container.memory.usage By gauge: 67108864
          container.memory.working_set By gauge: 60000000
          container.memory.rss By gauge: 50000000
          container.memory.page_faults 1 gauge: 300
          container.memory.major_page_faults 1 gauge: 2
          container.filesystem.available By gauge: 60000000000
          container.filesystem.capacity By gauge: 100000000000
          container.filesystem.usage By gauge: 8192
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop, k8s.container.name=side, container.id=bbb since 1767229206
          container.cpu.time s counter: 90.0
          container.memory.usage By gauge: 33554432
          container.memory.working_set By gauge: 30000000
          container.memory.rss By gauge: 20000000
          container.memory.page_faults 1 gauge: 50
          container.memory.major_page_faults 1 gauge: 0
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop, k8s.volume.name=data, k8s.volume.type=persistentVolumeClaim, k8s.persistentvolumeclaim.name=data-web-0 since 1767311000
          k8s.volume.available By gauge: 900
          k8s.volume.capacity By gauge: 1000
          k8s.volume.inodes 1 gauge: 100
          k8s.volume.inodes.free 1 gauge: 90
          k8s.volume.inodes.used 1 gauge: 10
    "#]].assert_eq(&printed(&scraped.frames));
}

#[tokio::test]
async fn every_metric_of_a_node_with_one_pod() {
    let kubelet = golden_kubelet().await;
    let scraped = scraped(&kubelet, &everything_on()).await;
    assert_eq!(errors(&scraped), [""; 0]);
    expect![[r#"
        k8s.node.name=n1 since 1767225600
          k8s.node.cpu.time s counter: 7200.5
          k8s.node.cpu.usage {cpu} gauge: 1.5
          k8s.node.memory.available By gauge: 6000000000
          k8s.node.memory.usage By gauge: 3000000000
          k8s.node.memory.working_set By gauge: 2000000000
          k8s.node.memory.rss By gauge: 1500000000
          k8s.node.memory.page_faults 1 gauge: 1000
          k8s.node.memory.major_page_faults 1 gauge: 7
          k8s.node.filesystem.available By gauge: 60000000000
          k8s.node.filesystem.capacity By gauge: 100000000000
          k8s.node.filesystem.usage By gauge: 40000000000
          k8s.node.uptime s counter: 86400
          k8s.node.network.io By counter: 1111 (interface=eth0, direction=receive) 2222 (interface=eth0, direction=transmit) 33 (interface=cni0, direction=receive) 44 (interface=cni0, direction=transmit)
          k8s.node.network.errors 1 counter: 1 (interface=eth0, direction=receive) 2 (interface=eth0, direction=transmit) 0 (interface=cni0, direction=receive) 0 (interface=cni0, direction=transmit)
        k8s.node.name=n1, k8s.node.system_container.name=kubelet since 1767225610
          k8s.node.system_container.cpu.time s counter: 90.0
          k8s.node.system_container.cpu.usage {cpu} gauge: 0.05
          k8s.node.system_container.memory.usage By gauge: 100000000
          k8s.node.system_container.memory.working_set By gauge: 80000000
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop since 1767229200
          k8s.pod.cpu.time s counter: 540.0
          k8s.pod.cpu.usage {cpu} gauge: 0.15
          k8s.pod.memory.usage By gauge: 104857600
          k8s.pod.memory.working_set By gauge: 90000000
          k8s.pod.memory.rss By gauge: 70000000
          k8s.pod.memory.page_faults 1 gauge: 350
          k8s.pod.memory.major_page_faults 1 gauge: 2
          k8s.pod.filesystem.available By gauge: 60000000000
          k8s.pod.filesystem.capacity By gauge: 100000000000
          k8s.pod.filesystem.usage By gauge: 12288
          k8s.pod.uptime s counter: 82800
          k8s.pod.cpu.node.utilization 1 gauge: 0.0375
          k8s.pod.cpu_limit_utilization 1 gauge: 0.25
          k8s.pod.memory.node.utilization 1 gauge: 0.01220703125
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop, k8s.container.name=app, container.id=aaa since 1767229205
          container.cpu.time s counter: 450.0
          container.cpu.usage {cpu} gauge: 0.125
          container.memory.available By gauge: 201326592
          container.memory.usage By gauge: 67108864
          container.memory.working_set By gauge: 60000000
          container.memory.rss By gauge: 50000000
          container.memory.page_faults 1 gauge: 300
          container.memory.major_page_faults 1 gauge: 2
          container.filesystem.available By gauge: 60000000000
          container.filesystem.capacity By gauge: 100000000000
          container.filesystem.usage By gauge: 8192
          container.uptime s counter: 82795
          k8s.container.ephemeral_storage.usage By sum: 8192 (fs.type=rootfs) 4096 (fs.type=logs)
          k8s.container.cpu.node.utilization 1 gauge: 0.03125
          k8s.container.cpu_limit_utilization 1 gauge: 0.25
          k8s.container.cpu_request_utilization 1 gauge: 0.5
          k8s.container.memory.node.utilization 1 gauge: 0.0078125
          k8s.container.memory_limit_utilization 1 gauge: 0.25
          k8s.container.memory_request_utilization 1 gauge: 0.5
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop, k8s.container.name=side, container.id=bbb since 1767229206
          container.cpu.time s counter: 90.0
          container.memory.usage By gauge: 33554432
          container.memory.working_set By gauge: 30000000
          container.memory.rss By gauge: 20000000
          container.memory.page_faults 1 gauge: 50
          container.memory.major_page_faults 1 gauge: 0
          container.uptime s counter: 82794
          k8s.container.memory.node.utilization 1 gauge: 0.00390625
        k8s.pod.uid=11111111-2222-3333-4444-555555555555, k8s.pod.name=web-0, k8s.namespace.name=shop, k8s.volume.name=data, k8s.volume.type=persistentVolumeClaim, k8s.persistentvolumeclaim.name=data-web-0 since 1767311000
          k8s.pod.volume.usage By sum: 100
          k8s.volume.available By gauge: 900
          k8s.volume.capacity By gauge: 1000
          k8s.volume.inodes 1 gauge: 100
          k8s.volume.inodes.free 1 gauge: 90
          k8s.volume.inodes.used 1 gauge: 10
    "#]].assert_eq(&printed(&scraped.frames));
}

#[tokio::test]
async fn scope_and_version_are_told() {
    let kubelet = golden_kubelet().await;
    for resource in decoded(&scraped(&kubelet, "").await.frames) {
        let scope = resource.scope_metrics[0].scope.as_ref().unwrap();
        assert_eq!((&*scope.name, &*scope.version), (crate::SCOPE, "1.2.3"));
        assert_eq!((resource.schema_url, &*resource.scope_metrics[0].schema_url), (String::new(), ""));
    }
}
