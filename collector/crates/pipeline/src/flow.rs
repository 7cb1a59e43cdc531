//! How batches move: by call, from outlet to consumer, with an answer.

use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use model::{Batch, Signal, Signals};

use crate::metrics::ReceiverCounters;

/// Why a batch was not accepted. Variants are named after what the sender can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A bounded queue has no room; the same batch may be accepted later.
    #[error("{what} is full ({limit})")]
    Full {
        /// Which queue.
        what: String,
        /// Name and value of its limit.
        limit: String,
    },
    /// Memory is short; the same batch may be accepted later.
    #[error("memory is short ({limit})")]
    Memory {
        /// Name and value of the limit.
        limit: String,
    },
    /// The process or the component is on its way out.
    #[error("stopping")]
    Stopping,
    /// The endpoint could not be reached within the retry time; only where no queue is in between.
    #[error("not delivered: {reason}")]
    NotDelivered {
        /// What the last attempt said.
        reason: String,
    },
    /// The batch will never be accepted.
    #[error("not acceptable: {reason}")]
    Never {
        /// What is wrong with it.
        reason: String,
    },
}

impl Refused {
    /// Whether sending the same batch again can help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::Never { .. })
    }

    /// How long a sender should wait before it tries again, where we have an opinion.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full { .. } | Self::Memory { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// Anything a batch can be given to.
pub(crate) trait Consume: Send + Sync {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refused>>;
}

/// What stands behind an outlet.
type Consumers = Arc<[Arc<dyn Consume>]>;

/// Where a component's batches go: every consumer behind it gets each batch.
///
/// What stands behind an outlet can be exchanged while the component runs; that is how a reload rewires components that
/// did not change.
#[derive(Clone, Default)]
pub struct Outlet {
    consumers: Arc<RwLock<Consumers>>,
}

impl Outlet {
    /// Gives the batch to every consumer, one after the other; each but the last gets a clone (reference counts).
    ///
    /// # Errors
    /// When a consumer refuses. The others have got the batch all the same. A refusal that can heal is preferred over
    /// one that cannot, so that the sender tries again.
    pub async fn send(&self, batch: Batch) -> Result<(), Refused> {
        let consumers = Arc::clone(&self.consumers.read().expect("no code panics while it holds this lock"));
        let Some((last, others)) = consumers.split_last() else { return Ok(()) };
        let mut refused: Option<Refused> = None;
        for consumer in others {
            keep_first_temporary(&mut refused, consumer.consume(batch.clone()).await);
        }
        keep_first_temporary(&mut refused, last.consume(batch).await);
        refused.map_or(Ok(()), Err)
    }

    /// Whether nothing stands behind it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.consumers.read().expect("no code panics while it holds this lock").is_empty()
    }

    pub(crate) fn connect(&self, consumers: Vec<Arc<dyn Consume>>) {
        *self.consumers.write().expect("no code panics while it holds this lock") = consumers.into();
    }

    /// An outlet into a function, for tests of parts.
    pub fn for_test(sink: impl Fn(Batch) -> Result<(), Refused> + Send + Sync + 'static) -> Self {
        struct Function<F>(F);
        impl<F: Fn(Batch) -> Result<(), Refused> + Send + Sync> Consume for Function<F> {
            fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refused>> {
                Box::pin(std::future::ready((self.0)(batch)))
            }
        }
        let outlet = Self::default();
        outlet.connect(vec![Arc::new(Function(sink))]);
        outlet
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

fn keep_first_temporary(kept: &mut Option<Refused>, outcome: Result<(), Refused>) {
    let Err(refused) = outcome else { return };
    let replaces = kept.as_ref().is_none_or(|known| !known.is_temporary() && refused.is_temporary());
    if replaces {
        *kept = Some(refused);
    }
}

/// The outlets of a receiver: one a signal, counted as `otelcol_receiver_accepted_*` and `_refused_*`.
#[derive(Clone, Debug)]
pub struct Outlets {
    by_signal: [Outlet; 3],
    signals: Arc<RwLock<Signals>>,
    counters: ReceiverCounters,
}

impl Outlets {
    pub(crate) fn new(counters: ReceiverCounters) -> Self {
        Self { by_signal: Default::default(), signals: Arc::new(RwLock::new(Signals::NONE)), counters }
    }

    /// Outlets into one function for all signals, for tests of parts.
    pub fn for_test(
        life: &crate::Life,
        sink: impl Fn(Batch) -> Result<(), Refused> + Send + Sync + Clone + 'static,
    ) -> Self {
        Self {
            by_signal: std::array::from_fn(|_| Outlet::for_test(sink.clone())),
            signals: Arc::new(RwLock::new(Signals::ALL)),
            counters: ReceiverCounters::new(life.telemetry(), life.id()),
        }
    }

    /// The same outlets, counted under a transport (`http`, `grpc` ...).
    #[must_use]
    pub fn via(&self, transport: &'static str) -> Self {
        Self { counters: self.counters.via(transport), ..self.clone() }
    }

    /// Whether a pipeline of this signal uses the receiver.
    #[must_use]
    pub fn wants(&self, signal: Signal) -> bool {
        self.signals.read().expect("no code panics while it holds this lock").has(signal)
    }

    /// Gives a batch to the pipelines of its signal.
    ///
    /// # Errors
    /// When a pipeline refuses it; see [`Outlet::send`].
    pub async fn send(&self, batch: Batch) -> Result<(), Refused> {
        let (signal, n_items) = (batch.signal(), batch.n_items());
        let outcome = self.by_signal[signal as usize].send(batch).await;
        self.counters.count(signal, n_items, outcome.is_ok());
        outcome
    }

    pub(crate) fn connect(&self, signal: Signal, consumers: Vec<Arc<dyn Consume>>) {
        let mut signals = self.signals.write().expect("no code panics while it holds this lock");
        *signals = Signal::ALL
            .into_iter()
            .filter(|known| if *known == signal { !consumers.is_empty() } else { signals.has(*known) })
            .fold(Signals::NONE, |set, known| set.with(Signals::from(known)));
        self.by_signal[signal as usize].connect(consumers);
    }
}
