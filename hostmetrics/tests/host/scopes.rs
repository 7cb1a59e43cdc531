//! Who says it: scope, version and schema of what every scraper sends.

use std::collections::BTreeMap;

use hostmetrics::Options;
use wire::otlp::ResourceView;

use crate::tables::full;
use crate::tree::NOW;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_scraper_has_a_scope_with_the_version_of_the_program() {
    let tree = full();
    let scrapers = hostmetrics::tables().map(|(scraper, ..)| scraper);
    for scraper in scrapers {
        let options = Options { version: "1.2.3", ..Options::default() };
        let scraped = tree.host_with(&format!("{{{scraper}: }}"), options).scrape(NOW);
        assert!(!scraped.frames.resources.is_empty(), "{scraper}");
        for resource in &scraped.frames.resources {
            let view = ResourceView::new(resource).unwrap();
            let scopes: Vec<_> = view.scopes().map(|scope| scope.unwrap().scope).collect();
            assert_eq!(scopes.len(), 1, "{scraper}");
            let scope = format!(
                "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/{scraper}scraper"
            );
            assert_eq!([text(scopes[0].name), text(scopes[0].version)], [scope, "1.2.3".to_owned()]);
        }
    }
}

#[test]
fn resources_carry_the_schema_of_the_scraper() {
    let tree = full();
    let scraped = tree.host(&crate::tables::everything()).scrape(NOW);
    let mut schemas = BTreeMap::new();
    for resource in &scraped.frames.resources {
        let view = ResourceView::new(resource).unwrap();
        let scope = view.scopes().next().unwrap().unwrap();
        let name = text(scope.scope.name);
        let scraper = name.rsplit('/').next().unwrap().trim_end_matches("scraper").to_owned();
        schemas.insert(scraper, text(view.schema_url).replace("https://opentelemetry.io/schemas/", ""));
    }
    for (scraper, version) in [
        ("cpu", "1.9.0"),
        ("disk", "1.9.0"),
        ("filesystem", "1.9.0"),
        ("load", "1.9.0"),
        ("memory", "1.9.0"),
        ("network", "1.9.0"),
        ("paging", "1.9.0"),
        ("process", "1.43.0"),
    ] {
        assert_eq!(schemas[scraper], version, "{scraper}");
    }
}
