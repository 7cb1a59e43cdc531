//! The fake API server and the real one are asked the same; their answers differ in nothing that a client reads.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::control_plane::objects::{namespace, service, service_monitor};
use world::control_plane::{Client, ControlPlane, NOBODY, Refused};
use world::fake_api::FakeApi;

const NAMESPACE: &str = "same-answers";
const SERVICES: &str = "/api/v1/namespaces/same-answers/services";
const MONITORS: &str = "/apis/monitoring.coreos.com/v1/namespaces/same-answers/servicemonitors";

/// Where objects are put; the two servers take them in different ways.
enum Server<'a> {
    Real(&'a Client),
    Fake(&'a FakeApi),
}

impl Server<'_> {
    async fn put(&self, object: &Value) -> Result<()> {
        match self {
            Server::Real(admin) => admin.apply(object).await.map(drop),
            Server::Fake(api) => {
                api.put(object);
                Ok(())
            }
        }
    }

    async fn delete(&self, object: &Value) -> Result<()> {
        match self {
            Server::Real(admin) => admin.delete(object).await,
            Server::Fake(api) => {
                api.delete(object);
                Ok(())
            }
        }
    }
}

pub(super) async fn same() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let (admin, nobody) = (plane.admin()?, plane.client(NOBODY)?);
    admin.create(&namespace(NAMESPACE, &[])).await?;
    let fake = FakeApi::start_tls().await?;
    let client = fake.client("any")?;

    let (real_list, fake_list) =
        (lists(&Server::Real(&admin), &admin).await?, lists(&Server::Fake(&fake), &client).await?);
    same_text("lists", &real_list, &fake_list)?;

    let real_refused = refused(&nobody, "services").await?;
    fake.forbid("services", true);
    let fake_refused = refused(&client, "services").await?;
    fake.forbid("services", false);
    same_text("403", &real_refused, &fake_refused)?;

    let real_watch = watched(&Server::Real(&admin), &admin).await?;
    let fake_watch = watched(&Server::Fake(&fake), &client).await?;
    same_text("watch", &real_watch, &fake_watch)?;

    let real_gone = {
        let first = admin.get(&format!("{SERVICES}?limit=1")).await?;
        let version: u64 = text(&first["metadata"]["resourceVersion"])?.parse()?;
        // A later version, which etcd keeps; everything before it is forgotten.
        admin.apply(&service(NAMESPACE, "late")).await?;
        plane.compact(version + 1).await?;
        // What it still has in memory it would go on to answer with.
        plane.stop_api().await;
        plane.start_api().await?;
        gone(&admin).await?
    };
    client.get(&format!("{SERVICES}?limit=1")).await?;
    fake.put(&service(NAMESPACE, "late"));
    fake.compact("services");
    let fake_gone = gone(&client).await?;
    same_text("410", &real_gone, &fake_gone)?;
    Ok(())
}

/// Fails with the lines that differ.
fn same_text(what: &str, real: &Value, fake: &Value) -> Result<()> {
    let (real, fake) = (format!("{real:#}"), format!("{fake:#}"));
    let without = |text: &str, other: &str| {
        text.lines().filter(|line| !other.lines().any(|other| other == *line)).collect::<Vec<_>>().join("\n")
    };
    ensure!(
        real == fake,
        "{what}: only real:\n{}\nonly fake:\n{}",
        without(&real, &fake),
        without(&fake, &real)
    );
    Ok(())
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} is no text"))
}

async fn status(client: &Client, path: &str) -> Result<Value> {
    let error = client.get(path).await.err().with_context(|| format!("{path} is refused"))?;
    let refused = error.downcast::<Refused>()?;
    Ok(json!({ "code": refused.status, "answer": refused.answer }))
}

/// What there is to say of a list: names, what kind it says it is, whether more is to come, what items say they are.
fn shape(list: &Value) -> Value {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&Value> = items.iter().map(|item| &item["metadata"]["name"]).collect();
    let kinds: Vec<&Value> = items.iter().map(|item| &item["kind"]).collect();
    let metadata = &list["metadata"];
    json!({
        "kind": list["kind"], "apiVersion": list["apiVersion"], "names": names, "kinds": kinds,
        "continues": metadata["continue"].is_string(), "remaining": metadata["remainingItemCount"],
        "has_version": metadata["resourceVersion"].as_str().is_some_and(|version| version.parse::<u64>().is_ok()),
    })
}

async fn lists(server: &Server<'_>, client: &Client) -> Result<Value> {
    for name in ["a", "b", "c"] {
        server.put(&service(NAMESPACE, name)).await?;
        server.put(&service_monitor(NAMESPACE, name)).await?;
    }
    let first = client.get(&format!("{SERVICES}?limit=2")).await?;
    let token = text(&first["metadata"]["continue"])?;
    // Neither of these changes what the second page says.
    server.delete(&service(NAMESPACE, "c")).await?;
    server.put(&service(NAMESPACE, "d")).await?;
    let second = client.get(&format!("{SERVICES}?limit=2&continue={token}")).await?;
    let is_one_version = first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"];
    let mut answers =
        json!({ "first": shape(&first), "second": shape(&second), "one_version": is_one_version });
    for (name, query) in [
        ("labels", "labelSelector=app+in+(a%2Cd)&limit=1"),
        ("not", "labelSelector=app!%3Da%2Capp"),
        ("field", "fieldSelector=metadata.name%3Db"),
    ] {
        answers[name] = shape(&client.get(&format!("{SERVICES}?{query}")).await?);
    }
    answers["custom"] = shape(&client.get(&format!("{MONITORS}?limit=2")).await?);
    answers["metadata"] = shape(&client.get_metadata(&format!("{SERVICES}?limit=2")).await?);
    answers["missing"] = status(client, &format!("{SERVICES}/missing")).await?;
    answers["missing_custom"] = status(client, &format!("{MONITORS}/missing")).await?;
    answers["unknown"] = status(client, "/apis/monitoring.coreos.com/v1/unknowns").await?;
    Ok(answers)
}

async fn refused(client: &Client, plural: &str) -> Result<Value> {
    Ok(json!([
        status(client, &format!("/api/v1/{plural}")).await?,
        status(client, &format!("/api/v1/namespaces/{NAMESPACE}/{plural}")).await?,
        status(client, &format!("/api/v1/{plural}?watch=1")).await?,
    ]))
}

/// Type, name, labels and kind of what a watch with a selector tells; whether versions rise; the bookmark at its end.
async fn watched(server: &Server<'_>, client: &Client) -> Result<Value> {
    let list = client.get(SERVICES).await?;
    let version = text(&list["metadata"]["resourceVersion"])?;
    let query =
        format!("resourceVersion={version}&labelSelector=app%3Dw&allowWatchBookmarks=true&timeoutSeconds=4");
    let events = client.watch(&format!("{SERVICES}?watch=1&{query}")).await?;
    let mut other = service(NAMESPACE, "w");
    for (label, extra) in [("w", "1"), ("w", "2"), ("other", "2"), ("w", "2")] {
        other["metadata"]["labels"] = json!({ "app": label, "extra": extra });
        server.put(&other).await?;
    }
    server.delete(&other).await?;
    let events =
        tokio::time::timeout(Duration::from_secs(10), events.rest()).await.context("the watch ends")??;
    let mut last = version.parse::<u64>()?;
    let mut told = Vec::new();
    for event in events {
        let (kind, object) = (&event["type"], &event["object"]);
        let version = text(&object["metadata"]["resourceVersion"])?.parse::<u64>()?;
        ensure!(version >= last, "versions rise: {version} after {last}");
        last = version;
        let what = json!([
            kind,
            object["kind"],
            object["apiVersion"],
            object["metadata"]["name"],
            object["metadata"]["labels"]
        ]);
        // The real one may send more than one bookmark.
        if *kind != "BOOKMARK" || told.last() != Some(&what) {
            told.push(what);
        }
    }
    Ok(Value::Array(told))
}

/// A page and a watch from before a compaction.
async fn gone(client: &Client) -> Result<Value> {
    // {"v":"meta.k8s.io/v1","rv":1,"start":"a\u0000"}; the fake knows no such token either.
    let token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0";
    let mut page = status(client, &format!("{SERVICES}?limit=1&continue={token}")).await?;
    // The real one offers to go on without consistency; nobody should.
    page["answer"]["metadata"] = json!({});
    page["answer"]["message"] = json!(text(&page["answer"]["message"])?.split(", or").next());
    let events = client.watch(&format!("{SERVICES}?watch=1&resourceVersion=1")).await?;
    let events =
        tokio::time::timeout(Duration::from_secs(10), events.rest()).await.context("the watch ends")??;
    let mut event = events.first().context("there is an event")?.clone();
    let message = text(&event["object"]["message"])?;
    event["object"]["message"] = json!(message.split(':').next());
    ensure!(events.len() == 1, "{events:?}");
    Ok(json!({ "page": page, "watch": event }))
}
