//! The events of a watch, one at a time.

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

/// A line of more bytes than this is no event.
const MAX_LINE_BYTES: usize = 8 << 20;

/// An open watch; dropping it ends it.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    rest: Vec<u8>,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, rest: Vec::new() }
    }

    /// The next event, or `None` when the watch has ended as it should.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).context("reading an event");
            }
            if self.rest.len() > MAX_LINE_BYTES {
                bail!("an event of more than {MAX_LINE_BYTES} bytes");
            }
            match self.body.frame().await {
                Some(frame) => self.rest.extend(frame?.into_data().unwrap_or_default()),
                None if self.rest.is_empty() => return Ok(None),
                None => bail!("the watch ends in an event: {:?}", String::from_utf8_lossy(&self.rest)),
            }
        }
    }

    /// All events until the watch ends.
    pub async fn rest(mut self) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }
}
