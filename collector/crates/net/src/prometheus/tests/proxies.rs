//! Proxies of every kind, on loopback.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::prometheus::Surroundings;
use crate::testing::{Log, Seen, Server, ca, client, get, prometheus, read_head, server_tls, write};
use crate::{Client, NetError, Reply, ServeOptions};

#[tokio::test]
async fn plain_requests_name_the_whole_url_to_a_proxy() {
    let (proxy, log) = Server::recording(ServeOptions::default());
    let yaml = format!("proxy_url: http://me:safe@{}", proxy.address);
    get(&client(&yaml), "http://metrics.example:9100/metrics").await.unwrap();
    let seen = log.last();
    assert_eq!(seen.uri, "http://metrics.example:9100/metrics");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6c2FmZQ=="));
    let (direct, direct_log) = Server::recording(ServeOptions::default());
    get(&client(&format!("{{{yaml}, no_proxy: example.com}}")), &direct.url("/")).await.unwrap();
    assert_eq!((log.all().len(), direct_log.all().len()), (1, 1));
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_asked_where_it_is_wanted() {
    let (proxy, log) = Server::recording(ServeOptions::default());
    let (direct, direct_log) = Server::recording(ServeOptions::default());
    let env = |name: &str| match name {
        "HTTP_PROXY" => Some(format!("http://me:safe@{}", proxy.address)),
        "NO_PROXY" => Some("other.example".to_owned()),
        _ => None,
    };
    let settings =
        |yaml: &str| prometheus(yaml).settings(Surroundings { base_dir: Path::new(""), env: &env }).unwrap();
    let wanting = Client::from_settings(settings("proxy_from_environment: true")).unwrap();
    get(&wanting, "http://metrics.example:9100/metrics").await.unwrap();
    let seen = log.last();
    assert_eq!(seen.uri, "http://metrics.example:9100/metrics");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6c2FmZQ=="));
    // Loopback is no matter of the environment's proxy, and without the key nothing is.
    get(&wanting, &direct.url("/")).await.unwrap();
    assert_eq!((log.all().len(), direct_log.all().len()), (1, 1));
    assert!(settings("{}").proxy.of(false, "metrics.example", 9100).is_none());
}

#[tokio::test]
async fn tokens_are_fetched_through_the_proxy_of_the_environment_too() {
    let token = |_: &Seen| Reply::new(r#"{"access_token":"abc"}"#.into());
    let log = Log::default();
    let proxy = Server::start(ServeOptions::default(), log.clone().answer(token));
    let (target, target_log) = Server::recording(ServeOptions::default());
    let env = |name: &str| (name == "http_proxy").then(|| proxy.address.to_string());
    let yaml = "oauth2: {client_id: me, client_secret: s, token_url: 'http://tokens.example/t', \
                proxy_from_environment: true}";
    let surroundings = Surroundings { base_dir: Path::new(""), env: &env };
    let client = Client::from_settings(prometheus(yaml).settings(surroundings).unwrap()).unwrap();
    get(&client, &target.url("/")).await.unwrap();
    assert_eq!(log.last().uri, "http://tokens.example/t");
    assert_eq!(target_log.last().header("authorization"), Some("Bearer abc"));
}

#[tokio::test]
async fn tls_goes_through_a_tunnel() {
    let (server, _log) = Server::recording(server_tls("server", None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let target = server.address;
    let tunnel = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
        let mut onward = TcpStream::connect(target).await.unwrap();
        // Ends with an error when either side just goes away.
        drop(copy_bidirectional(&mut stream, &mut onward).await);
        head
    });
    let yaml = format!(
        "{{proxy_url: 'http://me:safe@{proxy}', proxy_connect_header: {{X-Via: [muster]}}, tls_config: {{{}}}}}",
        ca("ca.pem")
    );
    let client = client(&yaml);
    let response = get(&client, "https://metrics.example:9443/").await.unwrap();
    assert_eq!(response.status, 200);
    drop(client);
    server.stop().await;
    let head = tunnel.await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("connect metrics.example:9443 http/1.1\r\n"), "{head}");
    assert!(head.contains("x-via: muster\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: basic bwu6c2fmzq==\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_an_error_of_connecting() {
    let refuse = |_: &Seen| {
        let mut reply = Reply::default();
        *reply.status_mut() = http::StatusCode::FORBIDDEN;
        reply
    };
    let proxy = Server::start(ServeOptions::default(), Log::default().answer(refuse));
    let error =
        get(&client(&format!("proxy_url: http://{}", proxy.address)), "https://metrics.example/").await;
    assert!(matches!(error, Err(NetError::Connect { peer, .. }) if peer == "metrics.example:443"));
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_directly() {
    let (proxy, log) = Server::recording(ServeOptions::default());
    let (direct, direct_log) = Server::recording(ServeOptions::default());
    let port = direct.address.port();
    let address = direct.address.to_string();
    let by_port = format!("127.0.0.1:{port}");
    for (no_proxy, host, is_direct) in [
        ("127.0.0.0/8", address.clone(), true),
        (by_port.as_str(), address.clone(), true),
        ("example.com", address, true),
        ("other.example", format!("metrics.example:{port}"), false),
        ("metrics.example:1", format!("metrics.example:{port}"), false),
    ] {
        let yaml = format!("{{proxy_url: 'http://{}', no_proxy: '{no_proxy}'}}", proxy.address);
        let before = (log.all().len(), direct_log.all().len());
        get(&client(&yaml), &format!("http://{host}/")).await.unwrap();
        let after = (log.all().len(), direct_log.all().len());
        let expected = if is_direct { (before.0, before.1 + 1) } else { (before.0 + 1, before.1) };
        assert_eq!(after, expected, "{no_proxy} {host}");
    }
}

#[tokio::test]
async fn a_proxy_may_be_behind_tls() {
    let (proxy, log) = Server::recording(server_tls("server", None));
    let yaml = format!(
        "{{proxy_url: 'https://localhost:{}', tls_config: {{{}}}}}",
        proxy.address.port(),
        ca("ca.pem")
    );
    get(&client(&yaml), "http://metrics.example:9100/metrics").await.unwrap();
    assert_eq!(log.last().uri, "http://metrics.example:9100/metrics");
}

/// A SOCKS5 proxy for one connection: whatever is asked for, it leads to `target`. Gives user, password and destination.
async fn socks5(target: std::net::SocketAddr) -> (String, JoinHandle<(String, String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut offer = [0; 2];
        stream.read_exact(&mut offer).await.unwrap();
        let mut methods = vec![0; usize::from(offer[1])];
        stream.read_exact(&mut methods).await.unwrap();
        assert!(methods.contains(&2), "user and password are offered");
        stream.write_all(&[5, 2]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        let user = short_text(&mut stream).await;
        let password = short_text(&mut stream).await;
        stream.write_all(&[1, 0]).await.unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(head, [5, 1, 0, 3], "the name is resolved by the proxy");
        let name = short_text(&mut stream).await;
        let port = stream.read_u16().await.unwrap();
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.unwrap();
        let mut onward = TcpStream::connect(target).await.unwrap();
        // Ends with an error when either side just goes away.
        drop(copy_bidirectional(&mut stream, &mut onward).await);
        (user, password, format!("{name}:{port}"))
    });
    (address, serving)
}

async fn short_text(stream: &mut TcpStream) -> String {
    let mut text = vec![0; usize::from(stream.read_u8().await.unwrap())];
    stream.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_socks5_proxy_is_asked_for_the_name() {
    let (server, log) = Server::recording(ServeOptions::default());
    let (proxy, serving) = socks5(server.address).await;
    let client = client(&format!("proxy_url: 'socks5://me:s%40fe@{proxy}'"));
    get(&client, "http://metrics.example:9100/metrics").await.unwrap();
    assert_eq!(log.last().uri, "/metrics");
    drop(client);
    server.stop().await;
    let (user, password, destination) = serving.await.unwrap();
    assert_eq!(
        (user.as_str(), password.as_str(), destination.as_str()),
        ("me", "s@fe", "metrics.example:9100")
    );
}
