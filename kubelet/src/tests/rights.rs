use std::collections::BTreeSet;

use serde_json::Value;

use crate::Subject;

/// Resources that the role in `deploy` lets us get.
fn granted() -> BTreeSet<String> {
    let text = include_str!("../../../deploy/kubernetes/kubelet-rbac.yaml");
    let mut granted = BTreeSet::new();
    for document in text.split("\n---\n") {
        let parsed = config::parse(document, "kubelet-rbac.yaml").unwrap();
        let document: Value = serde_json::from_str(&config::print_json(&parsed.root)).unwrap();
        for rule in document["rules"].as_array().into_iter().flatten() {
            assert_eq!(
                (&rule["apiGroups"], &rule["verbs"]),
                (&serde_json::json!([""]), &serde_json::json!(["get"]))
            );
            let resources = rule["resources"].as_array().unwrap();
            granted.extend(resources.iter().map(|resource| resource.as_str().unwrap().to_owned()));
        }
    }
    granted
}

#[test]
fn the_role_grants_what_requests_need_and_nothing_else() {
    let subjects = [Subject::Summary, Subject::Pods, Subject::Node, Subject::Claim, Subject::Volume];
    let needed = subjects.map(|subject| subject.resource().to_owned());
    assert_eq!(granted(), needed.into_iter().collect());
}
