//! What a node has, from the API server's node object.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::json::Quantity;
use crate::request::{Deadline, RequestError, Server, Subject};

/// How long an answer is good for. Upstream holds a watch and lists again as often.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// What a node has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Capacity {
    pub(crate) cores: f64,
    pub(crate) bytes: f64,
}

/// The capacity of one node, asked for when it is old.
#[derive(Debug)]
pub(crate) struct NodeCapacity {
    path: String,
    known: Option<(Instant, Capacity)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    capacity: Amounts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Amounts {
    cpu: Quantity,
    memory: Quantity,
}

impl NodeCapacity {
    pub(crate) fn of(node: &str) -> Self {
        Self { path: format!("/api/v1/nodes/{node}"), known: None }
    }

    /// What is known, which outlives failures to ask again; and the failure, if there was one. None was asked where the answer
    /// is not old.
    pub(crate) async fn get(&mut self, api: &Server, deadline: Deadline) -> Option<Result<(), RequestError>> {
        if self.known.is_some_and(|(at, _)| at.elapsed() < REFRESH) {
            return None;
        }
        let asked = self.ask(api, deadline).await;
        Some(asked.map(|capacity| self.known = Some((Instant::now(), capacity))))
    }

    pub(crate) fn known(&self) -> Option<Capacity> {
        self.known.map(|(_, capacity)| capacity)
    }

    async fn ask(&self, api: &Server, deadline: Deadline) -> Result<Capacity, RequestError> {
        let body = api.get(Subject::Node, &self.path, deadline).await?;
        let malformed = |why: Box<dyn std::error::Error + Send + Sync>| {
            api.malformed(Subject::Node, &self.path, body.len(), why)
        };
        let node: Node = serde_json::from_slice(&body).map_err(|error| malformed(error.into()))?;
        let Amounts { cpu, memory } = node.status.capacity;
        match (cpu.0, memory.0) {
            (Some(cores), Some(bytes)) if cores > 0.0 && bytes > 0.0 => Ok(Capacity { cores, bytes }),
            _ => Err(malformed("status.capacity has no cpu or no memory".into())),
        }
    }
}
