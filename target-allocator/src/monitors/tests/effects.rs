//! No field is read for nothing: each that a type reads changes the job. Fields are not listed here but looked up in the schemas;
//! what is listed is a value for each. Those that refer to Secrets and ConfigMaps are in [`super::secrets`].

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::secrets::{
    ITEM, Steps, at, complete, fields, is_reference, kinds, merge, other, store, token_for,
};
use super::*;

/// The end of a path, what stands beside the field, and its value.
type Sample = (&'static str, Value, Value);

fn samples() -> Vec<Sample> {
    let rule = || json!({ "targetLabel": "t" });
    let condition = || json!({ "key": "a", "operator": "In", "values": ["x"] });
    let nothing = || json!({});
    let mut samples = vec![
        // Rules.
        ("action", rule(), json!("LowerCase")),
        ("modulus", json!({ "action": "hashmod", "targetLabel": "t", "modulus": 2 }), json!(3)),
        ("regex", rule(), json!("x")),
        ("replacement", rule(), json!("")),
        ("separator", rule(), json!("")),
        ("sourceLabels.-", rule(), json!("a")),
        ("targetLabel", rule(), json!("u")),
        // Selection.
        ("matchExpressions.-.key", condition(), json!("b")),
        ("matchExpressions.-.operator", condition(), json!("NotIn")),
        ("matchExpressions.-.values.-", condition(), json!("y")),
        ("selectorMechanism", json!({ "selector": { "matchLabels": { "a": "b" } } }), json!("RoleSelector")),
        ("targetPort", json!({ "port": "" }), json!("web")),
        ("portNumber", json!({ "port": "" }), json!(9102)),
        // How targets are reached.
        ("authorization.type", json!({ "credentials": other("text") }), json!("Own")),
        ("certFile", json!({ "certFile": "/c", "keyFile": "/k" }), json!("/d")),
        ("keyFile", json!({ "certFile": "/c", "keyFile": "/k" }), json!("/l")),
        ("noProxy", json!({ "proxyUrl": "http://proxy.example.test" }), json!("a")),
        ("oauth2.tokenUrl", nothing(), json!("http://other.example.test")),
        // Probes.
        ("params.-.name", json!({ "name": "a", "values": ["b"] }), json!("c")),
        ("params.-.values.-", json!({ "name": "a", "values": ["b"] }), json!("c")),
        ("prober.url", nothing(), json!("other:9115")),
        ("static.-", nothing(), json!("b")),
    ];
    let alone = [
        ("any", json!(true)),
        ("attachMetadata.node", json!(true)),
        ("bearerTokenFile", json!("/token")),
        ("bodySizeLimit", json!("1MB")),
        ("caFile", json!("/ca")),
        ("convertClassicHistogramsToNHCB", json!(true)),
        ("enableCompression", json!(false)),
        ("enableHTTP2", json!(false)),
        ("enableHttp2", json!(false)),
        ("endpointParams.X-Some", json!("v")),
        ("fallbackScrapeProtocol", json!("PrometheusText0.0.4")),
        ("filterRunning", json!(false)),
        ("followRedirects", json!(false)),
        ("honorLabels", json!(true)),
        ("honorTimestamps", json!(false)),
        ("insecureSkipVerify", json!(true)),
        ("interval", json!("20s")),
        ("jobLabel", json!("a")),
        ("jobName", json!("j")),
        ("keepDroppedTargets", json!(1)),
        ("labelLimit", json!(1)),
        ("labelNameLengthLimit", json!(1)),
        ("labelValueLengthLimit", json!(1)),
        ("labels.X-Some", json!("v")),
        ("matchLabels.X-Some", json!("v")),
        ("matchNames.-", json!("other")),
        ("maxVersion", json!("TLS13")),
        ("metricsPath", json!("/m")),
        ("minVersion", json!("TLS12")),
        ("module", json!("m")),
        ("nameEscapingScheme", json!("Dots")),
        ("nameValidationScheme", json!("Legacy")),
        ("nativeHistogramBucketLimit", json!(1)),
        ("nativeHistogramMinBucketFactor", json!("1.1")),
        ("params.X-Some.-", json!("v")),
        ("path", json!("/m")),
        ("podTargetLabels.-", json!("a")),
        ("port", json!("q")),
        ("proxyFromEnvironment", json!(true)),
        ("proxyUrl", json!("http://proxy.example.test")),
        ("sampleLimit", json!(1)),
        ("scheme", json!("HTTPS")),
        ("scopes.-", json!("a")),
        ("scrapeClass", json!("known")),
        ("scrapeClassicHistograms", json!(true)),
        ("scrapeInterval", json!("20s")),
        ("scrapeNativeHistograms", json!(true)),
        ("scrapeProtocols.-", json!("PrometheusProto")),
        ("scrapeTimeout", json!("5s")),
        ("serverName", json!("s")),
        ("serviceDiscoveryRole", json!("Endpoints")),
        ("targetLabels.-", json!("a")),
        ("targetLimit", json!(1)),
        ("trackTimestampsStaleness", json!(true)),
    ];
    samples.extend(alone.map(|(end, value)| (end, json!({}), value)));
    samples
}

/// Whether a part of a schema is a value, below which nothing stands.
fn is_plain(schema: &Value) -> bool {
    let has = |key: &str| schema.get(key).is_some();
    let is_open = |key: &str| schema[key].is_object();
    let is_section = ["$ref", "anyOf", "allOf", "oneOf", "properties"].into_iter().any(has);
    let is_absent = schema["type"] == "null";
    is_reference(schema) || !(is_absent || is_section || is_open("items") || is_open("additionalProperties"))
}

/// The steps to the section in which a field stands.
fn section(path: &Steps) -> &[String] {
    let is_name = |step: &String| step != ITEM && step != "X-Some";
    let name = path.iter().rposition(is_name).unwrap_or_default();
    &path[..name]
}

fn job_of(kind: Kind, mut spec: Value) -> Arc<JobSpec> {
    complete(&mut spec);
    let good = monitor(GOOD);
    let key = MonitorKey { kind, ..good.key.clone() };
    let monitors = [Arc::new(Monitor { key, spec: spec.clone(), ..Monitor::clone(&good) })];
    let settings = format!("{ALL}scrape_classes: [{{name: known, relabelings: [{{targetLabel: c}}]}}]");
    let store = store(&token_for(&Steps::new()));
    let inputs = Inputs { monitors: &monitors, namespaces: &Namespaces::new(), material: &store };
    let generated = Generator::new(policy(&settings)).generate(inputs);
    assert_eq!(quarantined(&generated), "", "{kind}: {spec}");
    assert!(!warned(&generated).contains("unknown key"), "{kind}: {}", warned(&generated));
    Arc::clone(generated.jobs.values().next().unwrap())
}

#[test]
fn every_field_has_an_effect() {
    let samples = samples();
    let mut used = BTreeSet::new();
    for (kind, schema, base) in kinds() {
        let paths = fields(schema, is_plain);
        assert!(paths.len() > 50, "{kind}: {}", paths.len());
        let references: BTreeSet<Steps> = fields(schema, is_reference).into_iter().collect();
        for path in paths.iter().filter(|path| !references.contains(*path)) {
            let name = path.join(".");
            let fits = |(end, ..): &&Sample| name == *end || name.ends_with(&format!(".{end}"));
            let sample = samples.iter().filter(fits).max_by_key(|(end, ..)| end.len());
            let (end, beside, value) = sample.unwrap_or_else(|| panic!("{kind}: no value for {name}"));
            used.insert(*end);
            // Of static targets and ingresses the former win.
            let mut without = match name.starts_with("targets.ingress") {
                true => json!({ "prober": { "url": "prober:9115" }, "targets": { "ingress": {} } }),
                false => base.clone(),
            };
            merge(&mut without, at(section(path), beside.clone()));
            let mut with = without.clone();
            merge(&mut with, at(path, value.clone()));
            assert_ne!(job_of(kind, without).full(), job_of(kind, with).full(), "{kind} {name}");
        }
    }
    let unused: Vec<&str> = samples.iter().map(|(end, ..)| *end).filter(|end| !used.contains(end)).collect();
    assert_eq!(unused, [""; 0], "no kind has these");
}
