//! Every row of the reference: name, unit, type, attributes, default; in the tables and in what is really sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hostmetrics::{Kind, Number, tables};

use crate::tree::{LATER_STAT, NOW, Told, Tree};

/// Scraper, name, unit, type, values, attributes, default.
type Row = [String; 7];

/// The reference's tables, with the defaults of the versions that dashboards were made for.
fn expected() -> Vec<Row> {
    let rows = include_str!("expected.txt").lines();
    rows.map(|line| {
        line.split(" | ").map(|word| word.trim().to_owned()).collect::<Vec<_>>().try_into().unwrap()
    })
    .collect()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Gauge => "gauge",
        Kind::Sum => "sum",
        Kind::Counter => "monotonic",
    }
}

fn number(number: Number) -> &'static str {
    match number {
        Number::Int => "int",
        Number::Double => "double",
    }
}

#[test]
fn the_tables_are_those_of_the_reference() {
    let mut ours = Vec::new();
    for (scraper, metrics, _) in tables() {
        for metric in metrics {
            let keys: Vec<&str> = metric.attributes.iter().map(|attribute| attribute.key).collect();
            let row = [
                scraper,
                metric.name,
                metric.unit,
                kind(metric.kind),
                number(metric.number),
                &keys.join(", "),
                if metric.is_on { "on" } else { "off" },
            ];
            ours.push(row.map(str::to_owned));
        }
    }
    ours.sort();
    let expected = expected();
    assert_eq!(expected.len(), 75);
    for (ours, expected) in ours.iter().zip(&expected) {
        assert_eq!(ours, expected);
    }
    assert_eq!(ours.len(), expected.len());
}

/// A host that has something of everything.
pub(crate) fn full() -> Tree {
    let tree = Tree::new();
    tree.write(
        "proc/cpuinfo",
        "processor : 0\nphysical id : 0\ncpu cores : 2\ncpu MHz : 2000.5\n\nprocessor : 1\nphysical id : 0\ncpu cores : 2\n",
    );
    let huge = "HugePages_Total: 10\nHugePages_Free: 4\nHugePages_Rsvd: 1\nHugePages_Surp: 2\nHugepagesize: 2048 kB\n";
    tree.write("proc/meminfo", [crate::tree::MEMINFO, huge].concat());
    tree.write("proc/swaps", "Filename Type Size Used Priority\n/dev/sdb1 partition 1000 250 -2\n");
    tree.write("proc/sys/net/netfilter/nf_conntrack_count", "12\n");
    tree.write("proc/sys/net/netfilter/nf_conntrack_max", "262144\n");
    tree.write("proc/1/mountinfo", "36 35 98:0 / / rw - ext3 /dev/sda1 rw\n");
    tree.write("proc/net/rpc/nfs", "net 1 2 3 4\nrpc 5 6 7\nproc3 2 8 9\nproc4 3 1 2 3\n");
    tree.write(
        "proc/net/rpc/nfsd",
        "rc 1 2 3\nfh 4 0 0 0 0\nio 5 6\nth 8 0 0.000 0.000\nra 32 0\nnet 1 2 3 4\nrpc 5 6 7 8 9\nproc3 2 1 2\nproc4 2 0 3\n\
         proc4ops 4 0 0 0 11\n",
    );
    tree
}

/// Every scraper with every metric switched on.
pub(crate) fn everything() -> String {
    let of_scraper = |(scraper, metrics, _): hostmetrics::Rows| {
        let on: Vec<String> =
            metrics.iter().map(|metric| format!("{}: {{enabled: true}}", metric.name)).collect();
        format!("{scraper}: {{metrics: {{{}}}}}", on.join(", "))
    };
    format!("{{{}}}", tables().map(of_scraper).join(", "))
}

#[test]
fn what_is_sent_is_what_the_tables_say() {
    let tree = full();
    let mut host = tree.host(&everything());
    Told::by(&mut host, NOW);
    tree.write("proc/stat", LATER_STAT);
    let told = Told::by(&mut host, model::Timestamp(NOW.0 + 10_000));
    assert_eq!(told.errors(), [""; 0]);
    let mut sent = BTreeMap::new();
    for point in &told.points {
        let keys: Vec<&str> = point.attributes.iter().map(|(key, _)| key.as_str()).collect();
        let scraper = point.scope.rsplit('/').next().unwrap().trim_end_matches("scraper");
        let row = [scraper, &point.name, &point.unit, point.kind, point.number, &keys.join(", ")]
            .map(str::to_owned);
        sent.insert(point.name.clone(), row);
    }
    let rows = expected();
    for row in rows.iter().filter(|row| row[1] != "process.handles") {
        assert_eq!(sent.get(&row[1]).map(|sent| &sent[..]), Some(&row[..6]), "{}", row[1]);
    }
    assert_eq!(sent.len(), rows.len() - 1, "handles are told on Windows only");
}

#[test]
fn by_default_exactly_the_metrics_that_are_on_are_sent() {
    let told = full().scrape("{cpu: , disk: , filesystem: , load: , memory: , network: , nfs: , paging: , process: , processes: , system: }");
    let sent: BTreeSet<String> = told.points.iter().map(|point| point.name.clone()).collect();
    let on: BTreeSet<String> =
        expected().into_iter().filter(|row| row[6] == "on").map(|[_, name, ..]| name).collect();
    assert_eq!(sent, on);
}

#[test]
fn attributes_have_the_values_that_the_tables_list() {
    let tree = full();
    let mut host = tree.host(&everything());
    Told::by(&mut host, NOW);
    let told = Told::by(&mut host, model::Timestamp(NOW.0 + 10_000));
    for (_, metrics, _) in tables() {
        for metric in metrics {
            for attribute in metric.attributes.iter().filter(|attribute| !attribute.values.is_empty()) {
                for point in told.of(metric.name) {
                    let (_, value) = point.attributes.iter().find(|(key, _)| key == attribute.key).unwrap();
                    let value = value.trim_start_matches("int ");
                    assert!(attribute.values.contains(&value), "{} {} {value}", metric.name, attribute.key);
                }
            }
        }
    }
    let versions =
        told.of("nfs.client.procedure.count").map(|point| point.attributes_text()).collect::<Vec<_>>();
    assert_eq!(versions[0], "{onc_rpc.version=int 3,onc_rpc.procedure.name=NULL}");
}

#[test]
fn the_reference_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("REFERENCE.md");
    expect_test::expect_file![path].assert_eq(&hostmetrics::reference());
}
