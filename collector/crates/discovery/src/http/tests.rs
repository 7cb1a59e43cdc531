use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::board::Board;
use crate::{Context, SdConfigs, Snapshot, spawn};

type Scripted = Result<Vec<Group>, Problem>;

/// Gives one answer after the other, then the last one for ever, and notes when it was asked.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Scripted>>>,
    asked: Arc<Mutex<Vec<u64>>>,
    start: Instant,
}

impl Script {
    /// `a b` is a list with two targets, `[]` an empty list, `!` a failure.
    fn new(answers: &[&str]) -> Self {
        let answer = |text: &&str| match *text {
            "!" => Err(Problem::error("", "no answer")),
            "[]" => Ok(Vec::new()),
            targets => Ok(vec![Group {
                source: "u:0".into(),
                targets: targets.split(' ').map(crate::config::address).collect(),
                ..Group::default()
            }]),
        };
        let answers = Arc::new(Mutex::new(answers.iter().map(answer).collect()));
        Self { answers, asked: Arc::default(), start: Instant::now() }
    }

    /// Asks on a schedule of one minute for so many seconds.
    async fn run(&self, empty_list: EmptyList, seconds: f64) -> watch::Receiver<Snapshot> {
        let metrics = telemetry::Registry::new();
        let board = Arc::new(Board::new("job", 1, &metrics.scope()));
        let snapshots = board.subscribe();
        let pace = Pace { refresh: Duration::from_secs(60), phase: u32::MAX };
        let post = board.post(0, "http_sd_configs::0".to_owned(), None);
        let asking = run(self.clone(), pace, empty_list, post);
        assert!(
            tokio::time::timeout(Duration::from_secs_f64(seconds), asking).await.is_err(),
            "asking never ends"
        );
        snapshots
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

impl Ask for Script {
    fn ask(&self) -> BoxFuture<'_, Result<Vec<Group>, Problem>> {
        self.asked.lock().unwrap().push(self.start.elapsed().as_secs());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(std::future::ready(answer.unwrap()))
    }
}

fn show(snapshots: &watch::Receiver<Snapshot>) -> String {
    let snapshot = snapshots.borrow();
    let targets = snapshot.groups.iter().flat_map(|group| group.targets.iter());
    let targets: Vec<String> = targets.map(|target| target.value("__address__").to_owned()).collect();
    let settled = if snapshot.settled { "settled" } else { "unsettled" };
    let problems = snapshot.problems.iter().map(|problem| format!("; {problem}"));
    format!("{settled}: {}{}", targets.join(" "), problems.collect::<String>())
}

const CAUTIOUS: EmptyList = EmptyList::Cautious { hold: Duration::from_secs(40) };

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_last_list_and_is_tried_again_soon() {
    let script = Script::new(&["!", "!", "a b", "!", "a"]);
    let snapshots = script.run(EmptyList::Prometheus, 63.5).await;
    assert_eq!(script.asked(), [0, 1, 3, 63]);
    assert_eq!(show(&snapshots), "settled: a b; error: http_sd_configs::0: no answer");
    let snapshots = script.run(EmptyList::Prometheus, 1.0).await;
    assert_eq!(show(&snapshots), "settled: a");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_settled_before_the_first_answer() {
    let snapshots = Script::new(&["!"]).run(CAUTIOUS, 300.0).await;
    assert_eq!(show(&snapshots), "unsettled: ; error: http_sd_configs::0: no answer");
    let snapshots = Script::new(&["[]"]).run(CAUTIOUS, 1.0).await;
    assert_eq!(show(&snapshots), "settled: ", "a first list may be empty");
}

#[tokio::test(start_paused = true)]
async fn groups_that_disappear_are_gone_and_the_others_stay_the_same() {
    let script = Script::new(&["a"]);
    let two = Script::new(&["a"]).answers.lock().unwrap()[0].clone().map(|mut groups| {
        groups.push(Group {
            source: "u:1".into(),
            targets: vec![crate::config::address("b")],
            ..Group::default()
        });
        groups
    });
    script.answers.lock().unwrap().push_front(two);
    let mut belief = Belief::new(EmptyList::Prometheus);
    belief.update(script.ask().await, Instant::now());
    let before = belief.groups.clone();
    belief.update(script.ask().await, Instant::now());
    assert_eq!((before.len(), belief.groups.len()), (2, 1));
    assert!(Arc::ptr_eq(&before[0], &belief.groups[0]));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted() {
    let metrics = telemetry::Registry::new();
    let scope = metrics.scope();
    let board = Arc::new(Board::new("job", 1, &scope));
    let post = board.post(0, "http_sd_configs::0".to_owned(), Board::http_failures(&scope));
    let pace = Pace { refresh: Duration::from_secs(60), phase: u32::MAX };
    let asking = run(Script::new(&["!", "!", "a"]), pace, EmptyList::Prometheus, post);
    assert!(tokio::time::timeout(Duration::from_secs(10), asking).await.is_err());
    assert_eq!(metrics.value("prometheus_sd_http_failures_total", &[]), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn prometheus_believes_an_empty_list_at_once() {
    let snapshots = Script::new(&["a", "[]"]).run(EmptyList::Prometheus, 61.0).await;
    assert_eq!(show(&snapshots), "settled: ");
}

#[tokio::test(start_paused = true)]
async fn a_cautious_client_believes_an_empty_list_only_when_it_stays_empty() {
    let restart = Script::new(&["a b", "[]", "[]", "!", "a b"]).run(CAUTIOUS, 70.0).await;
    assert_eq!(show(&restart), "settled: a b");
    let script = Script::new(&["a b", "[]"]);
    let doubted = script.run(CAUTIOUS, 90.0).await;
    assert_eq!(
        show(&doubted),
        "settled: a b; warning: http_sd_configs::0: the list is suddenly empty; the targets are kept until it was \
         empty for 40 seconds"
    );
    assert_eq!(script.asked(), [0, 60, 61, 63, 67, 75]);
    let believed = Script::new(&["a b", "[]"]).run(CAUTIOUS, 130.0).await;
    assert_eq!(show(&believed), "settled: ");
}

#[test]
fn the_content_type_must_be_json() {
    for good in [
        "application/json",
        " Application/JSON ",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
    ] {
        assert!(is_json(good), "{good}");
    }
    for bad in ["", "text/html", "application/jsonp", "application/json; charset=latin1", "application/json;"]
    {
        assert!(!is_json(bad), "{bad}");
    }
}

/// A server for one request after another; notes heads of requests.
async fn serve(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sd", listener.local_addr().unwrap());
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&heads);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let n = stream.read(&mut head).await.unwrap();
            noted.lock().unwrap().push(String::from_utf8_lossy(&head[..n]).to_lowercase());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heads)
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn targets_come_over_http() {
    let list = r#"[{"targets":["a:1"],"labels":{"x":"y"}}]"#;
    let (url, heads) = serve(vec![answer("200 OK", "application/json", list)]).await;
    let configs: SdConfigs = serde_json::from_value(serde_json::json!({
        "static_configs": [{"targets": ["s:1"]}],
        "http_sd_configs": [{"url": url, "refresh_interval": "1m"}],
    }))
    .unwrap();
    let discovery = spawn("job", &configs, &Context::new(".")).unwrap();
    let mut snapshots = discovery.snapshots();
    assert_eq!(show(&snapshots), "unsettled: s:1");
    snapshots.wait_for(|snapshot| snapshot.settled).await.unwrap();
    let group = Arc::clone(&snapshots.borrow().groups[1]);
    assert_eq!(&*group.source, format!("{url}:0"));
    assert_eq!(group.labels.to_string(), format!("{{__meta_url=\"{url}\", x=\"y\"}}"));
    let head = heads.lock().unwrap()[0].clone();
    for expected in
        ["get /sd http/1.1", "accept: application/json", "x-prometheus-refresh-interval-seconds: 60"]
    {
        assert!(head.contains(expected), "{head}");
    }
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn what_is_no_list_of_targets_is_refused() {
    let json = "application/json";
    let answers = [
        (answer("503 Service Unavailable", json, "[]"), "status 503"),
        (answer("201 Created", json, "[]"), "status 201"),
        (
            answer("200 OK", "application/json; charset=latin1", "[]"),
            "content type \"application/json; charset=latin1\"",
        ),
        (answer("200 OK", json, r#"[{"targets":["a"],"port":1}]"#), "unknown field `port`"),
        (answer("200 OK", json, r#"[{"targets":[1]}]"#), "invalid type: integer `1`"),
        (answer("200 OK", "text/html", "<html></html>"), "content type \"text/html\""),
        (answer("200 OK", json, ""), "EOF"),
        (answer("200 OK", json, "{\"error\": \"x\"}"), "invalid type: map"),
    ];
    let (url, _) = serve(answers.iter().map(|(answer, _)| answer.clone()).collect()).await;
    let config: HttpSdConfig = serde_json::from_value(serde_json::json!({"url": url})).unwrap();
    let client = net::Client::build(&config.client, std::path::Path::new(".")).unwrap();
    let endpoint = Endpoint::new(&config, client);
    for (_, expected) in &answers {
        let problem = endpoint.ask().await.unwrap_err().to_string();
        assert!(problem.contains(expected) && problem.contains(&url), "{problem}");
    }
}

#[tokio::test]
async fn an_answer_must_come_within_the_refresh_interval() {
    // It is connected to by the kernel and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sd", silent.local_addr().unwrap());
    let config: HttpSdConfig =
        serde_json::from_value(serde_json::json!({"url": url, "refresh_interval": "50ms"})).unwrap();
    let client = net::Client::build(&config.client, std::path::Path::new(".")).unwrap();
    let problem = Endpoint::new(&config, client).ask().await.unwrap_err().to_string();
    assert!(problem.contains("cannot get targets from") && problem.contains("50ms"), "{problem}");
}

#[tokio::test]
async fn all_that_cannot_be_started_is_told_at_once() {
    let configs: SdConfigs = serde_json::from_value(serde_json::json!({
        "consul_sd_configs": [{"server": "c:8500"}],
        "file_sd_configs": [{"files": ["targets.txt"]}],
    }))
    .unwrap();
    let problems: Vec<String> = spawn("job", &configs, &Context::new("."))
        .unwrap_err()
        .iter()
        .map(|problem| problem.path.clone())
        .collect();
    assert_eq!(problems, ["file_sd_configs::0::files::0", "consul_sd_configs"]);
}
