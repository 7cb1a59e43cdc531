//! Lines as a user sees them.

use std::io;
use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};
use tracing::{debug, error, error_span, info, warn};

use super::*;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    /// The lines without their time.
    fn lines(&self) -> String {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let timeless = |line: &str| line.split_once('\t').map_or(line, |(_, rest)| rest).to_owned() + "\n";
        text.lines().map(timeless).collect()
    }
}

fn identity() -> Identity {
    Identity {
        name: "muster".into(),
        version: "1.2.3".into(),
        instance_id: "a-0".into(),
        ..Identity::default()
    }
}

fn bare() -> LogsConfig {
    LogsConfig { disable_zap_resource: true, ..LogsConfig::default() }
}

fn check(config: &LogsConfig, speak: impl FnOnce(&Logs), expected: Expect) {
    let buffer = Buffer::default();
    let (dispatch, logs) = to_writer(config, &identity(), buffer.clone());
    tracing::dispatcher::with_default(&dispatch, || speak(&logs));
    expected.assert_eq(&buffer.lines());
}

#[test]
fn a_line_has_level_origin_message_and_fields() {
    check(
        &LogsConfig::default(),
        |_| info!(target: "net::listener", address = "127.0.0.1:4317", n = 3, ok = true, "listening"),
        expect![[r#"
            info	net::listener	listening	{"resource":{"service.name":"muster","service.version":"1.2.3","service.instance.id":"a-0"},"address":"127.0.0.1:4317","n":3,"ok":true}
        "#]],
    );
}

#[test]
fn fields_of_surrounding_spans_come_first_and_inner_ones_win() {
    check(
        &bare(),
        |_| {
            let outer = error_span!("component", otelcol.component.id = "otlp", n = 1);
            let _outer = outer.enter();
            let inner = error_span!("request", n = 2, late = tracing::field::Empty);
            inner.record("late", "yes");
            let _inner = inner.enter();
            warn!(target: "x", "refused");
        },
        expect![[r#"
            warn	x	refused	{"otelcol.component.id":"otlp","n":2,"late":"yes"}
        "#]],
    );
}

#[test]
fn errors_are_printed_with_their_causes() {
    check(
        &bare(),
        |_| {
            let cause = io::Error::other("disk is gone");
            error!(target: "x", error = &cause as &dyn std::error::Error, "data lost");
        },
        expect![[r#"
            error	x	data lost	{"error":"disk is gone"}
        "#]],
    );
}

#[test]
fn a_message_cannot_forge_a_second_line() {
    check(
        &bare(),
        |_| info!(target: "x", "one\ntwo\tthree"),
        expect![[r#"
            info	x	one\ntwo\tthree
        "#]],
    );
}

#[test]
fn the_level_can_be_changed_while_running() {
    check(
        &bare(),
        |logs| {
            let say = |text| debug!(target: "x", "{text}");
            say("before");
            logs.set_level(Level::Debug);
            say("between");
            logs.set_level(Level::Error);
            say("after");
            warn!(target: "x", "after");
        },
        expect![[r"
            debug	x	between
        "]],
    );
}

#[test]
fn network_libraries_are_heard_from_warn_on() {
    check(
        &LogsConfig { level: Level::Debug, ..bare() },
        |_| {
            info!(target: "hyper_util::client", "pooling");
            warn!(target: "h2::codec", "odd frame");
        },
        expect![[r"
            warn	h2::codec	odd frame
        "]],
    );
}

#[test]
fn json_lines_have_the_keys_of_zap() {
    let buffer = Buffer::default();
    let initial_fields = BTreeMap::from([("cluster".to_owned(), serde_json::json!("eu-1"))]);
    let config = LogsConfig { encoding: Encoding::Json, initial_fields, ..bare() };
    let (dispatch, _logs) = to_writer(&config, &identity(), buffer.clone());
    tracing::dispatcher::with_default(&dispatch, || info!(target: "x", n = f64::NAN, "hello"));
    let line: serde_json::Value = serde_json::from_slice(&buffer.0.lock().unwrap()).unwrap();
    assert_eq!(line["level"], "info");
    assert_eq!(line["caller"], "x");
    assert_eq!(line["msg"], "hello");
    assert_eq!(line["cluster"], "eu-1");
    assert_eq!(line["n"], "NaN");
    assert!(line["ts"].is_f64());
}

#[test]
fn what_cannot_work_is_named() {
    let config = LogsConfig {
        output_paths: vec!["/var/log/muster.log".into()],
        processors: vec![serde_json::json!({"batch": {}})],
        ..LogsConfig::default()
    };
    let keys: Vec<_> = config.check().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["processors", "output_paths"]);
    assert!(LogsConfig::default().check().is_empty());
}
