//! What Secrets hold is told to who may have it, and shown nowhere else: in no answer without credentials, no message, no debug
//! output and no panic. The fields are not listed here: they are looked up in the schemas of the types that read objects and
//! jobs.

use std::fmt::Debug;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::monitors::{pod_monitor, probe, scrape_config, sd, service_monitor};

/// What upstream shows to everybody, although it may come from a Secret.
const SHOWN: [&str; 4] = ["username", "clientId", "ca", "cert"];

/// Stands in a path for an item of a list.
pub(super) const ITEM: &str = "-";

/// A field, step by step.
pub(super) type Steps = Vec<String>;

/// The fields of a type for which `is_leaf` holds.
pub(super) fn fields(root: &Value, is_leaf: fn(&Value) -> bool) -> Vec<Steps> {
    let mut found = Vec::new();
    walk(root, root, &mut Steps::new(), is_leaf, &mut found);
    found.sort();
    found.dedup();
    found
}

fn walk(schema: &Value, root: &Value, path: &mut Steps, is_leaf: fn(&Value) -> bool, found: &mut Vec<Steps>) {
    if is_leaf(schema) {
        found.push(path.clone());
        return;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        walk(&root["$defs"][name], root, path, is_leaf, found);
    }
    for choices in ["anyOf", "allOf", "oneOf"] {
        for choice in schema[choices].as_array().into_iter().flatten() {
            walk(choice, root, path, is_leaf, found);
        }
    }
    let mut below = |step: &str, schema: &Value| {
        path.push(step.to_owned());
        walk(schema, root, path, is_leaf, found);
        path.pop();
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        below(name, property);
    }
    for (step, key) in [(ITEM, "items"), ("X-Some", "additionalProperties")] {
        if schema[key].is_object() {
            below(step, &schema[key]);
        }
    }
}

pub(super) fn is_reference(schema: &Value) -> bool {
    schema["$ref"].as_str().is_some_and(|path| path.ends_with("/KeyRef"))
}

fn is_secret(schema: &Value) -> bool {
    schema["writeOnly"] == true
}

/// The value with everything around it that its path says.
pub(super) fn at(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |value, step| match step.as_str() {
        ITEM => json!([value]),
        name => json!({ name: value }),
    })
}

/// Puts what `more` says over `value`, item by item.
pub(super) fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(map), Value::Object(more)) => {
            more.into_iter().for_each(|(key, more)| merge(map.entry(key).or_insert(Value::Null), more));
        }
        (Value::Array(items), Value::Array(more)) if items.len() == more.len() => {
            items.iter_mut().zip(more).for_each(|(item, more)| merge(item, more));
        }
        (value, more) => *value = more,
    }
}

/// A reference to what is in every store of these tests.
pub(super) fn other(key: &str) -> Value {
    json!({ "name": "tokens", "key": key })
}

/// Adds what has to stand beside a field for it to be of use.
pub(super) fn complete(value: &mut Value) {
    let beside = |map: &mut serde_json::Map<String, Value>, defaults: Value| {
        let mut whole = defaults;
        merge(&mut whole, Value::Object(std::mem::take(map)));
        if let Value::Object(whole) = whole {
            *map = whole;
        }
    };
    match value {
        Value::Array(items) => items.iter_mut().for_each(complete),
        Value::Object(map) => {
            if map.contains_key("proxyConnectHeader") {
                beside(map, json!({ "proxyUrl": "http://proxy.example.test" }));
            }
            for (key, part) in map.iter_mut() {
                complete(part);
                let Value::Object(part) = part else { continue };
                match key.as_str() {
                    "basicAuth" => {
                        beside(part, json!({ "username": other("text"), "password": other("text") }));
                    }
                    "oauth2" => {
                        let id = if part.contains_key("clientId") {
                            json!({})
                        } else {
                            json!({ "secret": other("text") })
                        };
                        beside(
                            part,
                            json!({ "clientId": id, "clientSecret": other("text"), "tokenUrl": "http://token.example.test" }),
                        );
                    }
                    "tlsConfig" if part.contains_key("cert") || part.contains_key("keySecret") => {
                        let cert = if part.contains_key("cert") {
                            json!({})
                        } else {
                            json!({ "secret": other("cert") })
                        };
                        beside(part, json!({ "cert": cert, "keySecret": other("key") }));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A secret: what the object holds, and a part of it that is nowhere else.
pub(super) struct Token {
    content: String,
    mark: String,
}

fn testdata(name: &str) -> String {
    let path = format!("{}/../collector/crates/net/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// One that the field takes.
pub(super) fn token_for(path: &Steps) -> Token {
    let is_part = |name: &str| path.iter().any(|step| step == name);
    let pem = match () {
        () if is_part("keySecret") => "client.key",
        () if is_part("tlsConfig") && (is_part("ca") || is_part("cert")) => "client.pem",
        () => return Token { content: "hush-4c1d".to_owned(), mark: "hush-4c1d".to_owned() },
    };
    let content = testdata(pem);
    let mark = content.lines().nth(1).unwrap().to_owned();
    Token { content, mark }
}

/// Ones that nobody can use.
fn unusable(mark: &str) -> [Token; 2] {
    ["\n", "\u{1}\u{e9}://:"]
        .map(|bad| Token { content: format!("{mark}{bad}{mark}"), mark: mark.to_owned() })
}

pub(super) fn store(token: &Token) -> Store {
    let (cert, key) = (testdata("client.pem"), testdata("client.key"));
    Store::of([
        ("Secret shop/tokens/it", &*token.content),
        ("ConfigMap shop/tokens/it", &*token.content),
        ("Secret observe/tokens/it", &*token.content),
        ("ConfigMap observe/tokens/it", &*token.content),
        ("Secret shop/tokens/text", "text"),
        ("Secret shop/tokens/cert", &*cert),
        ("Secret shop/tokens/key", &*key),
        ("Secret observe/tokens/cert", &*cert),
        ("Secret observe/tokens/key", &*key),
    ])
}

/// What a program that fails with this value prints.
fn panic_with(value: impl Debug) -> String {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let printed = Arc::new(Mutex::new(String::new()));
    let (own, thread) = (Arc::clone(&printed), std::thread::current().id());
    let before = Arc::new(std::panic::take_hook());
    let others = Arc::clone(&before);
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            own.lock().unwrap().push_str(&info.to_string());
        } else {
            others(info);
        }
    }));
    let fails = move || assert!(format!("{value:?}").is_empty(), "a failure over {value:?}, {value:#?}");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fails));
    std::panic::set_hook(Box::new(move |info| before(info)));
    assert!(caught.is_err());
    let printed = printed.lock().unwrap().clone();
    assert!(printed.contains("a failure over"), "the hook was called: {printed}");
    printed
}

pub(super) fn kinds() -> [(Kind, &'static Value, Value); 4] {
    [
        (
            Kind::ServiceMonitor,
            &service_monitor::SCHEMA,
            json!({ "selector": {}, "endpoints": [{ "port": "p" }] }),
        ),
        (
            Kind::PodMonitor,
            &pod_monitor::SCHEMA,
            json!({ "selector": {}, "podMetricsEndpoints": [{ "port": "p" }] }),
        ),
        (
            Kind::Probe,
            &probe::SCHEMA,
            json!({ "prober": { "url": "prober:9115" }, "targets": { "staticConfig": { "static": ["a"] } } }),
        ),
        (Kind::ScrapeConfig, &scrape_config::SCHEMA, json!({ "staticConfigs": [{ "targets": ["h:1"] }] })),
    ]
}

/// Every reference of every kind: the kind, the path, and a specification in which it is given.
fn references() -> Vec<(Kind, Steps, Value)> {
    let mut all = Vec::new();
    for (kind, schema, base) in kinds() {
        let mut paths = fields(schema, is_reference);
        if kind == Kind::ScrapeConfig {
            paths.extend(of_discovery());
        }
        for path in paths {
            let mut spec = base.clone();
            merge(&mut spec, at(&path, other("it")));
            complete(&mut spec);
            all.push((kind, path, spec));
        }
    }
    all
}

/// References in ways to find targets.
fn of_discovery() -> Vec<Steps> {
    let client = fields(&sd::client_schema(), is_reference);
    let mut paths = Vec::new();
    for row in sd::table() {
        let own = sd::secrets(row.field).map(|field| vec![field.to_owned()]);
        let of_client = client.iter().filter(|path| row.client.contains(&path[0].as_str())).cloned();
        for path in own.chain(of_client) {
            paths.push([vec![row.field.to_owned(), ITEM.to_owned()], path].concat());
        }
    }
    paths
}

/// What a mechanism that is built in cannot do without.
fn required(spec: &mut Value) {
    for (mechanism, defaults) in [
        ("httpSDConfigs", json!({ "url": "http://sd.example.test" })),
        ("kubernetesSDConfigs", json!({ "role": "Pod", "apiServer": "https://api.example.test" })),
    ] {
        if let Some(section) = spec.pointer_mut(&format!("/{mechanism}/0")) {
            let mut whole = defaults;
            merge(&mut whole, section.take());
            *section = whole;
        }
    }
}

fn generate_one(kind: Kind, spec: &Value, token: &Token) -> Generated {
    let mut spec = spec.clone();
    required(&mut spec);
    let key = MonitorKey { kind, ..monitor(GOOD).key.clone() };
    let monitors = [Arc::new(Monitor { key, spec, ..Monitor::clone(&monitor(GOOD)) })];
    let store = store(token);
    let inputs = Inputs { monitors: &monitors, namespaces: &Namespaces::new(), material: &store };
    Generator::new(policy(ALL)).generate(inputs)
}

/// Everything that may be seen of what monitors became.
fn seen(generated: &Generated) -> String {
    let redacted: String = generated.jobs.values().map(|job| job.redacted().to_string()).collect();
    format!("{redacted}{generated:?}{}{}", quarantined(generated), warned(generated))
}

#[test]
fn what_a_reference_leads_to_is_told_to_who_may_have_it_and_shown_to_nobody_else() {
    let references = references();
    assert!(references.len() > 200, "{}", references.len());
    for (kind, path, spec) in &references {
        let token = token_for(path);
        let generated = generate_one(*kind, spec, &token);
        assert_eq!(quarantined(&generated), "", "{kind} {path:?}: {spec}");
        let full: String = generated.jobs.values().map(|job| job.full().to_string()).collect();
        assert!(full.contains(&token.mark), "{kind} {path:?} has no effect: {full}");
        let is_shown = path.iter().any(|step| SHOWN.contains(&step.as_str()));
        assert!(
            is_shown || !seen(&generated).contains(&token.mark),
            "{kind} {path:?} is shown: {}",
            seen(&generated)
        );
    }
}

#[test]
fn messages_about_what_a_reference_leads_to_do_not_quote_it() {
    for (kind, path, spec) in references() {
        for token in unusable("hush-77aa") {
            let generated = generate_one(kind, &spec, &token);
            let said = format!("{}{}", quarantined(&generated), warned(&generated));
            assert!(!said.contains(&token.mark), "{kind} {path:?}: {said}");
        }
    }
}

#[test]
fn a_panic_over_what_holds_secrets_prints_none() {
    for (kind, path, spec) in references() {
        let token = token_for(&path);
        let generated = generate_one(kind, &spec, &token);
        let is_shown = path.iter().any(|step| SHOWN.contains(&step.as_str()));
        let printed = panic_with(&generated) + &panic_with(store(&token).answer(&entry()));
        assert!(is_shown || !printed.contains(&token.mark), "{kind} {path:?}: {printed}");
    }
}

fn entry() -> EntryRef {
    let object =
        ObjectRef { holder: Holder::Secret, namespace: "shop".to_owned(), name: "tokens".to_owned() };
    EntryRef { object, key: "it".to_owned() }
}

#[test]
fn what_scrape_classes_refer_to_is_hidden_as_well() {
    let schema = config::schema_of::<ScrapeClass>();
    let paths = fields(&schema, is_reference);
    assert_eq!(paths.len(), 6, "{paths:?}");
    for path in paths {
        let token = token_for(&path);
        let mut class = json!({ "name": "c", "default": true });
        merge(&mut class, at(&path, other("it")));
        complete(&mut class);
        let settings = format!("{ALL}scrape_classes: [{class}]");
        let generated = generate_with(&settings, &store(&token), &[GOOD]);
        assert_eq!(quarantined(&generated), "", "{path:?}");
        let full: String = generated.jobs.values().map(|job| job.full().to_string()).collect();
        assert!(full.contains(&token.mark), "{path:?} has no effect: {full}");
        let is_shown = path.iter().any(|step| SHOWN.contains(&step.as_str()));
        assert!(is_shown || !seen(&generated).contains(&token.mark), "{path:?}: {}", seen(&generated));
    }
}

/// Fields in which a URL stands, and whose password is hidden.
const URLS: [&str; 9] = [
    "proxyUrl",
    "httpSDConfigs::-::url",
    "httpSDConfigs::-::proxyUrl",
    "httpSDConfigs::-::oauth2::tokenUrl",
    "kubernetesSDConfigs::-::apiServer",
    "puppetDBSDConfigs::-::url",
    "puppetDBSDConfigs::-::proxyUrl",
    "openstackSDConfigs::-::identityEndpoint",
    "oauth2::tokenUrl",
];

#[test]
fn passwords_in_urls_are_hidden() {
    for field in URLS {
        let path: Steps = field.split("::").map(str::to_owned).collect();
        for host in ["host.example.test", "host.example.test:99999", ""] {
            let mut spec = json!({ "staticConfigs": [{ "targets": ["h:1"] }] });
            merge(&mut spec, at(&path, json!(format!("http://user:hush-55bb@{host}/"))));
            complete(&mut spec);
            let token = Token { content: "fixed".to_owned(), mark: "hush-55bb".to_owned() };
            let generated = generate_one(Kind::ScrapeConfig, &spec, &token);
            assert!(!seen(&generated).contains("hush-55bb"), "{field}: {}", seen(&generated));
            assert_eq!(generated.jobs.len() + generated.quarantine.len(), 1, "{field}");
        }
    }
}

#[test]
fn secrets_of_jobs_in_the_configuration_are_shown_nowhere() {
    let schema = config::schema_of::<scrape::ScrapeConfig>();
    let paths = fields(&schema, is_secret);
    for known in
        ["basic_auth password", "bearer_token", "oauth2 client_secret", "http_headers X-Some secrets -"]
    {
        let path: Steps = known.split(' ').map(str::to_owned).collect();
        assert!(paths.contains(&path), "{known} is not among {paths:?}");
    }
    for path in paths {
        let mut job = json!({ "job_name": "j", "static_configs": [{ "targets": ["h:1"] }] });
        merge(&mut job, at(&path, json!("hush-99ff")));
        for (mechanism, key, value) in
            [("http_sd_configs", "url", "http://sd.example.test"), ("kubernetes_sd_configs", "role", "pod")]
        {
            if let Some(section) = job.pointer_mut(&format!("/{mechanism}/0")) {
                section[key] = json!(value);
            }
        }
        let node = config::to_node(&json!({ "scrape_configs": [job] }));
        let mut problems = Vec::new();
        let jobs = crate::jobs::read(Some(&node), Path::new("/"), &mut problems);
        let said: String = problems.iter().map(ToString::to_string).collect();
        assert!(!said.contains("hush-99ff"), "{path:?}: {said}");
        let (one, _): (scrape::ScrapeConfig, _) =
            config::read_lenient_with(&config::to_node(&job), "", &schema).unwrap();
        let shown = format!("{one:?}{jobs:?}{}", serde_json::to_string(&one).unwrap());
        assert!(!shown.contains("hush-99ff"), "{path:?}: {shown}");
        let full = Secret::revealing(|| serde_json::to_string(&one).unwrap());
        assert!(full.contains("hush-99ff"), "{path:?} is not told to who may have it: {full}");
        assert!(!panic_with(&one).contains("hush-99ff"), "{path:?}");
    }
}
