//! `MONITORS.md`: every field of every kind, from the types that read them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect_file;
use serde_json::Value;

use crate::monitors::sd::Row;
use crate::monitors::{pod_monitor, probe, scrape_config, sd, service_monitor};

#[test]
fn the_page_about_monitors_is_fresh() {
    expect_file!["../../../MONITORS.md"].assert_eq(&page());
}

fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut parts = BTreeSet::new();
    let kinds: [(&str, &Value); 4] = [
        ("ServiceMonitor", &service_monitor::SCHEMA),
        ("PodMonitor", &pod_monitor::SCHEMA),
        ("Probe", &probe::SCHEMA),
        ("ScrapeConfig", &scrape_config::SCHEMA),
    ];
    for (kind, schema) in kinds {
        writeln!(page, "\n## {kind}\n\n| field | meaning |\n|---|---|").unwrap();
        rows(&mut page, "", schema, schema, &mut parts);
        if kind == "ScrapeConfig" {
            mechanisms(&mut page);
        }
    }
    let settings = config::schema_of::<crate::settings::PrometheusCr>();
    let file = config::schema_of::<crate::settings::File>();
    page.push_str(FILE);
    let mut keys = String::new();
    rows(&mut keys, "", &file, &file, &mut parts);
    // The section has a table of its own.
    page.push_str(&keys.replace("See *PrometheusCr*.", "See below."));
    parts.remove("PrometheusCr");
    page.push_str("\n## Settings: `prometheus_cr`\n\n| key | meaning |\n|---|---|\n");
    rows(&mut page, "", &settings, &settings, &mut parts);
    page.push_str("\n## Parts that are used above\n");
    let roots: Vec<&Value> = kinds.iter().map(|(_, schema)| *schema).chain([&settings, &file]).collect();
    shared(&mut page, &roots, parts);
    page
}

const INTRODUCTION: &str = "# Monitors of the Prometheus operator

What `muster-allocator` makes of ServiceMonitors, PodMonitors, Probes and ScrapeConfigs (prometheus-operator 0.93). Names of
jobs and labels of targets are those of the OpenTelemetry target allocator. This page is printed from the types that read
the objects; `UPDATE_EXPECT=1 cargo test -p muster-allocator the_page_about_monitors` writes it anew.

- A field that is not listed is a warning with the nearest known name, and has no effect.
- A monitor with a mistake makes no jobs and is in quarantine, with field and reason; no other monitor is affected. It comes
  back by itself when it is mended, or when what it refers to appears.
- What it refers to lies in its own namespace; what a scrape class refers to in the namespace of the collectors. `optional` of a
  reference has no effect.
- A monitor that logs in by itself does not get the authorization of its scrape class.
- The rules that share targets out over `$(SHARD)` are left out; `__tmp_prometheus_job_name` is there for rules of users.
- A monitor has at most 1000 endpoints (`MAX_ENDPOINTS`) and 4 MiB of jobs (`MAX_JOB_BYTES`).
";

const FILE: &str = "
## Settings: the configuration file

`--config-file`, `/conf/targetallocator.yaml` by default. Flags win over the environment (`OTELCOL_NAMESPACE`,
`ALLOW_INSECURE_AUTH_SECRETS`), and that over the file; `--help` lists the flags. A key that is not known is a warning.

| key | meaning |
|---|---|
| `config` | A Prometheus configuration: `global` and `scrape_configs`; what a Prometheus server does beside scraping is ignored. |
";

/// One row for each field; types that have a name are parts, except those of one field alone.
fn rows(page: &mut String, prefix: &str, schema: &Value, root: &Value, parts: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let field = format!("{prefix}{name}");
        let (part, is_list) = part_of(property);
        let text = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        let own = part.as_deref().filter(|part| OWN.contains(part));
        let shown = part.as_deref().filter(|part| own.is_none() && is_section(root, part));
        let kind = shown.map(|part| format!(" See *{part}*.")).unwrap_or_default();
        writeln!(page, "| `{field}` | {text}{kind} |").unwrap();
        if let Some(part) = own {
            let inner = format!("{field}{}.", if is_list { "[]" } else { "" });
            rows(page, &inner, &root["$defs"][part], root, parts);
        } else {
            parts.extend(shown.map(str::to_owned));
        }
    }
}

/// Types that stand in one place and are written out there.
const OWN: [&str; 6] = ["Endpoint", "Prober", "Param", "Targets", "StaticTargets", "Ingresses"];

/// The named type of a property, and whether the property is a list of it.
fn part_of(property: &Value) -> (Option<String>, bool) {
    let name =
        |schema: &Value| schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    let of_choice = || property["anyOf"].as_array().and_then(|choices| choices.iter().find_map(name));
    let of_map = || name(&property["additionalProperties"]["items"]);
    match name(&property["items"]) {
        Some(part) => (Some(part), true),
        None => (name(property).or_else(of_choice).or_else(of_map), false),
    }
}

fn is_section(root: &Value, part: &str) -> bool {
    root["$defs"][part]["properties"].is_object()
}

/// Parts, and the parts of parts.
fn shared(page: &mut String, roots: &[&Value], mut wanted: BTreeSet<String>) {
    let mut told = BTreeSet::new();
    while let Some(part) = wanted.pop_first() {
        let Some(root) = roots.iter().find(|root| is_section(root, &part)) else { continue };
        if told.insert(part.clone()) {
            writeln!(page, "\n### {part}\n\n| field | meaning |\n|---|---|").unwrap();
            rows(page, "", &root["$defs"][&part], root, &mut wanted);
            wanted.retain(|part| !told.contains(part));
        }
    }
}

fn mechanisms(page: &mut String) {
    page.push_str(
        "\nWays to find targets. One that is not built in is shown under `/scrape_configs`, and its lists are answered with 503.\n\
         All but those marked with * also take `basicAuth`, `authorization`, `oauth2`, `tlsConfig`, `proxyUrl`, `noProxy`,\n\
         `proxyFromEnvironment`, `proxyConnectHeader`, `followRedirects` and `enableHTTP2`.\n\n\
         | field | becomes | built in | fields |\n|---|---|---|---|\n",
    );
    for Row { field, key, mut fields, client } in sd::table() {
        let built_in = matches!(
            key,
            "static_configs"
                | "file_sd_configs"
                | "http_sd_configs"
                | "dns_sd_configs"
                | "kubernetes_sd_configs"
        );
        let has_all = client.len() > 1;
        let star = if has_all { "" } else { " *" };
        fields.extend(client.iter().filter(|_| !has_all));
        let built_in = if built_in { "yes" } else { "no" };
        writeln!(page, "| `{field}`{star} | `{key}` | {built_in} | `{}` |", fields.join("`, `")).unwrap();
    }
}
