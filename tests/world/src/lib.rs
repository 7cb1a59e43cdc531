//! A fake world for tests and for the demo: exporters with a script, a remote-write sink that keeps a ledger,
//! child processes that always end, and the real programs that run beside ours.
//!
//! Nothing in here is product code, and nothing in here uses product code: what the product sends is read with
//! this crate's own structs, so that a mistake cannot cancel itself out. Everything listens on loopback, on a
//! port the system chose.
//!
//! - [`fleet`]: synthetic targets whose every sample tells which scrape it belongs to.
//! - [`sink`]: a remote-write receiver (1.0 and 2.0) with faults on demand; its [`ledger`] knows what arrived, how often, in which order.
//! - [`gate`]: the way to a receiver, with faults below HTTP.
//! - [`verdict`]: fleet and ledger laid side by side: what was lost, what was never scraped, who owned what.
//! - [`pages`]: pages that are another one at every scrape, and answers that go wrong below HTTP.
//! - [`kubelet`]: a kubelet, and an API server, over TLS that ask who is there, and what a real node answers.
//! - [`control_plane`]: a real Kubernetes API server with etcd behind it, objects to put there, a client.
//! - [`fake_api`]: an API server in this process that goes wrong on command; [`recording`] makes its objects.
//! - [`child`], [`peers`], [`browser`]: processes; [`machine`]: what the machine took from a test that judges by the clock.
//! - [`http`]: the small server and client under all of these; [`https`] shows a certificate.

pub mod browser;
pub mod child;
pub mod control_plane;
pub mod fake_api;
pub mod fleet;
pub mod gate;
pub mod http;
pub mod https;
pub mod kubelet;
pub mod ledger;
pub mod machine;
pub mod pages;
pub mod peers;
pub mod recording;
pub mod sink;
pub mod verdict;

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in milliseconds, as sample timestamps have it.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds of this age fit in 63 bits")
}
