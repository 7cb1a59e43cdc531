//! Exposition pages that are another one at every scrape, for comparing scrapers with each other.
//!
//! A page is what a function says of the path and of how often that path was asked for before. Two scrapers that ask two
//! servers made from one function therefore see the same pages in the same order, whenever they come. Answers can go
//! wrong below HTTP as well, which is why this server writes its bytes itself.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// No request head of more bytes than this is read.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long a silent page keeps its connection.
const SILENCE: Duration = Duration::from_secs(60);

/// What becomes of an answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Whole,
    /// Half of the body arrives, then the connection is reset.
    Breaks,
    /// There is no answer, and the connection stays open.
    Silent,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The content type; `None` leaves the header out.
    pub content_type: Option<&'static str>,
    /// The content encoding, if the body has one.
    pub content_encoding: Option<&'static str>,
    /// Where the page has gone, for a status that redirects.
    pub location: Option<&'static str>,
    /// The body as it goes over the wire.
    pub body: Bytes,
    /// Whether it gets there.
    pub fate: Fate,
}

impl Page {
    /// A good answer of this type.
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Page {
        Page {
            status: 200,
            content_type: Some(content_type),
            content_encoding: None,
            location: None,
            body: body.into(),
            fate: Fate::Whole,
        }
    }

    /// The same, compressed.
    pub fn gzipped(self) -> Page {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut packed = vec![0; compressor.gzip_compress_bound(self.body.len())];
        let length = compressor.gzip_compress(&self.body, &mut packed).expect("the bound is an upper one");
        packed.truncate(length);
        Page { content_encoding: Some("gzip"), body: packed.into(), ..self }
    }

    fn head(&self) -> String {
        let header = |name: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| format!("{name}: {value}\r\n"))
        };
        format!(
            "HTTP/1.1 {} -\r\n{}{}{}content-length: {}\r\nconnection: close\r\n\r\n",
            self.status,
            header("content-type", self.content_type),
            header("content-encoding", self.content_encoding),
            header("location", self.location),
            self.body.len()
        )
    }
}

/// A server of pages; dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Pages {
    address: SocketAddr,
    served: Arc<Served>,
    task: JoinHandle<()>,
}

/// How often each path was asked for.
type Served = Mutex<HashMap<String, usize>>;

impl Pages {
    /// Serves what `page` says of a path and of the number of requests for it that came before.
    pub async fn start(page: impl Fn(&str, usize) -> Page + Send + Sync + 'static) -> io::Result<Pages> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let served = Arc::new(Served::default());
        let task = tokio::spawn(accept(listener, Arc::new(page), Arc::clone(&served)));
        Ok(Pages { address, served, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often the path was asked for.
    pub fn served(&self, path: &str) -> usize {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied().unwrap_or_default()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<P>(listener: TcpListener, page: Arc<P>, served: Arc<Served>)
where
    P: Fn(&str, usize) -> Page + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (page, served) = (Arc::clone(&page), Arc::clone(&served));
                    connections.spawn(async move {
                        // A peer that goes away is no news to a fake.
                        converse(stream, &*page, &served).await.ok();
                    });
                }
                // Out of file descriptors, most likely: a moment later some may be free again.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One request, one answer.
async fn converse(
    mut stream: TcpStream,
    page: &(impl Fn(&str, usize) -> Page + Sync),
    served: &Served,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > MAX_HEAD_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let n_before = {
        let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
        let count = served.entry(path.to_owned()).or_default();
        *count += 1;
        *count - 1
    };
    let page = page(path, n_before);
    match page.fate {
        Fate::Whole => {
            stream.write_all(page.head().as_bytes()).await?;
            stream.write_all(&page.body).await?;
            stream.shutdown().await
        }
        Fate::Breaks => {
            stream.write_all(page.head().as_bytes()).await?;
            stream.write_all(&page.body[..page.body.len() / 2]).await?;
            stream.set_zero_linger()
        }
        Fate::Silent => {
            tokio::time::timeout(SILENCE, stream.read_buf(&mut Vec::new())).await.ok();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[tokio::test]
    async fn a_page_is_told_how_often_its_path_was_asked_for() {
        let pages = Pages::start(|path, n| Page::new("text/plain", format!("{path} {n}"))).await.unwrap();
        let url = |path: &str| format!("http://{}{path}", pages.address());
        assert_eq!(http::get(&url("/a")).await.unwrap().text(), "/a 0");
        assert_eq!(http::get(&url("/a")).await.unwrap().text(), "/a 1");
        assert_eq!(http::get(&url("/b")).await.unwrap().text(), "/b 0");
        assert_eq!((pages.served("/a"), pages.served("/b"), pages.served("/c")), (2, 1, 0));
    }

    #[tokio::test]
    async fn an_answer_can_break_and_can_fail_to_come() {
        let pages = Pages::start(|path, _| {
            let fate = match path {
                "/whole" => Fate::Whole,
                "/breaks" => Fate::Breaks,
                _ => Fate::Silent,
            };
            Page { fate, ..Page::new("text/plain", "a page of some length") }
        });
        let pages = pages.await.unwrap();
        let get = async |path: &str| {
            let url = format!("http://{}{path}", pages.address());
            http::send("GET", &url, &[], Bytes::new(), Duration::from_millis(200)).await
        };
        assert_eq!(get("/whole").await.unwrap().status, 200);
        let error = format!("{:#}", get("/breaks").await.unwrap_err());
        assert!(!error.contains("no answer within"), "{error}");
        let error = format!("{:#}", get("/silent").await.unwrap_err());
        assert!(error.contains("no answer within"), "{error}");
    }

    #[tokio::test]
    async fn a_gzipped_page_says_so() {
        let pages = Pages::start(|_, _| Page::new("text/plain", "up 1\n").gzipped()).await.unwrap();
        let answer = http::get(&format!("http://{}/", pages.address())).await.unwrap();
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        let mut plain = [0; 5];
        libdeflater::Decompressor::new().gzip_decompress(&answer.body, &mut plain).unwrap();
        assert_eq!(&plain, b"up 1\n");
    }
}
