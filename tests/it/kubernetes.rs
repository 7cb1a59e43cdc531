//! Against a real API server: first that the control plane of these tests is one.

mod discovery;
mod explain;
mod manifests;
pub(crate) mod members;
mod need_to_know;
mod receiver;
pub(crate) mod replicas;
mod rights;
mod same_answers;
mod secrets;
pub(crate) mod serving;
mod watches;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use world::control_plane::objects::{self, Pod};
use world::control_plane::{ControlPlane, NOBODY, Refused, sample};

use crate::Case;
use crate::programs::block_on;

const NEEDS: &[&str] = &world::control_plane::PROGRAMS;
pub(crate) const NEEDS_KUSTOMIZE: &[&str] = &["etcd", "kube-apiserver", "kustomize"];

pub(crate) const CASES: &[Case] = &[
    Case::needing(
        "a_control_plane_keeps_what_is_created_and_knows_who_may_what",
        NEEDS,
        || block_on(keeps()),
    ),
    Case::needing("an_api_server_that_was_away_is_back_with_its_data", NEEDS, || block_on(away())),
    Case::needing("a_thousand_pods_are_there_in_seconds", NEEDS, || block_on(many())),
    Case::needing("targets_in_a_cluster_are_followed_and_kept_while_it_is_away", NEEDS, || {
        block_on(discovery::follows())
    }),
    Case::needing("the_fake_api_answers_as_a_real_one", NEEDS, || block_on(same_answers::same())),
    Case::needing("secrets_are_told_over_mutual_tls_and_shown_nowhere", NEEDS, || {
        block_on(secrets::nowhere())
    }),
    Case::needing("a_scraper_over_mutual_tls_knows_the_credentials_of_its_targets_alone", NEEDS, || {
        block_on(need_to_know::follows())
    }),
    Case::needing("roles_in_two_namespaces_suffice_and_a_missing_right_is_named", NEEDS, || {
        block_on(rights::roles_alone())
    }),
    Case::needing("the_rights_that_users_of_upstream_have_given_suffice", NEEDS, || {
        block_on(rights::of_upstream())
    }),
    Case::needing("a_receiver_finds_targets_of_every_role_with_one_watch_for_each_kind", NEEDS, || {
        block_on(receiver::all_roles())
    }),
    Case::needing("monitors_in_sixty_namespaces_cost_at_most_twenty_watches", NEEDS, || {
        block_on(watches::are_few())
    }),
    Case::needing("explain_says_who_scrapes_what_or_which_step_prevents_it", NEEDS, || {
        block_on(explain::everything())
    }),
    Case::needing("the_manifests_of_the_allocator_render_and_are_accepted", NEEDS_KUSTOMIZE, || {
        block_on(manifests::accepted())
    }),
    Case::needing("the_rights_in_the_manifests_suffice_and_end_where_they_should", NEEDS_KUSTOMIZE, || {
        block_on(manifests::rights())
    }),
];

async fn keeps() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let admin = plane.admin()?;
    sample::create(&admin).await?;
    let pod = Pod::new(sample::NAMESPACE, "web-0", "", "web").object();
    let pod = admin.read(&pod).await?;
    ensure!(pod["status"]["podIP"] == "10.2.0.0" && pod["metadata"]["managedFields"].is_array(), "{pod}");
    let monitors = admin.get("/apis/monitoring.coreos.com/v1/servicemonitors").await?;
    ensure!(monitors["items"][0]["spec"]["endpoints"][0]["port"] == "metrics", "{monitors}");

    let path = format!("/api/v1/namespaces/{}/pods", sample::NAMESPACE);
    let refused = |error: anyhow::Error| error.downcast::<Refused>().context("an answer of the API server");
    let nobody = plane.client(NOBODY)?.get(&path).await.err().context("nobody may list pods")?;
    ensure!(refused(nobody)?.status == 403, "nobody has no rights");
    let token = plane.service_account(sample::NAMESPACE, "reader").await?;
    let reader = plane.client(&token)?;
    let before = reader.get(&path).await.err().context("a service account has no rights at first")?;
    ensure!(refused(before)?.answer["reason"] == "Forbidden", "the answer is a Status");
    let granted = format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: {0}}}
rules: [{{apiGroups: [''], resources: [pods], verbs: [list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {0}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {0}}}]
",
        sample::NAMESPACE
    );
    admin.apply_yaml(&granted).await?;
    crate::programs::eventually("the role counts", Duration::from_secs(10), || async {
        Ok(reader.get(&path).await.map_err(|error| error.to_string()))
    })
    .await?;
    let gone = admin.delete(&objects::service(sample::NAMESPACE, "web")).await;
    gone.context("what is there can be deleted")
}

async fn away() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let admin = plane.admin()?;
    let kept = objects::namespace("kept", &[("is", "kept")]);
    admin.create(&kept).await?;
    plane.stop_api().await;
    ensure!(admin.read(&kept).await.is_err(), "nobody answers");
    plane.start_api().await?;
    ensure!(admin.read(&kept).await?["metadata"]["labels"]["is"] == "kept", "the object is there");
    admin
        .patch(&json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "kept", "labels": { "is": null } } }))
        .await?;
    ensure!(admin.read(&kept).await?["metadata"]["labels"]["is"].is_null(), "null removes");
    Ok(())
}

async fn many() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let admin = plane.admin()?;
    admin.create(&objects::namespace("many", &[])).await?;
    let began = Instant::now();
    admin.create_all(&objects::service_with_pods("many", "web", 9, 1_000)).await?;
    let took = began.elapsed();
    let list = admin.get("/api/v1/namespaces/many/pods?limit=1").await?;
    ensure!(list["metadata"]["remainingItemCount"] == 999, "{}", list["metadata"]);
    ensure!(took < Duration::from_secs(30), "{took:?}");
    Ok(())
}
