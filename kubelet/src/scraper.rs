//! One scrape: what is asked for, what of it is true, what is counted.
//!
//! As upstream, `/stats/summary` once and `/pods` only when something needs it. Left on purpose: the requests run beside each other;
//! when only what stands beside the summary fails, the summary's points are sent all the same, without what would have needed it.
//! A summary that is half is not used: pods behind the break would look as if they were gone.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::{Frames, Timestamp};

use crate::access::{self, AccessError, Surroundings};
use crate::claims::Claims;
use crate::config::Config;
use crate::emit::{Beside, Missing, emit};
use crate::json;
use crate::metric::N_METRICS;
use crate::node::NodeCapacity;
use crate::pods::Pods;
use crate::points::{Resources, Written};
use crate::request::{Deadline, Outcome, RequestError, Server, Subject};
use crate::settings::Settings;
use crate::summary::Summary;

const SUMMARY: &str = "/stats/summary";
const PODS: &str = "/pods";

/// The size of the first scrape is guessed, in bytes.
const FIRST_SIZE: usize = 64 << 10;

/// Asks one kubelet again and again.
#[derive(Debug)]
pub struct Scraper {
    settings: Settings,
    kubelet: Server,
    api: Option<Server>,
    node: Option<NodeCapacity>,
    claims: Option<Claims>,
    /// When it was made, in nanoseconds: the start of what volumes tell.
    started: u64,
    version: &'static str,
    /// Bytes that the last scrape wrote.
    last_size: usize,
    kept: Kept,
}

/// Memory of the last scrape. It is used again once nobody needs what is in it any more: getting megabytes from the system in every
/// scrape, page by page, takes as long as reading them.
#[derive(Debug, Default)]
struct Kept {
    summary: Bytes,
    pods: Bytes,
    points: Bytes,
}

/// What one scrape brought.
#[derive(Debug, Default)]
pub struct Scraped {
    /// The points; none when there is no summary.
    pub frames: Frames,
    /// What failed. Points are what is true all the same.
    pub failures: Vec<RequestError>,
    /// How each request ended.
    pub requests: Vec<(Subject, Outcome)>,
    /// How often each metric that is on had no usable value, by its place in the table.
    pub skipped: Skipped,
    /// Resources without metadata that they should have.
    pub missing: Missing,
}

/// Values that were absent or unusable, by metric.
#[derive(Clone, Copy, Debug)]
pub struct Skipped(pub [u32; N_METRICS]);

impl Default for Skipped {
    fn default() -> Self {
        Self([0; N_METRICS])
    }
}

impl Scraper {
    /// From a configuration without problems ([`Config::check`]). `version` is that of the scope, `now` the start of volumes.
    ///
    /// # Errors
    /// When the kubelet or the API server can never be asked: no kubeconfig, no address of the cluster, unusable certificates
    /// that were given as text.
    pub fn build(
        config: &Config,
        surroundings: &Surroundings,
        version: &'static str,
        now: Timestamp,
    ) -> Result<Self, AccessError> {
        let settings = Settings::new(config);
        let api = config.k8s_api_config.as_ref().map(|api| access::api(api, surroundings)).transpose()?;
        let node = settings.needs_node().then(|| NodeCapacity::of(&config.node));
        let claims = (api.is_some() && settings.wants_volume_type).then(Claims::default);
        let kubelet = access::kubelet(config, surroundings)?;
        let (started, last_size) = (now.unix_nanos(), FIRST_SIZE);
        Ok(Self { settings, kubelet, api, node, claims, started, version, last_size, kept: Kept::default() })
    }

    /// Asks, and is done when `limit` has passed at the latest. `now` is the time of all points.
    pub async fn scrape(&mut self, now: Timestamp, limit: Duration) -> Scraped {
        let deadline = Deadline::within(limit);
        let mut scraped = Scraped::default();
        let needs_pods = self.settings.needs_pods();
        let memory = [&mut self.kept.summary, &mut self.kept.pods].map(|kept| again(std::mem::take(kept)));
        let [for_summary, for_pods] = memory;
        let (summary, pods, node) = tokio::join!(
            self.kubelet.get_into(for_summary, Subject::Summary, SUMMARY, deadline),
            async {
                if needs_pods {
                    Some(self.kubelet.get_into(for_pods, Subject::Pods, PODS, deadline).await)
                } else {
                    None
                }
            },
            async {
                let (node, api) = (self.node.as_mut()?, self.api.as_ref()?);
                node.get(api, deadline).await
            },
        );
        if let Some(ended) = node {
            scraped.note(Subject::Node, ended);
        }
        let pods = pods.and_then(|ended| scraped.note(Subject::Pods, ended));
        self.kept.pods = pods.clone().unwrap_or_default();
        let pods = pods.as_ref().and_then(|body| {
            let parsed = Pods::parse(body);
            scraped
                .read(parsed.map_err(|error| self.kubelet.malformed(Subject::Pods, PODS, body.len(), error)))
        });
        let Some(body) = scraped.note(Subject::Summary, summary) else { return scraped };
        self.kept.summary = body.clone();
        let Some(summary) = scraped.read(self.parse(&body)) else { return scraped };
        if let (Some(claims), Some(api), Some(pods)) = (&mut self.claims, &self.api, &pods) {
            for ended in claims.update(&summary, pods, api, deadline).await {
                match ended {
                    Ok(subject) => scraped.requests.push((subject, Outcome::Success)),
                    Err(failed) => scraped.fail(failed),
                }
            }
        }
        let beside = Beside {
            pods: pods.as_ref(),
            capacity: self.node.as_ref().and_then(NodeCapacity::known),
            claims: self.claims.as_ref(),
            started: self.started,
        };
        let mut out = Vec::from(again(std::mem::take(&mut self.kept.points)));
        // A little more than the last time, so that the buffer need not grow.
        out.reserve(self.last_size + self.last_size / 8);
        let mut resources = Resources::new(&self.settings, self.version, now.unix_nanos(), out);
        scraped.missing = emit(&summary, beside, &mut resources);
        let Written { points, frames, skipped } = resources.finish();
        self.last_size = points.len();
        self.kept.points = points;
        Scraped { frames, skipped: Skipped(skipped), ..scraped }
    }

    fn parse<'b>(&self, body: &'b Bytes) -> Result<Summary<'b>, RequestError> {
        let malformed =
            |error: net::BoxError| self.kubelet.malformed(Subject::Summary, SUMMARY, body.len(), error);
        let summary: Summary<'b> = json::read(body).map_err(|error| malformed(error.into()))?;
        if summary.node.is_none() && summary.pods.is_none() {
            return Err(malformed("there is neither a node nor pods in it".into()));
        }
        Ok(summary)
    }
}

/// The memory of bytes that nobody needs any more, empty.
fn again(bytes: Bytes) -> BytesMut {
    /// What an answer of this size is read into is not kept.
    const MAX_KEPT_BYTES: usize = 8 << 20;

    let kept = Some(bytes).filter(|bytes| bytes.len() <= MAX_KEPT_BYTES);
    let mut memory = kept.and_then(|bytes| bytes.try_into_mut().ok()).unwrap_or_default();
    memory.clear();
    memory
}

impl Scraped {
    /// Remembers how a request ended.
    fn note<T>(&mut self, subject: Subject, ended: Result<T, RequestError>) -> Option<T> {
        match ended {
            Ok(value) => {
                self.requests.push((subject, Outcome::Success));
                Some(value)
            }
            Err(failed) => {
                self.fail(failed);
                None
            }
        }
    }

    /// Remembers that an answer, which counted as a success so far, cannot be read.
    fn read<T>(&mut self, read: Result<T, RequestError>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(failed) => {
                self.requests.retain(|(subject, _)| *subject != failed.subject);
                self.fail(failed);
                None
            }
        }
    }

    fn fail(&mut self, failed: RequestError) {
        self.requests.push((failed.subject, failed.outcome));
        self.failures.push(failed);
    }
}
