use std::path::Path;
use std::time::Duration;

use telemetry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::{Cluster, Pod, Scope};

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {user}}}]\ncontexts: [{{name: test, context: {{cluster: c, user: u, namespace: mine}}}}]\n"
    )
}

async fn refused(access: Access) -> String {
    Cluster::connect(&access, Registry::new()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_name_of_the_file() {
    let dir = tempfile::TempDir::new().unwrap();
    let of = |path: PathBuf, context: Option<&str>| Access::Kubeconfig {
        path,
        context: context.map(str::to_owned),
    };
    let missing = dir.path().join("missing");
    let message = refused(of(missing.clone(), None)).await;
    assert!(message.starts_with(&format!("kubeconfig {}: ", missing.display())), "{message}");
    let no_yaml = write(dir.path(), "broken", "clusters: [");
    let message = refused(of(no_yaml.clone(), None)).await;
    assert!(message.starts_with(&format!("kubeconfig {}: ", no_yaml.display())), "{message}");
    let good = write(dir.path(), "good", &kubeconfig("http://127.0.0.1:1", "{}"));
    let message = refused(of(good, Some("other"))).await;
    assert!(message.contains("other"), "{message}");
    let url = "http://[";
    let server = ServerAccess { url: UrlText::new(url), ..ServerAccess::default() };
    let message = refused(Access::Server(Box::new(server))).await;
    assert!(message.starts_with("API server http://[: "), "{message}");
}

/// Answers each request with a list of one pod, or with an event that it is gone. Tells the heads of requests.
async fn serve(listener: TcpListener, heads: mpsc::UnboundedSender<String>) {
    let pod = r#"{"metadata":{"namespace":"shop","name":"a","resourceVersion":"7"}}"#;
    let mut connections = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let heads = heads.clone();
        drop(connections.spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                // A connection that was opened to spare has no request.
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let body = if head.contains("watch=true") {
                format!("{{\"type\":\"DELETED\",\"object\":{pod}}}\n")
            } else {
                format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{pod}]}}"#)
            };
            let length = body.len();
            let text =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(text.as_bytes()).await.unwrap();
            // The test may have seen enough.
            drop(heads.send(head));
        }));
    }
}

#[tokio::test]
async fn objects_come_over_http_with_the_token_of_the_file() {
    let dir = tempfile::TempDir::new().unwrap();
    let token = write(dir.path(), "token", "t0ken\n");
    for is_written_out in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (heads, mut requests) = mpsc::unbounded_channel();
        let serving = tokio::spawn(serve(listener, heads));
        let access = if is_written_out {
            let token_file = Some(token.clone());
            Access::Server(Box::new(ServerAccess {
                url: UrlText::new(url),
                token_file,
                ..ServerAccess::default()
            }))
        } else {
            let user = format!("{{tokenFile: '{}'}}", token.display());
            let path = write(dir.path(), "config", &kubeconfig(&url, &user));
            Access::Kubeconfig { path, context: None }
        };
        let cluster = Cluster::connect(&access, Registry::new()).await.unwrap();
        let mut watch = cluster.watch::<Pod>(&Scope::namespace("shop"));
        let gone = async {
            while !watch.snapshot().is_empty() || !watch.is_synced() {
                watch.changed().await;
            }
        };
        let outcome = timeout(Duration::from_secs(20), gone).await;
        assert!(outcome.is_ok(), "{:?}", watch.state());
        serving.abort();
        let (list, watch) = (requests.recv().await.unwrap(), requests.recv().await.unwrap());
        assert!(list.starts_with("get /api/v1/namespaces/shop/pods?limit=500 http/1.1\r\n"), "{list}");
        assert!(list.contains("authorization: bearer t0ken\r\n"), "{list}");
        assert!(watch.contains("&resourceversion=7&"), "{watch}");
        assert!(watch.contains("authorization: bearer t0ken\r\n"), "{watch}");
    }
}

#[tokio::test]
async fn a_token_is_read_anew_and_kept_when_the_file_is_gone() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = write(dir.path(), "token", "one\n");
    let token = TokenFile::new(path.clone());
    assert_eq!(token.header().await.unwrap(), "Bearer one");
    write(dir.path(), "token", "two");
    assert_eq!(token.header().await.unwrap(), "Bearer two");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(token.header().await.unwrap(), "Bearer two");
    let missing = TokenFile::new(path.clone()).header().await.unwrap_err().to_string();
    assert!(missing.starts_with(&format!("the token of {} is not usable: ", path.display())), "{missing}");
}

#[test]
fn secrets_of_an_access_are_not_printed() {
    let secret = || Secret::new("hush-hush");
    let server = ServerAccess {
        token: Some(secret()),
        basic: Some(("u".to_owned(), secret())),
        key: Some(secret()),
        ..ServerAccess::default()
    };
    assert!(!format!("{:?}", Access::Server(Box::new(server))).contains("hush"));
}
