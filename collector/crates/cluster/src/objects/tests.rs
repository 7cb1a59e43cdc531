use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

fn check<T: Object + std::fmt::Debug>(value: serde_json::Value, expected: &Expect) {
    // From text, as it comes from the server: texts are then borrowed.
    let object: T = serde_json::from_str(&value.to_string()).unwrap();
    expected.assert_debug_eq(&object);
}

#[test]
fn metadata_keeps_what_is_looked_at() {
    let metadata: Metadata = serde_json::from_value(json!({
        "name": "a", "namespace": "shop", "uid": "u-1", "resourceVersion": "12", "generation": 3,
        "labels": {"b": "2", "a": "1"}, "managedFields": [{"manager": "x"}], "deletionTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"large\": 1}", "note": null},
        "ownerReferences": [{"kind": "Other", "name": "o"}, {"kind": "ReplicaSet", "name": "rs", "controller": true}],
    }))
    .unwrap();
    expect![[r#"
        Metadata {
            name: "a",
            namespace: "shop",
            uid: "u-1",
            resource_version: "12",
            generation: 3,
            labels: {
                "a": "1",
                "b": "2",
            },
            annotations: {
                "note": "",
            },
            controller: Some(
                Controller {
                    kind: "ReplicaSet",
                    name: "rs",
                },
            ),
            is_terminating: true,
        }
    "#]]
    .assert_debug_eq(&metadata);
    assert_eq!(&*metadata.key(), "shop/a");
}

#[test]
fn nothing_but_metadata_is_needed_and_null_is_nothing() {
    let bare = json!({"metadata": {"name": "a"}, "spec": null, "status": null});
    let nulls = json!({
        "metadata": {"name": "a", "labels": null, "ownerReferences": null},
        "spec": {"containers": null, "ports": null, "rules": [{"host": null, "http": {"paths": null}}], "tls": null},
        "status": {"conditions": null, "addresses": null, "loadBalancer": {"ingress": null}},
        "subsets": [{"addresses": null, "ports": null}],
        "endpoints": [{"addresses": null, "conditions": null}], "ports": null, "data": null,
    });
    for value in [bare, nulls] {
        drop(serde_json::from_value::<Pod>(value.clone()).unwrap());
        drop(serde_json::from_value::<Node>(value.clone()).unwrap());
        drop(serde_json::from_value::<Service>(value.clone()).unwrap());
        drop(serde_json::from_value::<Endpoints>(value.clone()).unwrap());
        drop(serde_json::from_value::<EndpointSlice>(value.clone()).unwrap());
        drop(serde_json::from_value::<Ingress>(value.clone()).unwrap());
        drop(serde_json::from_value::<Secret>(value.clone()).unwrap());
        drop(serde_json::from_value::<ConfigMap>(value.clone()).unwrap());
        drop(serde_json::from_value::<Namespace>(value.clone()).unwrap());
        drop(serde_json::from_value::<Custom>(value).unwrap());
    }
}

#[test]
fn containers_have_their_ids_and_those_that_initialise_stand_behind() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a"},
        "spec": {"nodeName": "n", "initContainers": [{"name": "i", "image": "img-i"}],
                 "containers": [{"name": "c", "image": "img", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]},
        "status": {"podIP": "10.0.0.1", "hostIP": "10.1.0.1", "phase": "Running",
                   "conditions": [{"type": "Initialized", "status": "False"}, {"type": "Ready", "status": "True"}],
                   "containerStatuses": [{"name": "c", "containerID": "containerd://1"}],
                   "initContainerStatuses": [{"name": "i", "containerID": "containerd://2"}]},
    }))
    .unwrap();
    let ids: Vec<(&str, &str, bool)> = pod
        .containers
        .iter()
        .map(|container| (&*container.name, &*container.id, container.is_init))
        .collect();
    assert_eq!(ids, [("c", "containerd://1", false), ("i", "containerd://2", true)]);
    assert_eq!((pod.ready, &*pod.containers[0].ports[0].name), (Status::True, ""));
}

#[test]
fn a_secret_is_decoded_and_not_printed() {
    check::<Secret>(
        json!({"metadata": {"name": "s", "annotations": {"copy": "hush"}}, "data": {"token": "aHVzaA==", "raw": "/w=="}}),
        &expect![[r#"
            Secret {
                metadata: Metadata {
                    name: "s",
                    namespace: "",
                    uid: "",
                    resource_version: "",
                    generation: 0,
                    labels: {},
                    annotations: {},
                    controller: None,
                    is_terminating: false,
                },
                data: {
                    "raw": None,
                    "token": Some(
                        <secret>,
                    ),
                },
            }
        "#]],
    );
}

#[test]
fn equality_leaves_versions_out() {
    let pod = |version: &str, label: &str| -> Pod {
        let metadata = json!({"name": "a", "resourceVersion": version, "labels": {"l": label}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    };
    assert_eq!(pod("1", "x"), pod("2", "x"));
    assert_ne!(pod("1", "x"), pod("1", "y"));
}

#[test]
fn texts_of_many_objects_are_kept_once() {
    let pod = || -> Pod {
        let value =
            json!({"metadata": {"name": "a", "labels": {"app": "x"}}, "spec": {"nodeName": "node-7"}});
        serde_json::from_str(&value.to_string()).unwrap()
    };
    let (one, two) = (pod(), pod());
    assert!(Arc::ptr_eq(&one.node_name, &two.node_name));
    let key = |pod: &Pod| pod.metadata.labels.iter().next().map(|(key, _)| Arc::clone(key)).unwrap();
    assert!(Arc::ptr_eq(&key(&one), &key(&two)));
}

#[test]
fn of_equal_keys_the_last_one_counts() {
    let map: TextMap = [("a", "1"), ("b", "2"), ("a", "3")].into_iter().collect();
    assert_eq!(map.get("a").map(|value| &**value), Some("3"));
    assert_eq!(map.len(), 2);
}
