//! The way to a receiver, with faults that no receiver can act out itself: nobody listens, nobody accepts, a connection
//! breaks in the middle of a body, an answer never comes.
//!
//! A gate is a reverse proxy over HTTP/1.1 on a port of its own that stays the same. While it is open, a request that is under way
//! is seen through to its answer before the gate changes: an outage never begins between what a receiver took and the answer that
//! says so, which no sender could survive without sending twice. In every other passage nothing gets through at all.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::child::free_port;
use crate::http::{self, Hangup, MAX_BODY_BYTES, Reply, Request, read_body, reply};

/// How long the receiver behind an open gate may take for an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// A connection to a full backlog does not come about; this long is waited to see that.
const FULL: Duration = Duration::from_millis(200);
/// So many connections fill any backlog that was asked to be the smallest.
const MAX_FILLERS: usize = 16;
const PORT_TRIES: usize = 5;
/// Headers that say how bytes travel on one connection and mean nothing on the next.
const OF_THE_CONNECTION: [&str; 5] =
    ["connection", "content-length", "host", "keep-alive", "transfer-encoding"];

/// What becomes of those who come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Requests go to the receiver, its answers come back.
    Open,
    /// Nobody listens: connections are refused.
    Refused,
    /// Connections never come about: the backlog is full and nobody accepts.
    BlackHole,
    /// Connections are reset after the head of a request and some of its body.
    ResetMidBody,
    /// Requests are read to their end and never answered.
    Mute,
}

/// A running gate; dropping it closes it.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    wanted: watch::Sender<Passage>,
    reached: watch::Receiver<Passage>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    to: String,
    copy: Option<String>,
    swallowed: AtomicU64,
    failed_copies: AtomicU64,
}

impl Gate {
    /// Opens a gate in front of the server at `to`, which is `http://host:port`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(to: &str) -> anyhow::Result<Gate> {
        Gate::with(to, None).await
    }

    /// As [`Gate::start`]; each request that the receiver stored, as its answer says, is then posted to the URL `copy` as
    /// well, before the sender has its answer: a [sink](crate::sink) there keeps the book of a receiver that has none.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn copying(to: &str, copy: &str) -> anyhow::Result<Gate> {
        Gate::with(to, Some(copy.to_owned())).await
    }

    async fn with(to: &str, copy: Option<String>) -> anyhow::Result<Gate> {
        let shared = Arc::new(Shared {
            to: to.to_owned(),
            copy,
            swallowed: AtomicU64::new(0),
            failed_copies: AtomicU64::new(0),
        });
        let (wanted, watched) = watch::channel(Passage::Open);
        let (reach, reached) = watch::channel(Passage::Open);
        let (address, listener) = listen().await?;
        let task = tokio::spawn(keep(address, listener, shared.clone(), watched, reach));
        Ok(Gate { address, wanted, reached, shared, task })
    }

    /// `http://host:port` of the gate with `path` after it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Changes the passage and waits until the new one is in force.
    pub async fn set(&self, passage: Passage) {
        self.wanted.send_replace(passage);
        // The other end lives as long as this gate.
        self.reached.clone().wait_for(|reached| *reached == passage).await.ok();
    }

    /// How many requests ended in a passage that answers none.
    pub fn n_swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::Relaxed)
    }

    /// How many acknowledged requests could not be posted as a copy.
    pub fn n_failed_copies(&self) -> u64 {
        self.shared.failed_copies.load(Ordering::Relaxed)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port that no outgoing connection can take while nobody listens on it.
async fn listen() -> anyhow::Result<(SocketAddr, TcpListener)> {
    let mut tries = 0;
    loop {
        tries += 1;
        match TcpListener::bind(("127.0.0.1", free_port()?)).await {
            Ok(listener) => return Ok((listener.local_addr()?, listener)),
            Err(error) if tries == PORT_TRIES => return Err(error.into()),
            Err(_) => {}
        }
    }
}

async fn keep(
    address: SocketAddr,
    listener: TcpListener,
    shared: Arc<Shared>,
    mut wanted: watch::Receiver<Passage>,
    reach: watch::Sender<Passage>,
) {
    let mut first = Some(listener);
    loop {
        let passage = *wanted.borrow_and_update();
        let listener = match (first.take(), passage) {
            (_, Passage::Refused | Passage::BlackHole) => None,
            (Some(listener), _) => Some(listener),
            (None, _) => Some(bind(address).await),
        };
        match listener {
            Some(listener) => {
                reach.send_replace(passage);
                serve(&listener, passage, &shared, &mut wanted).await;
            }
            None => {
                let hole = if passage == Passage::BlackHole { black_hole(address).await.ok() } else { None };
                reach.send_replace(passage);
                wanted.changed().await.ok();
                drop(hole);
            }
        }
        if wanted.has_changed().is_err() {
            return;
        }
    }
}

/// The port is ours; what may still be in the way are remains of the last listener.
async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A listener that never accepts, and the connections that fill its backlog.
async fn black_hole(address: SocketAddr) -> io::Result<(TcpListener, Vec<TcpStream>)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(1)?;
    let mut fillers = Vec::new();
    while fillers.len() < MAX_FILLERS {
        match timeout(FULL, TcpStream::connect(address)).await {
            Ok(filler) => fillers.push(filler?),
            Err(_full) => break,
        }
    }
    Ok((listener, fillers))
}

/// Serves until the passage changes, and then on until what is under way has ended.
async fn serve(
    listener: &TcpListener,
    passage: Passage,
    shared: &Arc<Shared>,
    wanted: &mut watch::Receiver<Passage>,
) {
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    stream.set_nodelay(true).ok();
                    let (shared, wanted) = (shared.clone(), wanted.clone());
                    conversations.spawn(converse(stream, passage, shared, wanted));
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            },
            Some(_) = conversations.join_next() => {}
            _ = wanted.changed() => break,
        }
    }
    while conversations.join_next().await.is_some() {}
}

async fn converse(
    stream: TcpStream,
    passage: Passage,
    shared: Arc<Shared>,
    mut wanted: watch::Receiver<Passage>,
) {
    if passage == Passage::Open {
        return forward_all(stream, shared, wanted).await;
    }
    let fails = async {
        match passage {
            Passage::ResetMidBody => reset(stream, &shared).await,
            _ => swallow(stream, &shared).await,
        }
    };
    tokio::select! {
        () = fails => {}
        _ = wanted.changed() => {}
    }
}

async fn forward_all(stream: TcpStream, shared: Arc<Shared>, mut wanted: watch::Receiver<Passage>) {
    let service = service_fn(move |request| forward(shared.clone(), request));
    let builder = hyper::server::conn::http1::Builder::new();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A connection that ends in an error was ended by the sender: no news here.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = wanted.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.ok();
}

/// A task of its own, so that a sender that goes away does not cut a request off that the receiver has begun to take.
fn forward(shared: Arc<Shared>, request: Request) -> impl Future<Output = Result<Reply, Hangup>> {
    let answer = tokio::spawn(pass_on(shared, request));
    async move { answer.await.unwrap_or(Err(Hangup)) }
}

async fn pass_on(shared: Arc<Shared>, request: Request) -> Result<Reply, Hangup> {
    let url = format!("{}{}", shared.to, request.uri());
    let (method, headers) = (request.method().to_string(), request.headers().clone());
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let Ok(body) = read_body(request).await else { return Err(Hangup) };
    let Ok(answer) = http::send(&method, &url, &headers, body.clone(), ANSWER).await else {
        return Err(Hangup);
    };
    if let Some(copy) = &shared.copy
        && is_stored(&headers, &answer)
    {
        let copied = http::send(&method, copy, &headers, body, ANSWER).await;
        let is_taken = copied.is_ok_and(|answer| (200..300).contains(&answer.status));
        shared.failed_copies.fetch_add(u64::from(!is_taken), Ordering::Relaxed);
    }
    let mut back = reply(answer.status, "text/plain", answer.body);
    for (name, value) in &answer.headers {
        if !OF_THE_CONNECTION.contains(&name.as_str()) {
            back.headers_mut().insert(name, value.clone());
        }
    }
    Ok(back)
}

/// A receiver that does not know remote write 2.0 may take a request of it for an empty one of 1.0 and answer with success; one that does
/// know it says how much was written.
fn is_stored(headers: &[(&str, &str)], answer: &http::Answer) -> bool {
    let is_of_version_2 = headers
        .iter()
        .any(|(name, value)| *name == "x-prometheus-remote-write-version" && value.starts_with("2."));
    let says_so = answer.header("x-prometheus-remote-write-samples-written").is_some();
    (200..300).contains(&answer.status) && (!is_of_version_2 || says_so)
}

/// Reads the head of a request and a first piece of its body, then resets the connection.
async fn reset(mut stream: TcpStream, shared: &Shared) {
    let mut seen = Vec::new();
    while end_of_head(&seen).is_none_or(|end| end == seen.len()) {
        if seen.len() > MAX_BODY_BYTES || stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return;
        }
    }
    shared.swallowed.fetch_add(1, Ordering::Relaxed);
    // With nothing left to linger for, closing sends a reset.
    stream.set_zero_linger().ok();
}

/// Reads requests without an answer until the sender goes away.
async fn swallow(mut stream: TcpStream, shared: &Shared) {
    let mut piece = vec![0; 64 << 10];
    let mut is_first = true;
    while stream.read(&mut piece).await.is_ok_and(|n| n > 0) {
        shared.swallowed.fetch_add(u64::from(is_first), Ordering::Relaxed);
        is_first = false;
    }
    stream.shutdown().await.ok();
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Server;

    async fn receiver() -> (Server, Arc<AtomicU64>) {
        let taken = Arc::new(AtomicU64::new(0));
        let counter = taken.clone();
        let server = Server::start(move |request: Request| {
            let counter = counter.clone();
            async move {
                read_body(request).await.map_err(|_| Hangup)?;
                sleep(Duration::from_millis(50)).await;
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(reply(204, "text/plain", ""))
            }
        });
        (server.await.unwrap(), taken)
    }

    async fn knock(gate: &Gate) -> anyhow::Result<http::Answer> {
        let headers = [("content-type", "text/plain")];
        let body = vec![b'x'; 300_000].into();
        http::send("POST", &gate.url("/write"), &headers, body, Duration::from_secs(1)).await
    }

    #[tokio::test]
    async fn an_open_gate_passes_requests_and_answers_on() {
        let (server, taken) = receiver().await;
        let gate = Gate::start(&server.url("")).await.unwrap();
        assert_eq!(knock(&gate).await.unwrap().status, 204);
        assert_eq!((taken.load(Ordering::Relaxed), gate.n_swallowed()), (1, 0));
    }

    #[tokio::test]
    async fn every_other_passage_fails_in_its_own_way_and_nothing_gets_through() {
        let (server, taken) = receiver().await;
        let gate = Gate::start(&server.url("")).await.unwrap();
        for (passage, words) in [
            (Passage::Refused, "refused"),
            (Passage::BlackHole, "no answer within 1s"),
            (Passage::ResetMidBody, ""),
            (Passage::Mute, "no answer within 1s"),
        ] {
            gate.set(passage).await;
            let error = format!("{:#}", knock(&gate).await.unwrap_err());
            assert!(error.contains(words), "{passage:?}: {error}");
        }
        assert_eq!(gate.n_swallowed(), 2);
        gate.set(Passage::Open).await;
        assert_eq!(knock(&gate).await.unwrap().status, 204);
        assert_eq!(taken.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_request_under_way_is_seen_through_before_the_gate_closes() {
        let (server, taken) = receiver().await;
        let gate = Arc::new(Gate::start(&server.url("")).await.unwrap());
        let sender = tokio::spawn({
            let gate = gate.clone();
            async move { knock(&gate).await }
        });
        // The gate's own receiver and one a conversation.
        while gate.wanted.receiver_count() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        gate.set(Passage::Refused).await;
        assert_eq!(sender.await.unwrap().unwrap().status, 204);
        assert_eq!(taken.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_copied_before_the_answer() {
        let ((server, taken), (book, booked)) = (receiver().await, receiver().await);
        let gate = Gate::copying(&server.url(""), &book.url("/write")).await.unwrap();
        assert_eq!(knock(&gate).await.unwrap().status, 204);
        assert_eq!((taken.load(Ordering::Relaxed), booked.load(Ordering::Relaxed)), (1, 1));
        drop(book);
        assert_eq!(knock(&gate).await.unwrap().status, 204);
        assert_eq!(gate.n_failed_copies(), 1);
    }
}
