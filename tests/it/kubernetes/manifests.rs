//! `deploy/kubernetes/allocator`: what is rendered is taken by a real API server, is what upstream's users expect, and gives the rights
//! that are needed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::objects::{from_yaml, namespace};
use world::control_plane::{Client, ControlPlane};
use world::peers;

use crate::programs;
use crate::tidy::root;

const NAMESPACE: &str = "monitoring";
pub(super) const VARIANTS: [&str; 2] = ["cluster", "namespaced"];

/// The documents that `kustomize build` prints.
pub(super) fn rendered(variant: &str) -> Result<String> {
    build(&root().join("deploy/kubernetes/allocator").join(variant))
}

fn build(folder: &Path) -> Result<String> {
    let kustomize = peers::find("kustomize").context("kustomize is there")?;
    let output = Command::new(kustomize).arg("build").arg(folder).output().context("starting kustomize")?;
    ensure!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The variant for a whole cluster with the component for mutual TLS, as a user adds it.
fn with_mutual_tls() -> Result<String> {
    // Kustomize takes no absolute paths.
    let folder = root().join("target/with-mutual-tls");
    std::fs::create_dir_all(&folder)?;
    let of_allocator = "../../deploy/kubernetes/allocator";
    let kustomization = json!({ "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [format!("{of_allocator}/cluster")], "components": [format!("{of_allocator}/mutual-tls")] });
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string())?;
    build(&folder)
}

/// The object of this kind whose name is this or, for ConfigMaps, begins with it.
pub(super) fn find<'v>(objects: &'v [Value], kind: &str, name: &str) -> Result<&'v Value> {
    let is = |object: &&Value| {
        let found = object["metadata"]["name"].as_str().unwrap_or_default();
        object["kind"] == kind && (found == name || kind == "ConfigMap" && found.starts_with(name))
    };
    objects.iter().find(is).with_context(|| format!("there is no {kind} {name}"))
}

/// Every object is accepted as it is written, twice, and configurations start the programs.
pub(super) async fn accepted() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    admin.create(&namespace(NAMESPACE, &[])).await?;
    for variant in VARIANTS {
        let text = rendered(variant)?;
        let applied = admin.apply_yaml(&text).await.with_context(|| format!("applying {variant}"))?;
        ensure!(applied.len() >= 13, "{variant}: {} objects", applied.len());
        let again = admin.apply_yaml(&text).await?;
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        ensure!(
            applied.iter().map(version).eq(again.iter().map(version)),
            "{variant}: a second time changes something"
        );
        as_upstream(&applied).with_context(|| variant.to_owned())?;
        configured(&applied).with_context(|| variant.to_owned())?;
    }
    let applied = admin.apply_yaml(&with_mutual_tls()?).await.context("applying mutual-tls")?;
    configured(&applied).context("mutual-tls")?;
    over_tls(&applied)
}

/// Port 8443 beside 8080, 443 beside 80, and scrapers that use it with a certificate.
fn over_tls(objects: &[Value]) -> Result<()> {
    let container =
        &find(objects, "Deployment", "muster-allocator")?["spec"]["template"]["spec"]["containers"][0];
    let service = &find(objects, "Service", "muster-allocator")?["spec"];
    for (ports, key, expected) in
        [(&container["ports"], "containerPort", [8080, 8443]), (&service["ports"], "port", [80, 443])]
    {
        let ports = ports.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<u64> = ports.iter().filter_map(|port| port[key].as_u64()).collect();
        found.sort_unstable();
        ensure!(found == expected, "{found:?}");
    }
    let args = container["args"].to_string();
    for flag in ["--enable-https-server=true", "--https-ca-file=/tls/ca.crt", "--listen-addr-https=:8443"] {
        ensure!(args.contains(flag), "{flag} is not in {args}");
    }
    let scraper =
        &find(objects, "StatefulSet", "muster-scraper")?["spec"]["template"]["spec"]["containers"][0];
    let env = scraper["env"].to_string();
    ensure!(env.contains("https://muster-allocator") && env.contains("/tls/tls.key"), "{env}");
    Ok(())
}

/// What the operator, its users and its tests expect: names, ports, paths, environment.
fn as_upstream(objects: &[Value]) -> Result<()> {
    let pod = &find(objects, "Deployment", "muster-allocator")?["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let first = |list: &Value, key: &str| list[0][key].clone();
    for (what, found, expected) in [
        ("container", container["name"].clone(), json!("ta-container")),
        ("user", pod["securityContext"]["runAsUser"].clone(), json!(65532)),
        ("port", first(&container["ports"], "containerPort"), json!(8080)),
        ("its name", first(&container["ports"], "name"), json!("http")),
        ("liveness", container["livenessProbe"]["httpGet"]["path"].clone(), json!("/livez")),
        ("readiness", container["readinessProbe"]["httpGet"]["path"].clone(), json!("/readyz")),
        ("environment", first(&container["env"], "name"), json!("OTELCOL_NAMESPACE")),
        ("mount", first(&container["volumeMounts"], "mountPath"), json!("/conf")),
    ] {
        ensure!(found == expected, "{what}: {found}, not {expected}");
    }
    let port = &find(objects, "Service", "muster-allocator")?["spec"]["ports"][0];
    ensure!(port["port"] == 80 && port["targetPort"] == "http", "{port}");
    for (kind, name) in [("Deployment", "muster-allocator"), ("StatefulSet", "muster-scraper")] {
        let pod = &find(objects, kind, name)?["spec"]["template"]["spec"];
        let context = &pod["containers"][0]["securityContext"];
        ensure!(
            pod["securityContext"]["runAsNonRoot"] == true
                && context["readOnlyRootFilesystem"] == true
                && context["allowPrivilegeEscalation"] == false
                && context["capabilities"]["drop"] == json!(["ALL"]),
            "{kind} {name} may more than it needs: {pod}"
        );
    }
    Ok(())
}

/// The collector's configuration validates; the Pods and the ServiceMonitors select each other as their labels say.
fn configured(objects: &[Value]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("collector.yaml");
    let text = &find(objects, "ConfigMap", "muster-scraper-")?["data"]["collector.yaml"];
    std::fs::write(&path, text.as_str().context("the configuration is a text")?)?;
    let outcome = programs::run(&programs::muster(), &["validate", "--config", &path.display().to_string()])?;
    ensure!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{}", outcome.stderr);

    let text = &find(objects, "ConfigMap", "muster-allocator-")?["data"]["targetallocator.yaml"];
    let config = &from_yaml(text.as_str().context("the configuration is a text")?)?[0];
    let scraper = &find(objects, "StatefulSet", "muster-scraper")?["spec"];
    let labels = &scraper["template"]["metadata"]["labels"];
    for (name, value) in config["collector_selector"]["matchLabels"].as_object().into_iter().flatten() {
        ensure!(labels[name] == *value, "scrapers have no label {name}={value}: {labels}");
    }
    for name in ["muster-allocator", "muster-scraper"] {
        let monitor = &find(objects, "ServiceMonitor", name)?["spec"];
        let service = find(objects, "Service", name)?;
        for (label, value) in monitor["selector"]["matchLabels"].as_object().into_iter().flatten() {
            ensure!(
                service["metadata"]["labels"][label] == *value,
                "{name}: the Service has no {label}={value}"
            );
        }
        let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        let port = &monitor["endpoints"][0]["port"];
        ensure!(ports.iter().any(|of_service| of_service["name"] == *port), "{name}: no port {port}");
    }
    Ok(())
}

/// Whether a service account may do this. A resource is `GROUP/PLURAL`, with `:PART` after it for a part; `namespace` is empty for all.
async fn may(admin: &Client, account: &str, verb: &str, resource: &str, namespace: &str) -> Result<bool> {
    let (group, resource) = resource.split_once('/').unwrap_or(("", resource));
    let (resource, part) = resource.split_once(':').unwrap_or((resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{NAMESPACE}:{account}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{NAMESPACE}"), "system:authenticated"],
            "resourceAttributes": { "verb": verb, "group": group, "resource": resource,
                "subresource": part, "namespace": namespace },
        },
    });
    let answer = admin.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await?;
    answer["status"]["allowed"].as_bool().context("a review is answered with yes or no")
}

/// What is listed and watched, by group and plural; those of the first kind have no namespace.
const CLUSTER_WIDE: [&str; 2] = ["namespaces", "nodes"];
const NAMESPACED: [&str; 10] = [
    "apps/statefulsets",
    "pods",
    "services",
    "endpoints",
    "discovery.k8s.io/endpointslices",
    "networking.k8s.io/ingresses",
    "monitoring.coreos.com/servicemonitors",
    "monitoring.coreos.com/podmonitors",
    "monitoring.coreos.com/probes",
    "monitoring.coreos.com/scrapeconfigs",
];

/// The rights suffice, and end where they should.
pub(super) async fn rights() -> Result<()> {
    for variant in VARIANTS {
        let plane = ControlPlane::start().await?;
        let admin = plane.admin()?;
        admin.create(&namespace(NAMESPACE, &[])).await?;
        admin.apply_yaml(&rendered(variant)?).await?;
        let is_cluster = variant == "cluster";
        let mut wrong = Vec::new();
        let mut expect =
            async |account: &str, verb: &str, resource: &str, namespace: &str, expected: bool| {
                let found = may(&admin, account, verb, resource, namespace).await?;
                if found != expected {
                    let at = if namespace.is_empty() { "everywhere" } else { namespace };
                    let not = if expected { "not " } else { "" };
                    wrong.push(format!("{variant}: {account} may {not}{verb} {resource} in {at}"));
                }
                Ok::<_, anyhow::Error>(())
            };
        for verb in ["list", "watch"] {
            for resource in CLUSTER_WIDE {
                expect("muster-allocator", verb, resource, "", is_cluster).await?;
            }
            for resource in NAMESPACED {
                expect("muster-allocator", verb, resource, NAMESPACE, true).await?;
                expect("muster-allocator", verb, resource, "", is_cluster).await?;
            }
        }
        for (verb, resource, namespace, expected) in [
            ("get", "secrets", NAMESPACE, true),
            ("get", "secrets", "elsewhere", is_cluster),
            ("get", "configmaps", NAMESPACE, true),
            ("list", "secrets", NAMESPACE, false),
            ("create", "events", NAMESPACE, true),
            ("create", "events", "elsewhere", is_cluster),
            ("update", "monitoring.coreos.com/servicemonitors", NAMESPACE, false),
            ("delete", "pods", NAMESPACE, false),
            ("create", "pods", NAMESPACE, false),
            ("update", "secrets", NAMESPACE, false),
            ("create", "rbac.authorization.k8s.io/roles", NAMESPACE, false),
        ] {
            expect("muster-allocator", verb, resource, namespace, expected).await?;
        }
        for (verb, resource, expected) in
            [("get", "nodes:metrics", is_cluster), ("list", "secrets", false), ("list", "pods", false)]
        {
            expect("muster-scraper", verb, resource, "", expected).await?;
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    Ok(())
}
