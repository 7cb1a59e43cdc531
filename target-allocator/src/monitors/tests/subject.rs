//! Why a pod or a service is not scraped: the first step that does not match.

use super::*;

fn subject(kind: SubjectKind, namespace: &str, labels: &str, ports: &[(&str, u16)]) -> Subject {
    Subject {
        kind,
        namespace: namespace.to_owned(),
        labels: config::read(&node(labels), "").unwrap(),
        ports: ports
            .iter()
            .map(|(name, number)| SubjectPort { name: (*name).to_owned(), number: *number })
            .collect(),
    }
}

fn pod(phase: &str) -> SubjectKind {
    SubjectKind::Pod { phase: phase.to_owned() }
}

fn why(manifest: &str, subject: &Subject) -> Option<String> {
    policy(ALL).why_not_reached(&monitor(manifest), subject).map(|why| why.to_string())
}

#[test]
fn the_first_step_that_loses_a_service_is_named() {
    let manifest = "
kind: ServiceMonitor
metadata: {namespace: shop, name: cart}
spec: {selector: {matchLabels: {app: cart}}, endpoints: [{port: metrics}, {port: 'm-.*'}]}
";
    for (namespace, labels, ports, expected) in [
        ("shop", "{app: cart}", vec![("metrics", 1)], None),
        ("shop", "{app: cart}", vec![("m-2", 1)], None),
        ("bank", "{}", vec![], Some("the monitor looks in namespace `shop`, not in `bank`")),
        (
            "shop",
            "{app: x}",
            vec![],
            Some("the labels of the object do not meet `app=cart` of the monitor's selector"),
        ),
        (
            "shop",
            "{app: cart}",
            vec![("web", 80), ("", 81)],
            Some("the monitor asks for port `metrics` or `m-.*`, the object has `web` or `81`"),
        ),
        (
            "shop",
            "{app: cart}",
            vec![],
            Some("the monitor asks for port `metrics` or `m-.*`, the object has no port"),
        ),
    ] {
        let found = why(manifest, &subject(SubjectKind::Service, namespace, labels, &ports));
        assert_eq!(found.as_deref(), expected);
    }
    let of_container = manifest.replace("{port: 'm-.*'}", "{targetPort: 9102}");
    assert_eq!(why(&of_container, &subject(SubjectKind::Service, "shop", "{app: cart}", &[])), None);
    assert_eq!(why(&of_container, &subject(pod("Running"), "shop", "{}", &[])), None, "by its services");
    let ended = why(&of_container, &subject(pod("Failed"), "shop", "{}", &[]));
    assert_eq!(ended.as_deref(), Some("the pod has ended: its phase is Failed"));
}

#[test]
fn the_first_step_that_loses_a_pod_is_named() {
    let manifest = "
kind: PodMonitor
metadata: {namespace: shop, name: cart}
spec: {selector: {matchLabels: {app: cart}}, podMetricsEndpoints: [{portNumber: 9102}, {port: metrics}]}
";
    for (phase, labels, ports, expected) in [
        ("Running", "{app: cart}", vec![("", 9102)], None),
        ("Running", "{app: cart}", vec![("metrics", 1)], None),
        ("Succeeded", "{}", vec![], Some("the pod has ended: its phase is Succeeded")),
        (
            "Running",
            "{}",
            vec![],
            Some("the labels of the object do not meet `app=cart` of the monitor's selector"),
        ),
        (
            "Running",
            "{app: cart}",
            vec![("web", 80)],
            Some("the monitor asks for port `9102` or `metrics`, the object has `web`"),
        ),
    ] {
        assert_eq!(why(manifest, &subject(pod(phase), "shop", labels, &ports)).as_deref(), expected);
    }
    let of_service = why(manifest, &subject(SubjectKind::Service, "shop", "{}", &[]));
    assert_eq!(of_service.as_deref(), Some("a PodMonitor finds its targets from pods"));
}

#[test]
fn why_a_monitor_makes_no_job_is_told_step_by_step() {
    let mut generator = Generator::new(policy("{service_monitor_selector: {matchLabels: {a: b}}}"));
    let spec = "{selector: {}, endpoints: []}";
    let manifest = |labels: &str, spec: &str| {
        monitor(&format!(
            "kind: ServiceMonitor\nmetadata: {{namespace: shop, name: cart, labels: {labels}}}\nspec: {spec}"
        ))
    };
    let mut why = |monitor: Arc<Monitor>| {
        let (monitors, namespaces, material) = ([monitor], Namespaces::new(), Store::default());
        drop(generator.generate(Inputs {
            monitors: &monitors,
            namespaces: &namespaces,
            material: &material,
        }));
        generator.why_no_jobs(&monitors[0], &namespaces).map(|why| why.to_string())
    };
    let unlabelled = why(manifest("{}", spec)).unwrap();
    assert!(unlabelled.contains("do not meet `a=b`"), "{unlabelled}");
    let bad = why(manifest("{a: b}", "{endpoints: [{interval: soon}]}")).unwrap();
    assert!(bad.starts_with("the monitor is in quarantine: spec.endpoints[0].interval: "), "{bad}");
    let empty = why(manifest("{a: b}", spec)).unwrap();
    assert_eq!(empty, "the monitor makes no job: spec.endpoints names nothing to scrape");
    assert_eq!(why(manifest("{a: b}", "{endpoints: [{}]}")), None);
}
