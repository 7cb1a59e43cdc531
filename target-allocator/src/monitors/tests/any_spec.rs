//! Whatever stands in one specification, nothing panics and no other monitor is affected.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Words of specifications, so that random objects get somewhere.
const WORDS: [&str; 40] = [
    "endpoints",
    "podMetricsEndpoints",
    "selector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "port",
    "targetPort",
    "portNumber",
    "interval",
    "scrapeTimeout",
    "relabelings",
    "metricRelabelings",
    "action",
    "regex",
    "modulus",
    "targetLabel",
    "replacement",
    "basicAuth",
    "authorization",
    "oauth2",
    "tlsConfig",
    "ca",
    "secret",
    "name",
    "prober",
    "url",
    "targets",
    "staticConfig",
    "static",
    "ingress",
    "staticConfigs",
    "httpSDConfigs",
    "consulSDConfigs",
    "kubernetesSDConfigs",
    "labels",
    "proxyUrl",
    "bodySizeLimit",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        prop::sample::select(vec!["In", "keep", "hashmod", "(", "$1", "30s", "-1", "http://x/y", "1Gi", ""])
            .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|entries| Value::from(entries.into_iter().collect::<Map<String, Value>>())),
        ]
    })
}

/// A specification in which one part of a good one is replaced by anything.
fn nearly_good() -> impl Strategy<Value = Value> {
    let good = json!({
        "selector": {"matchLabels": {"a": "b"}},
        "endpoints": [{"port": "web", "relabelings": [{"action": "keep", "regex": "x"}]}],
        "podMetricsEndpoints": [{"port": "web", "tlsConfig": {"ca": {"secret": {"name": "s", "key": "k"}}}}],
        "prober": {"url": "p"},
        "targets": {"staticConfig": {"static": ["a"], "labels": {"x": "y"}}},
        "staticConfigs": [{"targets": ["h:1"]}],
        "httpSDConfigs": [{"url": "http://x/y", "basicAuth": {"username": {"name": "s", "key": "k"}}}],
    });
    let paths = vec![
        "/selector",
        "/selector/matchLabels",
        "/endpoints",
        "/endpoints/0",
        "/endpoints/0/port",
        "/endpoints/0/relabelings",
        "/endpoints/0/relabelings/0",
        "/podMetricsEndpoints/0/tlsConfig",
        "/podMetricsEndpoints/0/tlsConfig/ca",
        "/prober",
        "/targets",
        "/targets/staticConfig",
        "/targets/staticConfig/labels",
        "/staticConfigs",
        "/staticConfigs/0",
        "/httpSDConfigs/0",
        "/httpSDConfigs/0/basicAuth",
    ];
    (prop::sample::select(paths), any_json()).prop_map(move |(path, value)| {
        let mut spec = good.clone();
        if let Some(part) = spec.pointer_mut(path) {
            *part = value;
        }
        spec
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn one_specification_never_affects_another_monitor(
        spec in prop_oneof![any_json(), nearly_good()],
        kind in prop::sample::select(Kind::ALL.to_vec()),
    ) {
        let good = monitor(GOOD);
        let bad = Arc::new(Monitor { key: MonitorKey { kind, name: "any".to_owned(), ..good.key.clone() }, spec, ..Monitor::clone(&good) });
        let store = Store::of([("Secret shop/s/k", "value")]);
        let namespaces = Namespaces::new();
        let mut generator = Generator::new(policy(ALL));
        let alone = generator.generate(Inputs { monitors: &[Arc::clone(&good)], namespaces: &namespaces, material: &store });
        let both = generator.generate(Inputs { monitors: &[Arc::clone(&bad), good], namespaces: &namespaces, material: &store });
        let name = "serviceMonitor/shop/good/0";
        prop_assert!(Arc::ptr_eq(&alone.jobs[name], &both.jobs[name]));
        let own = both.jobs.len() - 1;
        prop_assert!(both.quarantine.is_empty() || own == 0, "either jobs or quarantine");
        prop_assert_eq!(own, generator.jobs_of(&bad.key).len());
        let subject = Subject { kind: SubjectKind::Service, namespace: "shop".to_owned(), labels: ObjectLabels::new(), ports: vec![] };
        drop(generator.policy().why_not_reached(&bad, &subject));
        drop(generator.why_no_jobs(&bad, &namespaces));
    }
}
