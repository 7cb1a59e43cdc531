//! Where redirects lead, and what goes along.

use http::StatusCode;
use http::header;

use crate::testing::{Log, PATIENCE, Seen, Server, ca, client, get, server_tls};
use crate::{NetError, Reply, Request, ServeOptions};

fn redirect(status: u16, location: &str) -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    reply.headers_mut().insert(header::LOCATION, location.parse().unwrap());
    reply
}

/// A server that redirects `/from` and remembers who came.
fn redirecting(
    status: u16,
    location: impl Fn(&Seen) -> String + Clone + Send + Sync + 'static,
) -> (Server, Log) {
    let log = Log::default();
    let reply = move |seen: &Seen| {
        if seen.uri == "/from" { redirect(status, &location(seen)) } else { Reply::new("arrived".into()) }
    };
    (Server::start(ServeOptions::default(), log.clone().answer(reply)), log)
}

#[tokio::test]
async fn credentials_follow_within_a_host_only() {
    let config = "{basic_auth: {username: me, password: safe}, http_headers: {X-Tenant: {values: [a]}}}";
    for (host, is_trusted) in [("127.0.0.1", true), ("localhost", false)] {
        let (server, log) = redirecting(302, move |seen| {
            let port = seen.header("host").unwrap().rsplit_once(':').unwrap().1.to_owned();
            format!("http://{host}:{port}/to")
        });
        let response = get(&client(config), &server.url("/from")).await.unwrap();
        assert_eq!(&response.body[..], b"arrived");
        let [from, to] = log.all().try_into().unwrap();
        assert_eq!(from.header("authorization"), Some("Basic bWU6c2FmZQ=="));
        assert_eq!(to.header("authorization").is_some(), is_trusted, "{host}");
        assert_eq!(to.header("x-tenant").is_some(), is_trusted, "{host}");
    }
}

#[tokio::test]
async fn a_redirect_may_change_the_method() {
    for (status, method, body) in
        [(302, "GET", ""), (303, "GET", ""), (307, "POST", "data"), (308, "POST", "data")]
    {
        let (server, log) = redirecting(status, |_| "/to".to_owned());
        client("{}").send(Request::post(server.url("/from"), "data", PATIENCE, 100)).await.unwrap();
        let seen = log.last();
        assert_eq!((seen.method.as_str(), seen.body.as_str()), (method, body), "{status}");
    }
}

#[tokio::test]
async fn redirects_are_an_answer_when_they_are_not_followed() {
    let (server, log) = redirecting(302, |_| "/to".to_owned());
    let response = get(&client("{follow_redirects: false}"), &server.url("/from")).await.unwrap();
    assert_eq!((response.status, log.all().len()), (302, 1));
    assert_eq!(response.headers[header::LOCATION], "/to");
}

#[tokio::test]
async fn a_circle_of_redirects_ends_at_the_limit() {
    let (server, log) = redirecting(302, |_| "/from".to_owned());
    let error = get(&client("{}"), &server.url("/from")).await.unwrap_err();
    assert!(error.to_string().ends_with("more than the limit of 10 redirects"), "{error}");
    assert_eq!(log.all().len(), 11);
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_refused() {
    let (server, _log) = redirecting(302, |_| "file:///etc/passwd".to_owned());
    let error = get(&client("{}"), &server.url("/from")).await.unwrap_err();
    assert!(matches!(error, NetError::Redirect { .. }), "{error}");
}

#[tokio::test]
async fn what_was_left_behind_once_is_not_taken_up_again_on_the_way_back() {
    let log = Log::default();
    let reply = |seen: &Seen| {
        let port = seen.header("host").unwrap().rsplit_once(':').unwrap().1.to_owned();
        match seen.uri.as_str() {
            "/from" => redirect(302, &format!("http://localhost:{port}/away")),
            "/away" => redirect(302, &format!("http://127.0.0.1:{port}/back")),
            _ => Reply::new("arrived".into()),
        }
    };
    let server = Server::start(ServeOptions::default(), log.clone().answer(reply));
    let config = "{authorization: {credentials: safe}, http_headers: {X-Key: {secrets: [safe]}}}";
    get(&client(config), &server.url("/from")).await.unwrap();
    let carried: Vec<_> = log
        .all()
        .iter()
        .map(|seen| {
            (seen.uri.clone(), seen.headers.values().any(|value| value.to_str().unwrap().contains("safe")))
        })
        .collect();
    assert_eq!(
        carried,
        [("/from".to_owned(), true), ("/away".to_owned(), false), ("/back".to_owned(), false)]
    );
}

#[tokio::test]
async fn credentials_do_not_leave_tls_even_for_the_same_host() {
    let (plain, plain_log) = Server::recording(ServeOptions::default());
    let target = plain.url("/to");
    let log = Log::default();
    let secure =
        Server::start(server_tls("server", None), log.clone().answer(move |_| redirect(302, &target)));
    let config = format!(
        "{{basic_auth: {{username: me, password: safe}}, tls_config: {{{}, server_name: metrics.example}}}}",
        ca("ca.pem")
    );
    get(&client(&config), &secure.https("/from")).await.unwrap();
    assert!(log.last().header("authorization").is_some());
    assert_eq!(plain_log.last().header("authorization"), None);
}

#[tokio::test]
async fn a_redirect_to_a_link_local_address_needs_a_key() {
    let (server, _log) = redirecting(302, |_| "http://169.254.169.254/latest/meta-data".to_owned());
    let error = get(&client("{}"), &server.url("/from")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot follow the redirect of {}: its target 169.254.169.254 has the link-local address 169.254.169.254; \
             set `follow_link_local_redirects: true` if that is meant",
            server.address
        )
    );
    // A proxy stands in for the address, which no test may reach.
    let proxied = |seen: &Seen| match seen.uri.as_str() {
        "http://metrics.example/from" => redirect(302, "http://169.254.169.254/to"),
        _ => Reply::new("arrived".into()),
    };
    let log = Log::default();
    let proxy = Server::start(ServeOptions::default(), log.clone().answer(proxied));
    let config = |key: &str| format!("{{proxy_url: 'http://{}', {key}}}", proxy.address);
    let refused = get(&client(&config("")), "http://metrics.example/from").await.unwrap_err();
    assert!(matches!(refused, NetError::Redirect { .. }), "{refused}");
    let allowed = client(&config("follow_link_local_redirects: true"));
    assert_eq!(&get(&allowed, "http://metrics.example/from").await.unwrap().body[..], b"arrived");
    assert_eq!(log.last().uri, "http://169.254.169.254/to");
}

#[tokio::test]
async fn who_keeps_to_the_host_gets_a_redirect_elsewhere_as_the_answer() {
    for (status, host, is_followed) in [
        (307, "127.0.0.1", true),
        (308, "127.0.0.1", true),
        (307, "localhost", false),
        (301, "127.0.0.1", false),
        (302, "127.0.0.1", false),
        (303, "127.0.0.1", false),
    ] {
        let (server, log) = redirecting(status, move |seen| {
            let port = seen.header("host").unwrap().rsplit_once(':').unwrap().1.to_owned();
            format!("http://{host}:{port}/to")
        });
        let post = Request::post(server.url("/from"), "data", PATIENCE, 100);
        let response = client("{}").send(Request { keeps_to_host: true, ..post }).await.unwrap();
        let bodies: Vec<String> = log.all().iter().map(|seen| seen.body.clone()).collect();
        if is_followed {
            assert_eq!((response.status, bodies), (200, vec!["data".to_owned(); 2]), "{status} {host}");
        } else {
            assert_eq!((response.status, bodies.len()), (status, 1), "{status} {host}");
        }
    }
}
