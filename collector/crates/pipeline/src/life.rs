//! What a running component knows of its surroundings: when to stop, how it is called, how to report.

use std::sync::Arc;
use std::time::Duration;

use telemetry::Registry;
use tokio::sync::watch;

use crate::ComponentId;

/// Whether the process as a whole can serve, as probes ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Components are being started.
    Starting,
    /// Data can flow.
    Ready,
    /// The process is on its way out.
    Stopping,
}

/// A stop signal: raised once, seen by everybody who holds a clone.
#[derive(Clone, Debug)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

impl Stop {
    /// A signal that nobody has raised.
    #[must_use]
    pub fn new() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }

    /// Raises the signal. Raising it again changes nothing.
    pub fn raise(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns as soon as it is raised.
    pub async fn raised(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _seen = receiver.wait_for(|raised| *raised).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// Handed to every component when it starts.
#[derive(Clone, Debug)]
pub struct Life {
    id: Arc<ComponentId>,
    stop: Stop,
    health: watch::Receiver<Health>,
    telemetry: Registry,
}

impl Life {
    /// A life outside a graph, for tests of parts: the component is told `stop` when the signal is raised.
    #[must_use]
    pub fn for_test(id: &str, stop: &Stop) -> Self {
        let id = ComponentId::parse(id).unwrap_or_else(|_| ComponentId { kind: id.to_owned(), name: None });
        Self::new(id, stop.clone(), watch::Sender::new(Health::Ready).subscribe(), Registry::new())
    }

    pub(crate) fn new(
        id: ComponentId,
        stop: Stop,
        health: watch::Receiver<Health>,
        telemetry: Registry,
    ) -> Self {
        Self { id: Arc::new(id), stop, health, telemetry }
    }

    /// The component's id in the configuration.
    #[must_use]
    pub fn id(&self) -> &ComponentId {
        &self.id
    }

    /// The component's own stop signal.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Returns when the component has to end.
    pub async fn stopped(&self) {
        self.stop.raised().await;
    }

    /// Sleeps, and says whether the whole time passed (`false`: the component has to end).
    pub async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.stopped() => false,
        }
    }

    /// Whether the process can serve, and changes of that.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Where the component registers metrics of its own.
    #[must_use]
    pub fn telemetry(&self) -> &Registry {
        &self.telemetry
    }
}
