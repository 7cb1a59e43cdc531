//! HTTP/1.1 connections that are driven by the task which uses them.
//!
//! A pooled connection is a task of its own: request, answer and every piece of a body are handed over between two
//! tasks, often on two threads. A scrape asks one host, waits and reads; here the same task moves the bytes, and
//! a scrape wakes nobody else. What a lane cannot carry goes through the pool: TLS, HTTP/2, proxies that forward.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
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
    rouser: Arc<Rouser>,
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
        let connection = Box::pin(connection);
        Ok(Self { sender, connection, is_closed: false, was_used: false, rouser: Arc::default() })
    }

    /// Sends a request and reads the head of its answer; the body is read within [`Self::drive`].
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failed> {
        let was_used = std::mem::replace(&mut self.was_used, true);
        let sending = self.sender.try_send_request(request);
        let sent = drive(&mut self.connection, &mut self.is_closed, &self.rouser, sending).await;
        sent.map_err(|mut failed| {
            let was_unsent = failed.take_message().is_some();
            Failed { error: failed.into_error(), was_unsent, was_used }
        })
    }

    /// Moves bytes while `work` waits for them.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&mut self.connection, &mut self.is_closed, &self.rouser, work).await
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
    rouser: &Arc<Rouser>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let waker = Waker::from(Arc::clone(rouser));
    poll_fn(|cx| {
        rouser.serve(cx.waker());
        let mut cx_within = Context::from_waker(&waker);
        for _ in 0..MAX_ROUNDS {
            rouser.state.store(POLLED, Ordering::Release);
            // How a connection ended is told to whoever waits for its answer.
            if !*is_closed && let Poll::Ready(_ended) = connection.as_mut().poll(&mut cx_within) {
                *is_closed = true;
            }
            if let Poll::Ready(done) = work.as_mut().poll(&mut cx_within) {
                return Poll::Ready(done);
            }
            let rests =
                rouser.state.compare_exchange(POLLED, RESTS, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if rests {
                return Poll::Pending;
            }
        }
        rouser.state.store(RESTS, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// How often the two halves of a lane may rouse each other before other tasks have their turn.
const MAX_ROUNDS: usize = 64;

/// Nobody looks at the halves.
const RESTS: u8 = 0;
/// They are being polled.
const POLLED: u8 = 1;
/// Something happened since the polling began.
const ROUSED: u8 = 2;

/// Wakes the task of a lane, unless it is awake already: the connection and whoever reads its answer rouse each other
/// with every piece of a body, and through the scheduler that would wake another thread each time.
#[derive(Default)]
struct Rouser {
    state: AtomicU8,
    task: Mutex<Option<Waker>>,
}

impl Rouser {
    /// This task is to be woken from now on.
    fn serve(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match task.as_mut() {
            Some(known) => known.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

impl Wake for Rouser {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(ROUSED, Ordering::AcqRel) == RESTS {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(task) = task.as_ref() {
                task.wake_by_ref();
            }
        }
    }
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
