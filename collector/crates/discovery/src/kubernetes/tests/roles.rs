//! What each role makes of objects with every field that it reads.

use expect_test::{Expect, ExpectFile, expect, expect_file};
use serde_json::{Value, json};

use super::Scene;
use crate::kubernetes::Sharing;

async fn found(objects: &[Value], config: Value) -> String {
    let scene = Scene::new(Sharing::AsWritten).await;
    objects.iter().for_each(|object| scene.api.put(object));
    scene.found(config).await
}

async fn check(objects: &[Value], config: Value, expected: &Expect) {
    expected.assert_eq(&found(objects, config).await);
}

/// As [`check`], of a long text.
async fn check_file(objects: &[Value], config: Value, expected: &ExpectFile) {
    expected.assert_eq(&found(objects, config).await);
}

fn namespace() -> Value {
    json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}, "annotations": {"note": "n"}}})
}

fn node() -> Value {
    json!({
        "kind": "Node",
        "metadata": {"name": "node-1", "labels": {"kubernetes.io/arch": "amd64"}, "annotations": {"a.b/c": "x"}},
        "spec": {"providerID": "aws:///eu/i-1"},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": "node-1.local"}, {"type": "ExternalIP", "address": "192.0.2.1"},
                {"type": "InternalIP", "address": "10.1.0.1"}, {"type": "InternalIP", "address": "fd00::1"},
            ],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "Unknown"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    })
}

fn pod() -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "namespace": "shop", "name": "cart-1", "uid": "uid-1", "labels": {"app.kubernetes.io/name": "cart"},
            "annotations": {"prometheus.io/port": "9", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-rs", "controller": true}],
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [
                {"name": "main", "image": "cart:1", "ports": [
                    {"name": "web", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "UDP"}]},
                {"name": "side", "image": "side:1"},
            ],
            "initContainers": [{"name": "init", "image": "init:1", "ports": [{"containerPort": 82, "protocol": "TCP"}]}],
        },
        "status": {
            "podIP": "10.0.0.1", "hostIP": "10.1.0.1", "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "main", "containerID": "containerd://m"}],
            "initContainerStatuses": [{"name": "init", "containerID": "containerd://i"}],
        },
    })
}

fn service() -> Value {
    json!({
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": "cart", "labels": {"app": "cart"}, "annotations": {"x": "y"}},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "ports": [{"name": "web", "port": 80, "protocol": "TCP"}]},
    })
}

fn slice() -> Value {
    json!({
        "kind": "EndpointSlice",
        "metadata": {"namespace": "shop", "name": "cart-abc", "labels": {"kubernetes.io/service-name": "cart"},
                     "annotations": {"s": "t"}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": 80, "protocol": "TCP", "appProtocol": "http"}],
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
             "hostname": "h", "nodeName": "node-1", "zone": "z", "deprecatedTopology": {"topology/zone": "z"},
             "targetRef": {"kind": "Pod", "namespace": "shop", "name": "cart-1"}},
            {"addresses": ["10.0.0.9"], "conditions": {"ready": false}},
        ],
    })
}

#[tokio::test]
async fn node_is_its_kubelet() {
    check(
        &[node(), json!({"kind": "Node", "metadata": {"name": "no-address"}})],
        json!({"role": "node"}),
        &expect![[r#"
            node/node-1
              ~node_annotation_a_b_c=x
              ~node_annotationpresent_a_b_c=true
              ~node_condition_diskpressure=unknown
              ~node_condition_ready=true
              ~node_label_kubernetes_io_arch=amd64
              ~node_labelpresent_kubernetes_io_arch=true
              ~node_name=node-1
              ~node_provider_id=aws:///eu/i-1
              -
                __address__=10.1.0.1:10250
                ~node_address_ExternalIP=192.0.2.1
                ~node_address_Hostname=node-1.local
                ~node_address_InternalIP=10.1.0.1
                instance=node-1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn service_is_its_ports() {
    let mut external = service();
    external["metadata"] = json!({"namespace": "shop", "name": "ext"});
    external["spec"] = json!({"type": "ExternalName", "externalName": "x.example", "ports": [{"port": 1, "protocol": "TCP"}]});
    let mut balanced = service();
    balanced["metadata"] = json!({"namespace": "shop", "name": "lb"});
    balanced["spec"]["type"] = "LoadBalancer".into();
    balanced["spec"]["loadBalancerIP"] = "203.0.113.1".into();
    balanced["status"] = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.2"}, {"hostname": "h"}, {"ip": "203.0.113.3"}]}});
    let mut asked = balanced.clone();
    asked["metadata"]["name"] = "lb-asked".into();
    asked["status"] = json!({});
    let config = json!({"role": "service", "attach_metadata": {"namespace": true}});
    check(
        &[namespace(), service(), external, balanced, asked],
        config,
        &expect![[r#"
        svc/shop/cart
          ~namespace=shop
          ~namespace_annotation_note=n
          ~namespace_annotationpresent_note=true
          ~namespace_label_team=a
          ~namespace_labelpresent_team=true
          ~service_annotation_x=y
          ~service_annotationpresent_x=true
          ~service_label_app=cart
          ~service_labelpresent_app=true
          ~service_name=cart
          -
            __address__=cart.shop.svc:80
            ~service_cluster_ip=10.96.0.1
            ~service_port_name=web
            ~service_port_number=80
            ~service_port_protocol=TCP
            ~service_type=ClusterIP
        svc/shop/ext
          ~namespace=shop
          ~namespace_annotation_note=n
          ~namespace_annotationpresent_note=true
          ~namespace_label_team=a
          ~namespace_labelpresent_team=true
          ~service_name=ext
          -
            __address__=ext.shop.svc:1
            ~service_external_name=x.example
            ~service_port_number=1
            ~service_port_protocol=TCP
            ~service_type=ExternalName
        svc/shop/lb
          ~namespace=shop
          ~namespace_annotation_note=n
          ~namespace_annotationpresent_note=true
          ~namespace_label_team=a
          ~namespace_labelpresent_team=true
          ~service_name=lb
          -
            __address__=lb.shop.svc:80
            ~service_cluster_ip=10.96.0.1
            ~service_loadbalancer_ip=203.0.113.2,203.0.113.3
            ~service_port_name=web
            ~service_port_number=80
            ~service_port_protocol=TCP
            ~service_type=LoadBalancer
        svc/shop/lb-asked
          ~namespace=shop
          ~namespace_annotation_note=n
          ~namespace_annotationpresent_note=true
          ~namespace_label_team=a
          ~namespace_labelpresent_team=true
          ~service_name=lb-asked
          -
            __address__=lb-asked.shop.svc:80
            ~service_cluster_ip=10.96.0.1
            ~service_loadbalancer_ip=203.0.113.1
            ~service_port_name=web
            ~service_port_number=80
            ~service_port_protocol=TCP
            ~service_type=LoadBalancer
    "#]],
    )
    .await;
}

#[tokio::test]
async fn pod_is_the_ports_of_its_containers() {
    let mut pending = pod();
    pending["metadata"]["name"] = "pending".into();
    pending["status"] = json!({"phase": "Pending"});
    check(
        &[pod(), pending],
        json!({"role": "pod"}),
        &expect![[r#"
        pod/shop/cart-1
          ~namespace=shop
          ~pod_annotation_prometheus_io_port=9
          ~pod_annotationpresent_prometheus_io_port=true
          ~pod_controller_kind=ReplicaSet
          ~pod_controller_name=cart-rs
          ~pod_host_ip=10.1.0.1
          ~pod_ip=10.0.0.1
          ~pod_label_app_kubernetes_io_name=cart
          ~pod_labelpresent_app_kubernetes_io_name=true
          ~pod_name=cart-1
          ~pod_node_name=node-1
          ~pod_phase=Running
          ~pod_ready=false
          ~pod_uid=uid-1
          -
            __address__=10.0.0.1:80
            ~pod_container_id=containerd://m
            ~pod_container_image=cart:1
            ~pod_container_init=false
            ~pod_container_name=main
            ~pod_container_port_name=web
            ~pod_container_port_number=80
            ~pod_container_port_protocol=TCP
          -
            __address__=10.0.0.1:81
            ~pod_container_id=containerd://m
            ~pod_container_image=cart:1
            ~pod_container_init=false
            ~pod_container_name=main
            ~pod_container_port_number=81
            ~pod_container_port_protocol=UDP
          -
            __address__=10.0.0.1
            ~pod_container_image=side:1
            ~pod_container_init=false
            ~pod_container_name=side
          -
            __address__=10.0.0.1:82
            ~pod_container_id=containerd://i
            ~pod_container_image=init:1
            ~pod_container_init=true
            ~pod_container_name=init
            ~pod_container_port_number=82
            ~pod_container_port_protocol=TCP
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_pod_tells_its_node_its_namespace_and_who_made_it() {
    let owned = |kind: &str, name: &str, owner: &str, owner_name: &str| {
        json!({"kind": kind, "metadata": {"namespace": "shop", "name": name,
               "ownerReferences": [{"kind": owner, "name": owner_name, "controller": true}]}})
    };
    let small = |name: &str, node: &str, owner: &str, owner_name: &str| {
        json!({"kind": "Pod",
               "metadata": {"namespace": "shop", "name": name,
                            "ownerReferences": [{"kind": owner, "name": owner_name, "controller": true}]},
               "spec": {"nodeName": node, "containers": [{"name": "c"}]}, "status": {"podIP": "10.0.0.7"}})
    };
    let objects = [
        namespace(),
        node(),
        small("of-deployment", "node-1", "ReplicaSet", "rs"),
        small("of-cronjob", "node-1", "Job", "job"),
        small("on-unknown-node", "node-2", "Job", "job"),
        owned("ReplicaSet", "rs", "Deployment", "cart"),
        owned("Job", "job", "CronJob", "nightly"),
    ];
    let attach = json!({"node": true, "namespace": true, "deployment": true, "job": true, "cronjob": true});
    check(
        &objects,
        json!({"role": "pod", "attach_metadata": attach}),
        &expect![[r#"
        pod/shop/of-cronjob
          ~namespace=shop
          ~namespace_annotation_note=n
          ~namespace_annotationpresent_note=true
          ~namespace_label_team=a
          ~namespace_labelpresent_team=true
          ~node_annotation_a_b_c=x
          ~node_annotationpresent_a_b_c=true
          ~node_label_kubernetes_io_arch=amd64
          ~node_labelpresent_kubernetes_io_arch=true
          ~node_name=node-1
          ~pod_controller_kind=Job
          ~pod_controller_name=job
          ~pod_cronjob_name=nightly
          ~pod_ip=10.0.0.7
          ~pod_job_name=job
          ~pod_name=of-cronjob
          ~pod_node_name=node-1
          ~pod_ready=unknown
          -
            __address__=10.0.0.7
            ~pod_container_init=false
            ~pod_container_name=c
        pod/shop/of-deployment
          ~namespace=shop
          ~namespace_annotation_note=n
          ~namespace_annotationpresent_note=true
          ~namespace_label_team=a
          ~namespace_labelpresent_team=true
          ~node_annotation_a_b_c=x
          ~node_annotationpresent_a_b_c=true
          ~node_label_kubernetes_io_arch=amd64
          ~node_labelpresent_kubernetes_io_arch=true
          ~node_name=node-1
          ~pod_controller_kind=ReplicaSet
          ~pod_controller_name=rs
          ~pod_deployment_name=cart
          ~pod_ip=10.0.0.7
          ~pod_name=of-deployment
          ~pod_node_name=node-1
          ~pod_ready=unknown
          -
            __address__=10.0.0.7
            ~pod_container_init=false
            ~pod_container_name=c
    "#]],
    )
    .await;
}

#[tokio::test]
async fn endpoints_are_addresses_and_the_other_ports_of_their_pods() {
    let endpoints = json!({
        "kind": "Endpoints",
        "metadata": {"namespace": "shop", "name": "cart", "labels": {"l": "m"}, "annotations": {"e": "f"}},
        "subsets": [{
            "addresses": [{"ip": "10.0.0.1", "hostname": "h", "nodeName": "node-1",
                           "targetRef": {"kind": "Pod", "namespace": "shop", "name": "cart-1"}}],
            "notReadyAddresses": [{"ip": "10.0.0.9", "targetRef": {"kind": "Node", "name": "node-1"}}],
            "ports": [{"name": "web", "port": 80, "protocol": "TCP"}],
        }],
    });
    let objects = [namespace(), node(), pod(), service(), endpoints];
    let attach = json!({"node": true, "namespace": true});
    check_file(
        &objects,
        json!({"role": "endpoints", "attach_metadata": attach}),
        &expect_file!["roles/endpoints.txt"],
    )
    .await;
}

#[tokio::test]
async fn endpointslice_is_addresses_and_the_other_ports_of_their_pods() {
    let objects = [namespace(), node(), pod(), service(), slice()];
    let attach = json!({"node": true, "namespace": true});
    check_file(
        &objects,
        json!({"role": "endpointslice", "attach_metadata": attach}),
        &expect_file!["roles/endpointslice.txt"],
    )
    .await;
}

#[tokio::test]
async fn of_two_families_only_the_first_has_targets() {
    let mut dual = service();
    dual["spec"]["ipFamilyPolicy"] = "PreferDualStack".into();
    dual["spec"]["ipFamilies"] = json!(["IPv6", "IPv4"]);
    let mut six = slice();
    six["metadata"]["name"] = "cart-six".into();
    six["addressType"] = "IPv6".into();
    six["endpoints"] = json!([{"addresses": ["fd00::9"]}]);
    six["ports"] = json!([{"port": 80}, {"name": null, "port": null}]);
    check(
        &[dual, slice(), six],
        json!({"role": "endpointslice"}),
        &expect![[r#"
        endpointslice/shop/cart-six
          ~endpointslice_address_type=IPv6
          ~endpointslice_annotation_s=t
          ~endpointslice_annotationpresent_s=true
          ~endpointslice_label_kubernetes_io_service_name=cart
          ~endpointslice_labelpresent_kubernetes_io_service_name=true
          ~endpointslice_name=cart-six
          ~namespace=shop
          ~service_annotation_x=y
          ~service_annotationpresent_x=true
          ~service_label_app=cart
          ~service_labelpresent_app=true
          ~service_name=cart
          -
            __address__=[fd00::9]:80
            ~endpointslice_port=80
          -
            __address__=fd00::9
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ingress_is_hosts_and_paths() {
    let ingress = json!({
        "kind": "Ingress",
        "metadata": {"namespace": "shop", "name": "web", "labels": {"l": "m"}, "annotations": {"a": "b"}},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["*.shop.example"]}],
            "rules": [
                {"host": "www.shop.example", "http": {"paths": [{"path": "/a"}, {"path": ""}]}},
                {"host": "a.b.shop.example"},
            ],
        },
    });
    let config = json!({"role": "ingress", "attach_metadata": {"namespace": true}});
    check(
        &[namespace(), ingress],
        config,
        &expect![[r#"
        ingress/shop/web
          ~ingress_annotation_a=b
          ~ingress_annotationpresent_a=true
          ~ingress_class_name=nginx
          ~ingress_label_l=m
          ~ingress_labelpresent_l=true
          ~ingress_name=web
          ~namespace=shop
          ~namespace_annotation_note=n
          ~namespace_annotationpresent_note=true
          ~namespace_label_team=a
          ~namespace_labelpresent_team=true
          -
            __address__=www.shop.example
            ~ingress_host=www.shop.example
            ~ingress_path=/a
            ~ingress_scheme=https
          -
            __address__=www.shop.example
            ~ingress_host=www.shop.example
            ~ingress_path=/
            ~ingress_scheme=https
          -
            __address__=a.b.shop.example
            ~ingress_host=a.b.shop.example
            ~ingress_path=/
            ~ingress_scheme=http
    "#]],
    )
    .await;
}
