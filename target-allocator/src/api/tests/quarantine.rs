//! Monitors that make no jobs, for people and for programs.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{fixture, text};
use crate::kubernetes::{Held, Monitored};
use crate::monitors::{Kind, MonitorKey, Quarantined, Selected, Warned, Why};

fn monitored() -> Monitored {
    let key =
        |name: &str| MonitorKey { kind: Kind::Probe, namespace: "shop".to_owned(), name: name.to_owned() };
    let what = Quarantined {
        key: key("bad"),
        uid: "u-1".to_owned(),
        generation: 7,
        field: "spec.prober.url".to_owned(),
        reason: "`<b>` is not `host`; write one".to_owned(),
        n_more: 2,
    };
    let warned =
        Warned { key: key("odd"), field: "spec".to_owned(), message: "unknown key `modul`".to_owned() };
    let mut monitored = Monitored {
        quarantine: vec![Held { what, since: SystemTime::UNIX_EPOCH + Duration::from_secs(5) }],
        warnings: vec![warned],
        problems: vec!["Secret shop/s has not been read yet".to_owned()],
        ..Monitored::default()
    };
    monitored.selected[2] =
        Selected { n_seen: 3, n_selected: 3, n_quarantined: 1, n_waiting: 1, nothing: None };
    monitored.selected[3].nothing = Some(Why::NoSelector { kind: Kind::ScrapeConfig });
    monitored
}

#[tokio::test]
async fn programs_get_the_quarantine_as_json() {
    let fixture = fixture(|parts| parts.monitored = monitored().into());
    let (status, body) = fixture.get("/debug/quarantine").await;
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        told["quarantine"],
        json!([{
            "kind": "Probe", "namespace": "shop", "name": "bad", "uid": "u-1", "generation": 7,
            "field": "spec.prober.url", "reason": "`<b>` is not `host`; write one", "more_mistakes": 2, "since": 5_000,
        }])
    );
    assert_eq!(told["warnings"][0]["message"], "unknown key `modul`");
    assert_eq!(
        told["selected"]["Probe"],
        json!({"seen": 3, "selected": 3, "quarantined": 1, "waiting": 1, "nothing": null})
    );
    let nothing = told["selected"]["ScrapeConfig"]["nothing"].as_str().unwrap();
    assert!(nothing.contains("prometheus_cr::scrape_config_selector is not set"), "{nothing}");
    assert_eq!(told["problems"], json!(["Secret shop/s has not been read yet"]));
}

#[tokio::test]
async fn people_get_the_quarantine_as_a_page() {
    let fixture = fixture(|parts| parts.monitored = monitored().into());
    let page = text(&fixture.page("/debug/quarantine").await);
    for part in [
        "Probe shop/bad",
        "<code>spec.prober.url</code>",
        "`&lt;b&gt;` is not `host`; write one",
        "unknown key `modul`",
        "prometheus_cr::scrape_config_selector is not set",
        "Secret shop/s has not been read yet",
    ] {
        assert!(page.contains(part), "{part} is not on the page:\n{page}");
    }
    let index = text(&fixture.page("/").await);
    assert!(index.contains(r#"<a href="/debug/quarantine">1</a>"#), "{index}");
}

#[tokio::test]
async fn without_monitors_there_is_nothing_to_tell() {
    let fixture = fixture(|_| {});
    let (_, body) = fixture.get("/debug/quarantine").await;
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&told["quarantine"], &told["warnings"]), (&json!([]), &json!([])));
}
