//! The scraper `nfs`: every number of the kernel's two files, under its name and its attributes.

use crate::tree::Tree;

/// Procedures of NFSv3, as the kernel of both sides counts them.
const V3_PROCEDURES: &str = "\
    NULL GETATTR SETATTR LOOKUP ACCESS READLINK READ WRITE CREATE MKDIR SYMLINK MKNOD REMOVE RMDIR RENAME \
    LINK READDIR READDIRPLUS FSSTAT FSINFO PATHCONF COMMIT";

/// Procedures of NFSv4 at the server.
const V4_PROCEDURES: &str = "NULL COMPOUND";

/// Operations of NFSv4 at the client.
const CLIENT_OPERATIONS: &str = "\
    NULL READ WRITE COMMIT OPEN OPEN_CONFIRM OPEN_NOATTR OPEN_DOWNGRADE CLOSE SETATTR FSINFO RENEW \
    SETCLIENTID SETCLIENTID_CONFIRM LOCK LOCKT LOCKU ACCESS GETATTR LOOKUP LOOKUP_ROOT REMOVE RENAME LINK \
    SYMLINK CREATE PATHCONF STATFS READLINK READDIR SERVER_CAPS DELEGRETURN GETACL SETACL FS_LOCATIONS \
    RELEASE_LOCKOWNER SECINFO FSID_PRESENT EXCHANGE_ID CREATE_SESSION DESTROY_SESSION SEQUENCE \
    GET_LEASE_TIME RECLAIM_COMPLETE GETDEVICEINFO LAYOUTGET LAYOUTCOMMIT LAYOUTRETURN SECINFO_NO_NAME \
    TEST_STATEID FREE_STATEID GETDEVICELIST BIND_CONN_TO_SESSION DESTROY_CLIENTID SEEK ALLOCATE DEALLOCATE \
    LAYOUTSTATS CLONE COPY OFFLOAD_CANCEL COPY_NOTIFY LOOKUPP LAYOUTERROR GETXATTR SETXATTR LISTXATTRS \
    REMOVEXATTR READ_PLUS";

/// Operations of NFSv4 at the server, the first of them has the number 0.
const SERVER_OPERATIONS: &str = "\
    UNUSED_IGNORE0 UNUSED_IGNORE1 UNUSED_IGNORE2 ACCESS CLOSE COMMIT CREATE DELEGPURGE DELEGRETURN GETATTR \
    GETFH LINK LOCK LOCKT LOCKU LOOKUP LOOKUPP NVERIFY OPEN OPENATTR OPEN_CONFIRM OPEN_DOWNGRADE PUTFH \
    PUTPUBFH PUTROOTFH READ READDIR READLINK REMOVE RENAME RENEW RESTOREFH SAVEFH SECINFO SETATTR \
    SETCLIENTID SETCLIENTID_CONFIRM VERIFY WRITE RELEASE_LOCKOWNER BACKCHANNEL_CTL BIND_CONN_TO_SESSION \
    EXCHANGE_ID CREATE_SESSION DESTROY_SESSION FREE_STATEID GET_DIR_DELEGATION GETDEVICEINFO GETDEVICELIST \
    LAYOUTCOMMIT LAYOUTGET LAYOUTRETURN SECINFO_NO_NAME SEQUENCE SET_SSV TEST_STATEID WANT_DELEGATION \
    DESTROY_CLIENTID RECLAIM_COMPLETE ALLOCATE COPY COPY_NOTIFY DEALLOCATE IO_ADVISE LAYOUTERROR LAYOUTSTATS \
    OFFLOAD_CANCEL OFFLOAD_STATUS READ_PLUS SEEK WRITE_SAME CLONE GETXATTR SETXATTR LISTXATTRS REMOVEXATTR";

/// The file's line: how many numbers follow, and that many, from `first` on.
fn line(key: &str, names: &str, first: usize) -> String {
    let n_names = names.split_ascii_whitespace().count();
    let numbers: Vec<String> = (first..first + n_names).map(|number| number.to_string()).collect();
    format!("{key} {n_names} {}\n", numbers.join(" "))
}

/// What is told of that line.
fn told_of(version: u8, attribute: &str, names: &str, first: usize) -> Vec<String> {
    let names = names.split_ascii_whitespace().enumerate();
    names
        .map(|(place, name)| {
            format!("{{onc_rpc.version=int {version},{attribute}={name}}} {}", first + place)
        })
        .collect()
}

#[test]
fn every_number_of_the_client_has_its_metric_and_its_name() {
    let tree = Tree::new();
    let counters = "net 1001 1002 1003 1004\nrpc 1005 1006 1007\nproc2 3 1 2 3\n";
    let [procedures, operations] =
        [line("proc3", V3_PROCEDURES, 3000), line("proc4", CLIENT_OPERATIONS, 4000)];
    tree.write("proc/net/rpc/nfs", [counters, &procedures, &operations].concat());
    let told = tree.scrape("{nfs: }");
    assert_eq!(told.errors(), [""; 0]);
    for (name, values) in [
        ("nfs.client.net.count", vec!["{network.transport=udp} 1002", "{network.transport=tcp} 1003"]),
        ("nfs.client.net.tcp.connection.accepted", vec!["1004"]),
        ("nfs.client.rpc.count", vec!["1005"]),
        ("nfs.client.rpc.retransmit.count", vec!["1006"]),
        ("nfs.client.rpc.authrefresh.count", vec!["1007"]),
    ] {
        assert_eq!(told.values(name), values, "{name}");
    }
    assert_eq!(
        told.values("nfs.client.procedure.count"),
        told_of(3, "onc_rpc.procedure.name", V3_PROCEDURES, 3000)
    );
    assert_eq!(
        told.values("nfs.client.operation.count"),
        told_of(4, "nfs.operation.name", CLIENT_OPERATIONS, 4000)
    );
    assert_eq!(told.points.len(), 6 + 22 + 69, "nothing else, and nothing of NFSv2");
}

#[test]
fn every_number_of_the_server_has_its_metric_and_its_name() {
    let tree = Tree::new();
    let counters = "rc 1001 1002 1003\nfh 1004 1 2 3 4\nio 1005 1006\nth 1007 5 0.100 0.200\nra 32 6 7\n\
                    net 1008 1009 1010 1011\nrpc 1012 1013 1014 1015 1016\nproc2 3 1 2 3\n";
    let lines = [
        counters.to_owned(),
        line("proc3", V3_PROCEDURES, 3000),
        line("proc4", V4_PROCEDURES, 4000),
        line("proc4ops", SERVER_OPERATIONS, 5000),
    ];
    tree.write("proc/net/rpc/nfsd", lines.concat());
    let told = tree.scrape("{nfs: }");
    assert_eq!(told.errors(), [""; 0]);
    let status = |status: &str, value: u32| format!("{{nfs.server.repcache.status={status}}} {value}");
    for (name, values) in [
        (
            "nfs.server.repcache.requests",
            vec![&*status("hit", 1001), &status("miss", 1002), &status("nocache", 1003)],
        ),
        ("nfs.server.fh.stale.count", vec!["1004"]),
        (
            "nfs.server.io",
            vec!["{network.io.direction=receive} 1005", "{network.io.direction=transmit} 1006"],
        ),
        ("nfs.server.thread.count", vec!["1007"]),
        ("nfs.server.net.count", vec!["{network.transport=udp} 1009", "{network.transport=tcp} 1010"]),
        ("nfs.server.net.tcp.connection.accepted", vec!["1011"]),
        (
            "nfs.server.rpc.count",
            vec!["{error.type=format} 1014", "{error.type=auth} 1015", "{error.type=client} 1016"],
        ),
    ] {
        assert_eq!(told.values(name), values, "{name}");
    }
    let procedures = [
        told_of(3, "onc_rpc.procedure.name", V3_PROCEDURES, 3000),
        told_of(4, "onc_rpc.procedure.name", V4_PROCEDURES, 4000),
    ];
    assert_eq!(told.values("nfs.server.procedure.count"), procedures.concat());
    assert_eq!(
        told.values("nfs.server.operation.count"),
        told_of(4, "nfs.operation.name", SERVER_OPERATIONS, 5000)
    );
    assert_eq!(told.points.len(), 13 + 22 + 2 + 76, "nothing else, and nothing of NFSv2");
}
