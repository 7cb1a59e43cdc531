//! HTTP/1.1 connections that are driven by the task which uses them.
//!
//! A pooled connection is a task of its own: request, answer and every piece of a body are handed over between two
//! tasks, often on two threads. A scrape asks one host, waits and reads; here the same task moves the bytes, and
//! a scrape wakes nobody else. What a lane cannot carry goes through the pool: TLS, HTTP/2, proxies that forward.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::http1::Lane;

/// How often lanes that nobody uses any more are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Lanes between requests, by host and port.
#[derive(Default)]
pub(super) struct Lanes {
    parked: Mutex<Parked>,
}

#[derive(Default)]
struct Parked {
    by_host: HashMap<Box<str>, Vec<(Box<Lane>, Instant)>>,
    swept: Option<Instant>,
}

impl Lanes {
    /// A lane that can be used at once. One that the server closed meanwhile, or on which it spoke without being asked, is
    /// noticed here.
    pub(super) async fn take(&self, host: &str, idle_timeout: Option<Duration>) -> Option<Box<Lane>> {
        loop {
            let (mut lane, since) = self.parked().by_host.get_mut(host)?.pop()?;
            let is_fresh = idle_timeout.is_none_or(|timeout| since.elapsed() < timeout);
            if is_fresh && lane.is_ready().await {
                return Some(lane);
            }
        }
    }

    /// Keeps a lane for the next request, if it can carry one and there are not too many.
    pub(super) fn park(&self, host: &str, lane: Box<Lane>, idle_timeout: Option<Duration>, most: usize) {
        if !lane.may_be_parked() {
            return;
        }
        let now = Instant::now();
        let mut parked = self.parked();
        parked.sweep(now, idle_timeout);
        match parked.by_host.get_mut(host) {
            Some(lanes) if lanes.len() < most => lanes.push((lane, now)),
            None if most > 0 => {
                parked.by_host.insert(host.into(), vec![(lane, now)]);
            }
            _ => {}
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
