//! `confighttp` servers as users write them.

use std::time::Duration;

use super::*;

fn parse(yaml: &str) -> HttpServerConfig {
    config::read(&config::parse(yaml, "test.yaml").unwrap().root, "").unwrap()
}

#[test]
fn defaults_are_those_of_the_collector() {
    let config = parse("endpoint: localhost:4318");
    assert_eq!(config.endpoint.as_ref().map(HostPort::as_str), Some("localhost:4318"));
    assert_eq!(config.body_limit(), 20_971_520);
    let options = config.options().unwrap();
    assert_eq!(options.read_header_timeout, Some(Duration::from_secs(60)));
    assert_eq!(options.write_timeout, Some(Duration::from_secs(30)));
    assert_eq!((options.read_timeout, options.keep_alive), (None, true));
}

#[test]
fn zero_means_no_bound_but_for_bodies() {
    let config =
        parse("{read_header_timeout: 0, idle_timeout: 0s, write_timeout: 0s, max_request_body_size: 0}");
    let options = config.options().unwrap();
    assert_eq!((options.read_header_timeout, options.write_timeout), (None, None));
    assert_eq!(config.body_limit(), 20 << 20);
}

#[test]
fn what_is_not_supported_is_named() {
    let config = parse(
        "{transport: unix, auth: {authenticator: a}, cors: {allowed_origins: ['*']}, middlewares: [a], tls: {}}",
    );
    let keys: Vec<_> = config.check().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["tls.cert_file", "transport", "auth", "cors", "middlewares"]);
    assert_eq!(config.options().unwrap_err().key, "tls.cert_file");
}

#[test]
fn encodings_can_be_restricted() {
    assert!(parse("{}").takes_encoding("gzip"));
    let config = parse("compression_algorithms: ['', zstd]");
    assert!(config.takes_encoding("") && config.takes_encoding("zstd") && !config.takes_encoding("gzip"));
}
