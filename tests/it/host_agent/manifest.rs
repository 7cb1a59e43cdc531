//! `deploy/kubernetes/host-agent.yaml`: what is deployed is the example that is tested, with no more rights than it needs.

use anyhow::{Context, Result, ensure};
use config::Node;

use crate::programs;
use crate::tidy::root;

/// Walks down keys; numbers are places in lists.
fn at<'n>(node: &'n Node, path: &str) -> Result<&'n Node> {
    path.split('.').try_fold(node, |node, key| {
        let found = match key.parse::<usize>() {
            Ok(index) => node.items().nth(index),
            Err(_) => node.get(key),
        };
        found.with_context(|| format!("`{key}` of `{path}` is not there"))
    })
}

fn text(node: &Node, path: &str) -> Result<String> {
    let found = at(node, path)?;
    found.as_str().map(str::to_owned).with_context(|| format!("`{path}` is no text"))
}

fn is(node: &Node, path: &str, expected: &str) -> Result<()> {
    let printed = config::print_json(at(node, path)?);
    ensure!(printed.trim() == expected, "`{path}` is {printed} and not {expected}");
    Ok(())
}

pub(super) fn holds() -> Result<()> {
    let path = root().join("deploy/kubernetes/host-agent.yaml");
    let manifest = std::fs::read_to_string(&path).context("reading the manifest")?;
    let parse = |text: &str| {
        config::parse(text, "host-agent.yaml").map(|parsed| parsed.root).map_err(anyhow::Error::from)
    };
    let documents = manifest.split("\n---\n").map(parse).collect::<Result<Vec<Node>>>()?;
    let of_kind = |kind: &str| {
        let found = documents.iter().find(|document| text(document, "kind").is_ok_and(|is| is == kind));
        found.with_context(|| format!("there is no {kind}"))
    };
    let kept = collector_yaml(of_kind("ConfigMap")?)?;
    let example = root().join("deploy/examples/host-agent.yaml");
    ensure!(
        kept == std::fs::read_to_string(&example)?,
        "the ConfigMap is not deploy/examples/host-agent.yaml"
    );
    let outcome =
        programs::run(&programs::muster(), &["validate", "--config", &example.display().to_string()])?;
    ensure!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{}", outcome.stderr);

    is(of_kind("ServiceAccount")?, "automountServiceAccountToken", "false")?;
    let set = of_kind("DaemonSet")?;
    let pod = at(set, "spec.template.spec")?;
    for (path, expected) in [
        ("automountServiceAccountToken", "false"),
        ("securityContext.runAsNonRoot", "true"),
        ("containers.0.securityContext.allowPrivilegeEscalation", "false"),
        ("containers.0.securityContext.readOnlyRootFilesystem", "true"),
        ("containers.0.securityContext.capabilities.drop.0", "\"ALL\""),
        ("containers.0.readinessProbe.httpGet.port", "\"health\""),
        ("containers.0.livenessProbe.httpGet.port", "\"health\""),
        ("containers.0.ports.0.containerPort", "13133"),
        ("containers.0.volumeMounts.1.mountPath", "\"/hostfs\""),
        ("containers.0.volumeMounts.1.readOnly", "true"),
        ("containers.0.volumeMounts.1.mountPropagation", "\"HostToContainer\""),
        ("volumes.1.hostPath.path", "\"/\""),
    ] {
        is(pod, path, expected)?;
    }
    for absent in ["hostPID", "hostNetwork", "hostIPC", "initContainers"] {
        ensure!(pod.get(absent).is_none(), "`{absent}` is not needed");
    }
    ensure!(pod.get("containers").is_some_and(|containers| containers.items().len() == 1), "one container");
    has_no_more_rights(pod)?;
    let kinds = documents.iter().map(|document| text(document, "kind")).collect::<Result<Vec<_>>>()?;
    ensure!(kinds == ["ConfigMap", "ServiceAccount", "DaemonSet"], "no rights at the API server: {kinds:?}");
    Ok(())
}

/// What is not written down here, such as `privileged`, is not asked for.
fn has_no_more_rights(pod: &Node) -> Result<()> {
    for (path, expected) in [
        ("securityContext", &["runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile"][..]),
        (
            "containers.0.securityContext",
            &["allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"],
        ),
        // Nothing is added.
        ("containers.0.securityContext.capabilities", &["drop"]),
        ("containers.0.ports.0", &["name", "containerPort"]),
    ] {
        let keys: Vec<&str> = at(pod, path)?.entries().map(|(key, _)| key).collect();
        ensure!(keys == expected, "`{path}` has the keys {keys:?} and not {expected:?}");
    }
    for (path, expected) in [
        ("securityContext.runAsUser", "65534"),
        ("securityContext.runAsGroup", "65534"),
        ("securityContext.seccompProfile.type", "\"RuntimeDefault\""),
        ("containers.0.readinessProbe.httpGet.path", "\"/\""),
        ("containers.0.livenessProbe.httpGet.path", "\"/\""),
    ] {
        is(pod, path, expected)?;
    }
    let mounts = at(pod, "containers.0.volumeMounts")?.items();
    let mounts = mounts
        .map(|mount| {
            is(mount, "readOnly", "true")?;
            Ok((text(mount, "name")?, text(mount, "mountPath")?))
        })
        .collect::<Result<Vec<_>>>()?;
    let expected = [("config", "/etc/muster"), ("host", "/hostfs")];
    ensure!(mounts == expected.map(|(name, path)| (name.to_owned(), path.to_owned())), "{mounts:?}");
    let volumes = at(pod, "volumes")?.items();
    let on_host: Vec<String> = volumes
        .filter(|volume| volume.get("hostPath").is_some())
        .map(|volume| text(volume, "name"))
        .collect::<Result<_>>()?;
    ensure!(on_host == ["host"], "of the host only one volume: {on_host:?}");
    Ok(())
}

/// The file in the ConfigMap; its key holds a dot.
fn collector_yaml(map: &Node) -> Result<String> {
    let file = map.get("data").and_then(|data| data.get("collector.yaml"));
    file.and_then(Node::as_str).map(str::to_owned).context("the ConfigMap has no collector.yaml")
}
