//! HTTP/1.1 connections that are driven by the task which uses them.
//!
//! A pooled connection is a task of its own: request, answer and every piece of a body are handed over between two
//! tasks, often on two threads. A scrape asks one host, waits and reads; here the same task moves the bytes, and
//! a scrape wakes nobody else. What a lane cannot carry goes through the pool: TLS, HTTP/2, proxies that forward.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use tokio::time::Instant;

use crate::BoxError;
use crate::connect::{Conn, Connector};
use crate::error::MAX_HEAD_BYTES;

/// How often lanes that nobody uses any more are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// An open connection.
pub(super) struct Lane {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<Conn, Full<Bytes>>>>,
    is_closed: bool,
    was_used: bool,
}

/// Why there is no answer, and the request where it was certainly not sent or may be sent again.
pub(super) struct Failed {
    pub(super) error: hyper::Error,
    pub(super) was_unsent: bool,
    pub(super) was_used: bool,
}

impl Lane {
    pub(super) async fn open(connector: &Connector, destination: &Uri) -> Result<Self, BoxError> {
        let conn = connector.clone().connect(destination.clone()).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD_BYTES);
        let (sender, connection) = builder.handshake(conn).await?;
        Ok(Self { sender, connection: Box::pin(connection), is_closed: false, was_used: false })
    }

    /// Sends a request and reads the head of its answer; the body is read within [`Self::drive`].
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failed> {
        let was_used = std::mem::replace(&mut self.was_used, true);
        let sending = self.sender.try_send_request(request);
        let sent = drive(&mut self.connection, &mut self.is_closed, sending).await;
        sent.map_err(|mut failed| {
            let was_unsent = failed.take_message().is_some();
            Failed { error: failed.into_error(), was_unsent, was_used }
        })
    }

    /// Moves bytes while `work` waits for them.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&mut self.connection, &mut self.is_closed, work).await
    }

    /// Whether another request can be sent. A server that closed the connection meanwhile is noticed here.
    async fn is_ready(&mut self) -> bool {
        // One look at the socket; nothing is waited for.
        self.drive(std::future::ready(())).await;
        !self.is_closed && self.sender.is_ready()
    }
}

async fn drive<T>(
    connection: &mut Pin<Box<Connection<Conn, Full<Bytes>>>>,
    is_closed: &mut bool,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| {
        // How a connection ended is told to whoever waits for its answer.
        if !*is_closed && let Poll::Ready(_ended) = connection.as_mut().poll(cx) {
            *is_closed = true;
        }
        work.as_mut().poll(cx)
    })
    .await
}

/// Lanes between requests, by host and port.
#[derive(Default)]
pub(super) struct Lanes {
    parked: Mutex<Parked>,
}

#[derive(Default)]
struct Parked {
    by_host: HashMap<Box<str>, Vec<(Lane, Instant)>>,
    swept: Option<Instant>,
}

impl Lanes {
    /// A lane that can be used at once.
    pub(super) async fn take(&self, host: &str, idle_timeout: Option<Duration>) -> Option<Lane> {
        loop {
            let (mut lane, since) = self.parked().by_host.get_mut(host)?.pop()?;
            let is_fresh = idle_timeout.is_none_or(|timeout| since.elapsed() < timeout);
            if is_fresh && lane.is_ready().await {
                return Some(lane);
            }
        }
    }

    /// Keeps a lane for the next request, if it can carry one and there are not too many.
    pub(super) async fn park(&self, host: &str, mut lane: Lane, idle_timeout: Option<Duration>, most: usize) {
        if most == 0 || !lane.is_ready().await {
            return;
        }
        let now = Instant::now();
        let mut parked = self.parked();
        parked.sweep(now, idle_timeout);
        match parked.by_host.get_mut(host) {
            Some(lanes) if lanes.len() < most => lanes.push((lane, now)),
            Some(_) => {}
            None => {
                parked.by_host.insert(host.into(), vec![(lane, now)]);
            }
        }
    }

    fn parked(&self) -> std::sync::MutexGuard<'_, Parked> {
        // No code of others runs under the lock.
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parked {
    /// Closes what was not used for so long, now and then.
    fn sweep(&mut self, now: Instant, idle_timeout: Option<Duration>) {
        let Some(timeout) = idle_timeout else { return };
        if self.swept.is_some_and(|swept| now - swept < SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(now);
        self.by_host.retain(|_, lanes| {
            lanes.retain(|(_, since)| now - *since < timeout);
            !lanes.is_empty()
        });
    }
}
