//! The way into a stage: a channel bounded by bytes, with back-pressure to whoever sends.

use std::fmt;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use model::Batch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::Refused;
use crate::flow::Consume;
use crate::metrics::ProcessorCounters;

/// Memory that batches on their way into one stage may hold together.
const STAGE_INLET_BYTES: usize = 16 << 20;

/// Batches on their way into one stage.
const STAGE_INLET_BATCHES: usize = 256;

/// Weight of one permit: the semaphore counts in units of this many bytes.
const PERMIT_BYTES: usize = 1 << 10;

type Waiting = (Batch, OwnedSemaphorePermit);

/// Where a stage gets its batches from.
pub struct Inlet {
    receiver: mpsc::Receiver<Waiting>,
}

impl Inlet {
    /// An inlet that holds these batches and is closed behind them, for tests of parts. Batches come as time passes: each
    /// after the wait that stands beside it.
    #[must_use]
    pub fn for_test(batches: Vec<(std::time::Duration, Batch)>) -> Self {
        let (entrance, inlet) = StageEntrance::new(None);
        tokio::spawn(async move {
            for (wait, batch) in batches {
                tokio::time::sleep(wait).await;
                // The stage under test may have ended; then nobody misses the rest.
                let _is_taken = entrance.consume(batch).await.is_ok();
            }
            entrance.close();
        });
        inlet
    }

    /// The next batch; `None` when the inlet is closed and empty, which is the stage's sign to finish.
    pub async fn receive(&mut self) -> Option<Batch> {
        // The permit is given back here: from now on the stage answers for the memory.
        self.receiver.recv().await.map(|(batch, _permit)| batch)
    }
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlet").finish_non_exhaustive()
    }
}

/// The sending end; held by the graph and by the outlets in front of the stage.
pub(crate) struct StageEntrance {
    sender: Mutex<Option<mpsc::Sender<Waiting>>>,
    bytes: Arc<Semaphore>,
    counters: Option<ProcessorCounters>,
}

impl StageEntrance {
    pub(crate) fn new(counters: Option<ProcessorCounters>) -> (Arc<Self>, Inlet) {
        let (sender, receiver) = mpsc::channel(STAGE_INLET_BATCHES);
        let bytes = Arc::new(Semaphore::new(STAGE_INLET_BYTES / PERMIT_BYTES));
        (Arc::new(Self { sender: Mutex::new(Some(sender)), bytes, counters }), Inlet { receiver })
    }

    /// Lets nothing more in; the stage sees the end once it has taken what is inside.
    pub(crate) fn close(&self) {
        self.sender.lock().expect("no code panics while it holds this lock").take();
    }
}

impl Consume for StageEntrance {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            let sender = self.sender.lock().expect("no code panics while it holds this lock").clone();
            let sender = sender.ok_or(Refused::Stopping)?;
            if let Some(counters) = &self.counters {
                counters.incoming(batch.signal(), batch.n_items());
            }
            // A batch larger than the whole inlet takes all of it.
            let weight = (batch.n_bytes() / PERMIT_BYTES).clamp(1, STAGE_INLET_BYTES / PERMIT_BYTES);
            let weight = u32::try_from(weight).expect("clamped to the inlet's size");
            let permit = Arc::clone(&self.bytes)
                .acquire_many_owned(weight)
                .await
                .map_err(|_closed| Refused::Stopping)?;
            sender.send((batch, permit)).await.map_err(|_closed| Refused::Stopping)
        })
    }
}
