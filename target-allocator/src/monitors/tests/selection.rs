//! Which monitors are selected, and how loudly it is said when none is.

use super::*;

fn labelled(kind: &str, namespace: &str, labels: &str) -> String {
    let spec = match kind {
        "Probe" => "{prober: {url: p}, targets: {staticConfig: {static: [a]}}}",
        "PodMonitor" => "{podMetricsEndpoints: [{}]}",
        "ScrapeConfig" => "{staticConfigs: [{targets: ['h:1']}]}",
        _ => "{endpoints: [{}]}",
    };
    format!("kind: {kind}\nmetadata: {{namespace: {namespace}, name: one, labels: {labels}}}\nspec: {spec}")
}

fn why(settings: &str, namespaces: &str, manifest: &str) -> Option<String> {
    let namespaces: Namespaces = config::read(&node(namespaces), "").unwrap();
    policy(settings).why_not_selected(&monitor(manifest), &namespaces).map(|why| why.to_string())
}

#[test]
fn a_selector_that_is_not_set_selects_nothing_and_says_so() {
    for kind in Kind::ALL {
        let key = kind.selector_key();
        let manifest = labelled(kind.as_str(), "shop", "{}");
        for settings in ["{}".to_owned(), format!("{key}: null")] {
            let generated = generate_with(&settings, &Store::default(), &[&manifest]);
            let counts = &generated.selected[kind as usize];
            assert_eq!((counts.n_seen, counts.n_selected), (1, 0), "{settings}");
            assert_eq!(
                counts.nothing.as_ref().map(ToString::to_string).unwrap(),
                format!("prometheus_cr::{key} is not set: no {kind} matches; write `{key}: {{}}` for all")
            );
            assert!(policy(&settings).selects_nothing(kind));
        }
        for settings in [format!("{key}: {{}}"), format!("{key}: {{matchLabels: {{}}}}")] {
            let generated = generate_with(&settings, &Store::default(), &[&manifest]);
            let counts = &generated.selected[kind as usize];
            assert_eq!((counts.n_selected, &counts.nothing), (1, &None), "{settings}");
            assert_eq!(generated.jobs.len(), 1, "{settings}");
        }
    }
}

#[test]
fn that_nothing_is_selected_is_said_before_anything_was_seen() {
    let generated = generate_with("{service_monitor_selector: {}}", &Store::default(), &[]);
    assert_eq!(generated.selected[0].nothing, None);
    assert_eq!(generated.selected[1].nothing, Some(Why::NoSelector { kind: Kind::PodMonitor }));
}

#[test]
fn labels_of_the_monitor_count_in_both_spellings() {
    let manifest = labelled("ServiceMonitor", "shop", "{team: a}");
    for selector in [
        "{matchLabels: {team: a}}",
        "{matchlabels: {team: a}}",
        "{matchLabels: {team: a}, matchlabels: {team: b}}",
    ] {
        assert_eq!(
            why(&format!("service_monitor_selector: {selector}"), "{}", &manifest),
            None,
            "{selector}"
        );
    }
    let settings =
        "service_monitor_selector: {matchexpressions: [{key: team, operator: In, values: [b, c]}]}";
    assert_eq!(
        why(settings, "{}", &manifest).unwrap(),
        "the labels of the ServiceMonitor do not meet `team in (b,c)` of prometheus_cr::service_monitor_selector"
    );
}

#[test]
fn labels_of_namespaces_are_looked_at_each_time() {
    let settings =
        "{service_monitor_selector: {}, service_monitor_namespace_selector: {matchLabels: {scrape: 'yes'}}}";
    let manifest = labelled("ServiceMonitor", "shop", "{}");
    assert!(policy(settings).asks_for_namespaces() && !policy(ALL).asks_for_namespaces());
    assert_eq!(why(settings, "{shop: {scrape: 'yes'}}", &manifest), None);
    assert_eq!(
        why(settings, "{shop: {scrape: 'no'}}", &manifest).unwrap(),
        "the labels of namespace `shop` do not meet `scrape=yes` of prometheus_cr::service_monitor_namespace_selector"
    );
    let unknown = why(settings, "{}", &manifest).unwrap();
    assert!(
        unknown.contains("those of namespace `shop` are not known; let the service account"),
        "{unknown}"
    );

    let mut generator = Generator::new(policy(settings));
    let monitors = [monitor(&manifest)];
    let store = Store::default();
    let mut n_jobs = |namespaces: &str| {
        let namespaces: Namespaces = config::read(&node(namespaces), "").unwrap();
        generator
            .generate(Inputs { monitors: &monitors, namespaces: &namespaces, material: &store })
            .jobs
            .len()
    };
    assert_eq!(["{}", "{shop: {scrape: 'yes'}}", "{shop: {}}"].map(&mut n_jobs), [0, 1, 0]);
}

#[test]
fn namespaces_are_allowed_or_denied_by_name() {
    let manifest = labelled("ServiceMonitor", "shop", "{}");
    for (list, expected) in [
        ("allow_namespaces: [shop]", None),
        ("allow_namespaces: [other]", Some("prometheus_cr::allow_namespaces does not list namespace `shop`")),
        ("deny_namespaces: [other]", None),
        ("deny_namespaces: [shop]", Some("prometheus_cr::deny_namespaces lists namespace `shop`")),
    ] {
        assert_eq!(why(&format!("{ALL}{list}\n"), "{}", &manifest).as_deref(), expected, "{list}");
    }
}

#[test]
fn mistakes_in_settings_are_told_by_their_key() {
    let problems = |text: &str| {
        let config: PrometheusCr = config::read(&node(text), "").unwrap();
        let problems = Policy::build(&config, "", Path::new("")).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    for (text, path) in [
        ("{allow_namespaces: [a], deny_namespaces: [b]}", "deny_namespaces"),
        ("{probe_selector: {matchLabels: {a: 'x y'}}}", "probe_selector::matchLabels::a"),
        (
            "{pod_monitor_namespace_selector: {matchExpressions: [{key: a, operator: In}]}}",
            "pod_monitor_namespace_selector::matchExpressions::0::values",
        ),
        ("{scrape_interval: 10s, scrape_timeout: 20s}", "scrape_timeout"),
        (
            "{excluded_from_enforcement: [{resource: pods, namespace: a}]}",
            "excluded_from_enforcement::0::resource",
        ),
    ] {
        assert_eq!(problems(text), [path], "{text}");
    }
}
