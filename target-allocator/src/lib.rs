//! The allocator: decides which collector scrapes which target, and answers who asks.
//!
//! Targets come from discovery ([`jobs`], [`items`]), collectors from a list, a file or from who asks ([`members`]). Who has
//! what is a pure function of both ([`assign`]); from one epoch to the next, old owners keep a target until the new one has
//! fetched it ([`placement`]), and our own scrapers change over at a moment that both know ([`handover`]). What is answered is settled once per change ([`view`]), encoded when it is asked for ([`answers`]), and served by [`api`] in the
//! shapes of the OpenTelemetry target allocator, so that its clients, Prometheus and vmagent can use it unchanged.
//!
//! The rule above all others: no answer is better than a wrong one. Until discovery has settled, members are known and
//! targets are shared out, the answer is 503 with a body that nobody takes for an empty list.
//!
//! ```yaml
//! collectors: {static: [scraper-0, scraper-1, scraper-2]}
//! config:
//!   scrape_configs:
//!     - job_name: node
//!       file_sd_configs: [{files: [nodes.yaml]}]
//! ```

pub mod answers;
pub mod api;
pub mod assign;
mod core;
pub mod errors;
pub mod explain;
pub mod flags;
pub mod handover;
pub mod items;
pub mod jobs;
pub mod kept;
pub mod kubernetes;
pub mod marks;
pub mod members;
mod metrics;
pub mod monitors;
pub mod moves;
pub mod placement;
pub mod roster;
pub mod selector;
mod server;
pub mod settings;
pub mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use cluster::{Access, Cluster};
use config::Problem;
use scrape::{Clock, SystemClock};
use telemetry::Registry;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::core::{Core, Inbox, Reload, Shared};
use crate::kubernetes::Kubernetes;
use crate::members::Polls;
use crate::metrics::Metrics;
use crate::server::Servers;
use crate::settings::Settings;

pub use crate::core::PATIENCE;
pub use crate::server::StartError;

/// A running allocator.
#[derive(Debug)]
pub struct Allocator {
    api: Api,
    reloads: mpsc::Sender<Reload>,
    core: JoinHandle<()>,
    servers: Servers,
    addresses: (String, Option<settings::HttpsSettings>),
    access: Option<Access>,
    /// Set at the end, so that nothing is held any more.
    stopping: watch::Sender<bool>,
}

impl Allocator {
    /// Starts discovery, the watch over members and the listeners. Answers are 503 until enough is known.
    ///
    /// # Errors
    /// When a listener, a certificate or a client of discovery cannot be set up.
    pub async fn start(settings: Settings, identity: &telemetry::Identity) -> Result<Self, StartError> {
        let registry = Registry::new();
        registry.describe(identity);
        registry.observe_process();
        // Listeners come first: a port in use must not be found after discovery has bothered the world.
        let listeners = server::bind(&settings)?;
        let kubernetes = match &settings.kubernetes {
            Some(wanted) => {
                let cluster = Cluster::connect(&wanted.access, registry.clone()).await?;
                Some(Kubernetes::over(wanted.access.clone(), cluster))
            }
            None => None,
        };
        let mut allocator = Self::detached_with(settings, registry, Arc::new(SystemClock), kubernetes)
            .map_err(StartError::Config)?;
        allocator.servers = listeners.serve(&allocator.api);
        Ok(allocator)
    }

    /// An allocator without listeners, which answers through [`Self::api`] alone.
    ///
    /// # Errors
    /// When a client of discovery cannot be set up.
    pub fn detached(settings: Settings, registry: Registry) -> Result<Self, Vec<Problem>> {
        Self::detached_with(settings, registry, Arc::new(SystemClock), None)
    }

    /// [`Self::detached`], with a clock of its own and a cluster.
    fn detached_with(
        settings: Settings,
        registry: Registry,
        clock: Arc<dyn Clock>,
        kubernetes: Option<Kubernetes>,
    ) -> Result<Self, Vec<Problem>> {
        let shared = Shared {
            polls: Arc::new(Polls::default()),
            changed: Arc::new(Notify::new()),
            metrics: Arc::new(Metrics::new(registry)),
            clock,
            kubernetes,
        };
        let addresses = (settings.listen_addr.clone(), settings.https.clone());
        let access = settings.kubernetes.as_ref().map(|wanted| wanted.access.clone());
        let core = Core::start(settings, shared.clone())?;
        let (fetched, fetches) = mpsc::channel(MAX_FETCHES);
        let (reloads, reload_inbox) = mpsc::channel(1);
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let Shared { polls, changed, metrics, kubernetes, .. } = shared;
        let (stopping, stopped) = watch::channel(false);
        let errors = Arc::default();
        let api = Api {
            view: core.views(),
            polls,
            changed,
            fetched,
            metrics,
            errors,
            kubernetes,
            questions,
            stopping: stopped,
        };
        let inbox = Inbox { fetched: fetches, reloads: reload_inbox, questions: asked };
        let core = tokio::spawn(core.run(inbox));
        Ok(Self { api, reloads, core, servers: Servers::default(), addresses, access, stopping })
    }

    /// Where plain HTTP is served; the unspecified address of a detached allocator.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.servers.local_addr()
    }

    /// Where HTTPS is served, if it is.
    #[must_use]
    pub fn local_addr_https(&self) -> Option<SocketAddr> {
        self.servers.local_addr_https()
    }

    /// What answers requests.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Takes over a new configuration. What did not change goes on: discovery of unchanged jobs keeps running, and owners
    /// stay. Addresses of listeners are taken over at the next start.
    ///
    /// # Errors
    /// Why it cannot be taken over; the old one stays in use.
    pub async fn reload(&self, settings: Settings) -> Result<(), Vec<Problem>> {
        if self.addresses != (settings.listen_addr.clone(), settings.https.clone()) {
            tracing::warn!("changed addresses and certificates of listeners take effect at the next start");
        }
        if settings.kubernetes.as_ref().is_some_and(|wanted| Some(&wanted.access) != self.access.as_ref()) {
            tracing::warn!("another way to the cluster is taken at the next start");
        }
        let (done, outcome) = oneshot::channel();
        let stopping = || vec![Problem::error("", "the allocator is stopping")];
        self.reloads.send(Reload { settings, done }).await.map_err(|_| stopping())?;
        let outcome = outcome.await.unwrap_or_else(|_| Err(stopping()));
        self.api.metrics.reloaded(outcome.is_ok());
        outcome
    }

    /// Counts a configuration that could not even be read.
    pub fn refused_reload(&self) {
        self.api.metrics.reloaded(false);
    }

    /// Stops accepting, lets answers under way finish, and ends.
    pub async fn shutdown(self) {
        let Self { servers, reloads, core, stopping, .. } = self;
        stopping.send_replace(true);
        servers.stop().await;
        drop(reloads);
        // It ends by itself now; if it had panicked, the servers would have gone on with the last view.
        drop(core.await);
    }
}

/// Fetched lists that may wait to be noticed. When there are more, the next fetch of the same list is noticed instead.
const MAX_FETCHES: usize = 1_024;

/// Questions that may wait for an explanation.
const MAX_QUESTIONS: usize = 16;

#[cfg(test)]
mod tests;
