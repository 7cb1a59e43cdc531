//! Periods, sizes, addresses, names and secrets.

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use expect_test::expect;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize, HostPort, HttpUrl, LabelName, Node, Period, Secret, Timeout, parse, print_json, print_yaml,
    read, schema_of, to_node,
};

fn value<T: FromStr<Err = String>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused<T: FromStr<Err = String> + Debug>(text: &str) -> String {
    text.parse::<T>().unwrap_err()
}

#[test]
fn periods_are_read_in_both_spellings_and_printed_in_one() {
    for (text, millis, printed) in [
        ("30s", 30_000, "30s"),
        ("90s", 90_000, "1m30s"),
        ("1h30m", 5_400_000, "1h30m"),
        ("1.5s", 1_500, "1s500ms"),
        (".5s", 500, "500ms"),
        ("1.s", 1_000, "1s"),
        ("200ms", 200, "200ms"),
        ("+2m", 120_000, "2m"),
        ("1d", 86_400_000, "1d"),
        ("2w", 1_209_600_000, "2w"),
        ("8d", 691_200_000, "8d"),
        ("1y", 31_536_000_000, "1y"),
        ("1d12h", 129_600_000, "1d12h"),
        ("1m1m", 120_000, "2m"),
        ("1000us", 1, "1ms"),
    ] {
        let period: Period = value(text);
        assert_eq!((period.as_millis(), period.to_string().as_str()), (millis, printed), "{text}");
    }
    assert_eq!(value::<Period>("1us"), Period::new(Duration::from_micros(1)).unwrap());
    assert_eq!(value::<Period>("1.5\u{b5}s").to_string(), "1us500ns");
    assert_eq!(value::<Timeout>("0").as_duration(), None);
    assert_eq!(value::<Timeout>("0s"), Timeout::NONE);
    assert_eq!(value::<Timeout>("2s").as_duration(), Some(Duration::from_secs(2)));
    assert_eq!(Timeout::NONE.to_string(), "0s");
}

#[test]
fn what_is_no_period_is_told_what_one_looks_like() {
    for text in ["10x", "", "s", "5 s", "1h-2m", "1.2.3s", ".s", "1e3s"] {
        let message = refused::<Period>(text);
        assert_eq!(message, format!("\"{text}\" is not a duration; write for example 30s, 1m30s or 200ms"));
    }
    expect![[r#""10" is not a duration, it needs a unit; write for example 10s"#]]
        .assert_eq(&refused::<Period>("10"));
    expect![[r#""-5s" is negative, a duration must not be"#]].assert_eq(&refused::<Timeout>("-5s"));
    expect!["the duration must not be zero"].assert_eq(&refused::<Period>("0s"));
    expect!["the duration must not be zero"].assert_eq(&refused::<Period>("0"));
    expect!["the duration is longer than 292 years"].assert_eq(&refused::<Period>("300y"));
}

#[test]
fn a_bare_integer_counts_nanoseconds_as_in_go() {
    let node = parse("[1000000000, 250]", "f").unwrap().root;
    let periods: Vec<Period> = read(&node, "").unwrap();
    assert_eq!(periods.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1s", "250ns"]);
    for text in ["0", "-1", "9223372036854775808", "1.5", "'1'"] {
        assert!(read::<Period>(&parse(text, "f").unwrap().root, "").is_err(), "{text}");
    }
}

#[test]
fn sizes_are_numbers_or_texts_with_units_of_1024() {
    for (text, bytes, printed) in [
        ("10MB", 10 << 20, "10MiB"),
        ("64MiB", 64 << 20, "64MiB"),
        ("1.5GiB", 3 << 29, "1GiB512MiB"),
        ("1KiB512B", 1536, "1KiB512B"),
        ("512", 512, "512B"),
        ("2k", 2048, "2KiB"),
        ("0B", 0, "0B"),
        ("15EiB", 15 << 60, "15EiB"),
    ] {
        let size: ByteSize = value(text);
        assert_eq!((size.as_u64(), size.to_string().as_str()), (bytes, printed), "{text}");
    }
    for text in ["", "MB", "10XB", "-1", "16EiB", "1 MB"] {
        let message = refused::<ByteSize>(text);
        assert_eq!(
            message,
            format!("\"{text}\" is not a size; write for example 512KiB, 10MB or a number of bytes")
        );
    }
}

#[test]
fn a_size_is_printed_as_it_was_given() {
    let node = parse("[1048576, 1MB, 1e6]", "f").unwrap().root;
    let sizes: Vec<ByteSize> = read(&node, "").unwrap();
    assert_eq!(sizes[0], sizes[1]);
    assert_eq!(print_json(&to_node(&sizes)), r#"[1048576,"1MiB",1000000]"#);
    assert!(read::<ByteSize>(&Node::from(-1_i64), "").is_err());
}

#[test]
fn urls_have_a_scheme_and_a_host() {
    let url: HttpUrl = value("https://user@mimir:8080/api?x=1");
    assert_eq!((url.as_str(), url.is_https()), ("https://user@mimir:8080/api?x=1", true));
    assert_eq!(url.url().host_str(), Some("mimir"));
    assert_eq!(value::<HttpUrl>("http://[::1]:1").to_string(), "http://[::1]:1");
    expect!["the URL has no scheme; write for example http://host:8080/path"]
        .assert_eq(&refused::<HttpUrl>("mimir:8080"));
    expect![[r#"the scheme of the URL is "ftp", not http or https"#]]
        .assert_eq(&refused::<HttpUrl>("ftp://x"));
    expect!["the URL has no host; write for example http://host:8080/path"]
        .assert_eq(&refused::<HttpUrl>("http:///x"));
    expect!["the URL must not be empty"].assert_eq(&refused::<HttpUrl>(""));
    expect!["not a URL (invalid port number); write for example http://host:8080/path"]
        .assert_eq(&refused::<HttpUrl>("http://x:y/"));
    expect!["the URL holds white space or control characters"].assert_eq(&refused::<HttpUrl>("http://x/a b"));
}

#[test]
fn the_password_in_a_url_is_not_shown() {
    let url: HttpUrl = value("http://user:hunter2@x/");
    for shown in [url.to_string(), format!("{url:?}"), print_json(&to_node(&url))] {
        assert!(shown.contains("http://user:xxxxx@x/"), "{shown}");
    }
    assert_eq!(Secret::revealing(|| to_node(&url)).as_str(), Some("http://user:hunter2@x/"));
    assert!(!refused::<HttpUrl>("http://user:hunter2@:y").contains("hunter2"));
}

#[test]
fn addresses_are_host_and_port() {
    for (text, host, port) in [
        ("localhost:4317", "localhost", 4317),
        (":8080", "", 8080),
        ("[::1]:0", "::1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
    ] {
        let address: HostPort = value(text);
        assert_eq!((address.host(), address.port(), address.as_str()), (host, port, text));
    }
    for text in ["localhost", "::1:80", "x:", "x:y", "x:70000", "x:+1", "a b:1", "x/y:1", "[]:1", ""] {
        assert!(refused::<HostPort>(text).contains("host:port"), "{text}");
    }
    expect![[r#""http://x:1" is an address with a scheme; leave the scheme out"#]].assert_eq(&refused::<
        HostPort,
    >(
        "http://x:1"
    ));
}

#[test]
fn label_names_are_any_text_but_the_empty_one() {
    assert!(value::<LabelName>("job").is_legacy());
    assert!(!value::<LabelName>("http.status").is_legacy());
    assert!(!value::<LabelName>("1st").is_legacy());
    assert_eq!(refused::<LabelName>(""), "a label name must not be empty");
}

#[test]
fn a_secret_is_shown_nowhere_but_where_it_is_revealed() {
    #[derive(Debug, Serialize)]
    struct Config {
        password: Secret,
    }
    let config = Config { password: "hunter2".into() };
    let json = || print_json(&to_node(&config));
    for shown in [json(), format!("{config:?}"), format!("{config:#?}"), config.password.to_string()] {
        assert!(shown.contains("<secret>") && !shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(Secret::revealing(json), r#"{"password":"hunter2"}"#);
    assert_eq!(json(), r#"{"password":"<secret>"}"#);
    let elsewhere = Secret::revealing(|| std::thread::scope(|scope| scope.spawn(json).join().unwrap()));
    assert_eq!(elsewhere, r#"{"password":"<secret>"}"#);
    assert_eq!(config.password.expose(), "hunter2");
}

#[test]
fn secrets_are_hidden_again_after_a_panic() {
    let outcome = std::panic::catch_unwind(|| Secret::revealing(|| panic!("on the way")));
    assert!(outcome.is_err());
    assert_eq!(to_node(&Secret::new("hunter2")).as_str(), Some("<secret>"));
}

proptest! {
    #[test]
    fn a_printed_period_reads_back(nanos in 1_i64..) {
        let period = Period::new(Duration::from_nanos(nanos.unsigned_abs())).unwrap();
        prop_assert_eq!(period.to_string().parse(), Ok(period));
    }

    #[test]
    fn a_printed_size_reads_back(bytes: u64) {
        prop_assert_eq!(ByteSize::from_bytes(bytes).to_string().parse(), Ok(ByteSize::from_bytes(bytes)));
    }

    #[test]
    fn no_text_makes_a_value_panic(text in "(\\PC|[0-9smhdw.:/@\\[\\]]){0,20}") {
        let _outcome = (text.parse::<Period>(), text.parse::<ByteSize>(), text.parse::<HttpUrl>(), text.parse::<HostPort>());
    }
}

/// Keys of a kind of component, flattened around the component's own.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Common {
    #[serde(default = "crate::secs::<30>")]
    interval: Period,
    #[serde(default = "crate::timeout_secs::<0>")]
    timeout: Timeout,
    #[serde(default = "crate::on")]
    enabled: bool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Config {
    #[serde(default = "crate::bytes::<3_000_000>")]
    max_bytes: ByteSize,
    #[serde(default = "crate::count::<10>")]
    n_shards: usize,
    #[serde(default = "crate::number::<7>")]
    seed: u64,
    #[serde(default = "crate::millis::<200>")]
    flush: Period,
    #[serde(default = "crate::off")]
    fast: bool,
    #[serde(flatten)]
    common: Common,
}

#[test]
fn a_default_can_be_named_with_its_value_in_the_attribute() {
    let config: Config = read(&Node::null(), "").unwrap();
    expect![[r#"
        max_bytes: 3000000
        n_shards: 10
        seed: 7
        flush: 200ms
        fast: false
        interval: 30s
        timeout: 0s
        enabled: true
    "#]]
    .assert_eq(&print_yaml(&to_node(&config)));
}

#[test]
fn schemas_show_such_defaults() {
    let schema = schema_of::<Config>();
    assert_eq!(schema["properties"]["interval"]["default"], "30s");
    assert_eq!(schema["properties"]["max_bytes"]["default"], 3_000_000);
    assert_eq!(schema.get("required"), None);
}
