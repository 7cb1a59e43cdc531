//! Schedules with scripted answers, and a real server on loopback.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::board::Board;
use crate::{Context, Discovery, SdConfigs, Snapshot, spawn};

fn configs(dns: serde_json::Value) -> SdConfigs {
    serde_json::from_value(serde_json::json!({ "dns_sd_configs": [dns] })).unwrap()
}

fn show(snapshot: &Snapshot) -> String {
    let targets = snapshot.groups.iter().flat_map(|group| group.targets.iter().map(ToString::to_string));
    let settled = if snapshot.settled { "settled" } else { "unsettled" };
    let problems = snapshot.problems.iter().map(|problem| format!("\n{problem}"));
    format!("{settled}: {}{}", targets.collect::<Vec<_>>().join(" "), problems.collect::<String>())
}

/// Gives each name one answer after the other, then the last one for ever, and notes when it was asked.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<BTreeMap<String, VecDeque<&'static str>>>>,
    asked: Arc<Mutex<Vec<u64>>>,
    start: Instant,
}

impl Script {
    /// `10.0.0.1 10.0.0.2` are addresses, `` is an empty list, `!` a failure.
    fn new(answers: &[(&str, &[&'static str])]) -> Self {
        let answers =
            answers.iter().map(|(name, answers)| ((*name).to_owned(), answers.iter().copied().collect()));
        Self {
            answers: Arc::new(Mutex::new(answers.collect())),
            asked: Arc::default(),
            start: Instant::now(),
        }
    }

    /// Asks for all names every thirty seconds for so many seconds.
    async fn run(&self, seconds: f64) -> watch::Receiver<Snapshot> {
        let names: Vec<String> = self.answers.lock().unwrap().keys().cloned().collect();
        let sd = configs(serde_json::json!({"names": names, "type": "A", "port": 80}));
        let scope = telemetry::Registry::new().scope();
        let board = Arc::new(Board::new("job", 1, &scope));
        let snapshots = board.subscribe();
        let post = board.post(0, "dns_sd_configs::0".to_owned(), None);
        let running = run(0, sd.dns_sd_configs[0].clone(), self.clone(), Counters::new(&scope), post);
        assert!(
            tokio::time::timeout(Duration::from_secs_f64(seconds), running).await.is_err(),
            "asking never ends"
        );
        snapshots
    }
}

impl Look for Script {
    fn begin(&mut self) -> BoxFuture<'_, Result<(), String>> {
        self.asked.lock().unwrap().push(self.start.elapsed().as_secs());
        Box::pin(std::future::ready(Ok(())))
    }

    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Found>, String>> {
        let mut answers = self.answers.lock().unwrap();
        let answers = answers.get_mut(name).unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        Box::pin(std::future::ready(match answer.unwrap() {
            "!" => Err("no answer".to_owned()),
            addresses => {
                Ok(addresses.split_whitespace().map(|ip| Found::Address(ip.parse().unwrap())).collect())
            }
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_again_every_interval_and_sooner_after_a_failure() {
    let script = Script::new(&[("a", &["!", "!", "10.0.0.1"])]);
    script.run(64.0).await;
    assert_eq!(*script.asked.lock().unwrap(), [0, 1, 3, 33, 63]);
    let dead = Script::new(&[("a", &["!"])]);
    dead.run(150.0).await;
    assert_eq!(*dead.asked.lock().unwrap(), [0, 1, 3, 7, 15, 31, 61, 91, 121], "at most an interval");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_fails_keeps_its_last_list() {
    let script = Script::new(&[("a", &["10.0.0.2 10.0.0.1", "!"]), ("b", &["10.0.0.3", ""])]);
    let snapshots = script.run(30.5).await;
    assert_eq!(
        show(&snapshots.borrow()),
        "settled: {__address__=\"10.0.0.1:80\", __meta_dns_name=\"a\"} {__address__=\"10.0.0.2:80\", __meta_dns_name=\"a\"}\n\
         error: dns_sd_configs::0::names::0: cannot get targets from a (A): no answer"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_settled_before_every_name_was_answered() {
    let snapshots = Script::new(&[("a", &["!"]), ("b", &["!"])]).run(100.0).await;
    assert!(show(&snapshots.borrow()).starts_with("unsettled: \nerror: dns_sd_configs::0::names::0"));
    let half = Script::new(&[("a", &["!"]), ("b", &["10.0.0.3"])]).run(100.0).await;
    let shown = show(&half.borrow());
    assert!(
        shown.starts_with("unsettled: {__address__=\"10.0.0.3:80\", __meta_dns_name=\"b\"}\nerror: "),
        "{shown}"
    );
    let snapshots = Script::new(&[("a", &[""])]).run(1.0).await;
    assert_eq!(show(&snapshots.borrow()), "settled: ");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_stays_the_same_is_the_same_however_its_answer_is_turned() {
    let script = Script::new(&[("a", &["10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.1 10.0.0.2"])]);
    let first = Arc::clone(&script.run(1.0).await.borrow().groups[0]);
    let second = Arc::clone(&script.run(1.0).await.borrow().groups[0]);
    assert_eq!(first, second);
    assert_eq!(first.targets.len(), 2);
    assert_eq!(&*first.source, "dns/0/a");
}

/// What the server does with a name that is not in its zone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    NoSuchName,
    Fails,
}

/// A name server on loopback, over UDP and TCP.
struct Server {
    /// Its resolv.conf.
    folder: TempDir,
    port: u16,
    /// Name, type and transport of every query.
    queries: Arc<Mutex<Vec<String>>>,
    zone: Arc<Mutex<Zone>>,
}

struct Zone {
    records: BTreeMap<String, Vec<RData>>,
    otherwise: Otherwise,
    is_too_long_for_udp: bool,
}

impl Zone {
    fn answer(&self, request: &[u8], transport: &str) -> (Vec<u8>, String) {
        let request = Message::from_vec(request).unwrap();
        let query = request.queries[0].clone();
        let mut answer = Message::response(request.metadata.id, OpCode::Query);
        let name = query.name().to_ascii().to_lowercase();
        match self.records.get(&name) {
            None if self.otherwise == Otherwise::Fails => {
                answer.metadata.response_code = ResponseCode::ServFail
            }
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some(_) if self.is_too_long_for_udp && transport == "udp" => answer.metadata.truncation = true,
            Some(records) => {
                let wanted = records.iter().filter(|record| {
                    record.record_type() == query.query_type() || record.record_type() == RecordType::CNAME
                });
                let record = |data: &RData| Record::from_rdata(query.name().clone(), 3600, data.clone());
                answer.add_answers(wanted.map(record).collect::<Vec<_>>());
            }
        }
        let noted = format!("{name} {} {transport}", query.query_type());
        answer.add_query(query);
        (answer.to_vec().unwrap(), noted)
    }
}

impl Server {
    async fn start(records: &[(&str, Vec<RData>)]) -> Self {
        // A port that is free for both transports.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let folder = TempDir::new().unwrap();
        std::fs::write(
            folder.path().join("resolv.conf"),
            "nameserver 127.0.0.1\nsearch shop.svc cluster.local\n",
        )
        .unwrap();
        let records = records.iter().map(|(name, data)| ((*name).to_owned(), data.clone())).collect();
        let zone = Zone { records, otherwise: Otherwise::NoSuchName, is_too_long_for_udp: false };
        let (zone, queries) = (Arc::new(Mutex::new(zone)), Arc::new(Mutex::new(Vec::new())));
        let server = Self {
            folder,
            port: udp.local_addr().unwrap().port(),
            queries: Arc::clone(&queries),
            zone: Arc::clone(&zone),
        };
        let answer = move |request: &[u8], transport: &str| {
            let (answer, noted) = zone.lock().unwrap().answer(request, transport);
            queries.lock().unwrap().push(noted);
            answer
        };
        let over_tcp = answer.clone();
        tokio::spawn(async move {
            let mut request = [0; 4096];
            while let Ok((n, from)) = udp.recv_from(&mut request).await {
                udp.send_to(&answer(&request[..n], "udp"), from).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut request = vec![0; length.into()];
                stream.read_exact(&mut request).await.unwrap();
                let answer = over_tcp(&request, "tcp");
                stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        server
    }

    fn context(&self) -> Context {
        let resolv_conf = self.folder.path().join("resolv.conf");
        Context { name_servers: NameServers { resolv_conf, port: self.port }, ..Context::new(".") }
    }

    fn discover(&self, dns: serde_json::Value) -> Discovery {
        spawn("job", &configs(dns), &self.context()).unwrap()
    }

    /// What the records of a name say.
    async fn found(&self, record_type: DnsRecordType, name: &str) -> Result<Vec<Found>, String> {
        let mut system = System::new(self.context().name_servers, record_type);
        system.begin().await?;
        system.look(name).await
    }

    fn queries(&self) -> Vec<String> {
        std::mem::take(&mut self.queries.lock().unwrap())
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(ip: [u8; 4]) -> RData {
    RData::A(A(ip.into()))
}

#[tokio::test]
async fn each_type_of_record_has_its_meta_labels() {
    let server = Server::start(&[(
        "x.test.",
        vec![
            RData::SRV(SRV::new(1, 1, 9102, name("pod-1.test."))),
            a([10, 0, 0, 1]),
            RData::AAAA(AAAA("fd00::1".parse().unwrap())),
            RData::MX(MX::new(10, name("mail.test."))),
            RData::NS(NS(name("ns.test."))),
        ],
    )])
    .await;
    for (record_type, labels) in [
        (
            "SRV",
            r#"{__address__="pod-1.test:9102", __meta_dns_name="x.test.", __meta_dns_srv_record_port="9102", __meta_dns_srv_record_target="pod-1.test."}"#,
        ),
        ("A", r#"{__address__="10.0.0.1:80", __meta_dns_name="x.test."}"#),
        ("AAAA", r#"{__address__="[fd00::1]:80", __meta_dns_name="x.test."}"#),
        (
            "MX",
            r#"{__address__="mail.test:80", __meta_dns_mx_record_target="mail.test.", __meta_dns_name="x.test."}"#,
        ),
        (
            "NS",
            r#"{__address__="ns.test:80", __meta_dns_name="x.test.", __meta_dns_ns_record_target="ns.test."}"#,
        ),
    ] {
        let discovery =
            server.discover(serde_json::json!({"names": ["x.test."], "type": record_type, "port": 80}));
        let mut snapshots = discovery.snapshots();
        let snapshot = snapshots.wait_for(|snapshot| snapshot.settled).await.unwrap();
        assert_eq!(show(&snapshot), format!("settled: {labels}"), "{record_type}");
    }
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let hosts: Vec<RData> = (0..200).map(|n| a([10, 0, 1, n])).collect();
    let server = Server::start(&[("many.test.", hosts)]).await;
    server.zone.lock().unwrap().is_too_long_for_udp = true;
    assert_eq!(server.found(DnsRecordType::A, "many.test.").await.unwrap().len(), 200);
    assert_eq!(server.queries(), ["many.test. A udp", "many.test. A tcp"]);
}

#[tokio::test]
async fn times_to_live_are_ignored() {
    let server = Server::start(&[("x.test.", vec![a([10, 0, 0, 1])])]).await;
    let mut system = System::new(server.context().name_servers, DnsRecordType::A);
    for _ in 0..2 {
        system.begin().await.unwrap();
        assert_eq!(system.look("x.test.").await.unwrap().len(), 1);
    }
    assert_eq!(server.queries().len(), 2);
}

#[tokio::test]
async fn search_domains_are_tried_in_order() {
    let server = Server::start(&[("cart.cluster.local.", vec![a([10, 0, 0, 1])])]).await;
    assert_eq!(server.found(DnsRecordType::A, "cart").await.unwrap(), [Found::Address([10, 0, 0, 1].into())]);
    assert_eq!(server.queries(), ["cart.shop.svc. A udp", "cart.cluster.local. A udp"]);
}

#[tokio::test]
async fn a_name_that_exists_nowhere_has_no_targets() {
    let server = Server::start(&[]).await;
    assert_eq!(server.found(DnsRecordType::Srv, "cart").await, Ok(Vec::new()));
    assert_eq!(server.queries(), ["cart.shop.svc. SRV udp", "cart.cluster.local. SRV udp", "cart. SRV udp"]);
}

#[tokio::test]
async fn a_name_without_such_records_is_the_end_of_the_search() {
    let server = Server::start(&[("cart.shop.svc.", vec![a([10, 0, 0, 1])])]).await;
    assert_eq!(server.found(DnsRecordType::Srv, "cart").await, Ok(Vec::new()));
    assert_eq!(server.queries(), ["cart.shop.svc. SRV udp"]);
}

#[tokio::test]
async fn a_server_that_fails_is_no_proof_that_there_is_nothing() {
    let server = Server::start(&[]).await;
    server.zone.lock().unwrap().otherwise = Otherwise::Fails;
    let why = server.found(DnsRecordType::A, "cart").await.unwrap_err();
    assert!(why.contains("cart.: the server answered Server Failure"), "{why}");
}

#[tokio::test]
async fn an_alias_on_the_way_is_no_target() {
    let alias = RData::CNAME(CNAME(name("x.test.")));
    let server = Server::start(&[("x.test.", vec![alias, a([10, 0, 0, 1])])]).await;
    assert_eq!(
        server.found(DnsRecordType::A, "x.test.").await.unwrap(),
        [Found::Address([10, 0, 0, 1].into())]
    );
}

#[tokio::test]
async fn a_changed_resolv_conf_counts_from_the_next_round_on() {
    let server = Server::start(&[("cart.new.", vec![a([10, 0, 0, 1])])]).await;
    let mut system = System::new(server.context().name_servers, DnsRecordType::A);
    system.begin().await.unwrap();
    assert_eq!(system.look("cart").await, Ok(Vec::new()));
    std::fs::write(server.folder.path().join("resolv.conf"), "nameserver 127.0.0.1\nsearch new\n").unwrap();
    system.begin().await.unwrap();
    assert_eq!(system.look("cart").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_resolv_conf_that_is_of_no_use_is_named() {
    let server = Server::start(&[]).await;
    let path = server.folder.path().join("resolv.conf");
    let mut system = System::new(server.context().name_servers, DnsRecordType::A);
    std::fs::write(&path, "search new\n").unwrap();
    let why = system.begin().await.unwrap_err();
    assert!(why.contains("resolv.conf: ") && why.contains("no nameservers found"), "{why}");
    std::fs::write(&path, vec![b'#'; 65 << 10]).unwrap();
    assert!(system.begin().await.unwrap_err().contains("max_resolv_conf_bytes (65536)"));
    std::fs::remove_file(&path).unwrap();
    assert!(system.begin().await.unwrap_err().contains("cannot read"));
}

#[tokio::test]
async fn lookups_and_their_failures_are_counted() {
    let server = Server::start(&[("x.test.", vec![a([10, 0, 0, 1])])]).await;
    let context = server.context();
    std::fs::write(&context.name_servers.resolv_conf, "nameserver 127.0.0.1\n").unwrap();
    server.zone.lock().unwrap().otherwise = Otherwise::Fails;
    let dns = serde_json::json!({"names": ["x.test.", "y.test."], "type": "a", "port": 80});
    let discovery = spawn("job", &configs(dns), &context).unwrap();
    let mut snapshots = discovery.snapshots();
    let snapshot = snapshots.wait_for(|snapshot| !snapshot.groups.is_empty()).await.unwrap().clone();
    assert_eq!(snapshot.problems.len(), 1);
    let value = |name| context.metrics.value(name, &[]);
    assert_eq!(value("prometheus_sd_dns_lookups_total"), Some(2.0));
    assert_eq!(value("prometheus_sd_dns_lookup_failures_total"), Some(1.0));
}
