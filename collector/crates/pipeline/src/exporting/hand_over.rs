//! A reload in which the queue's directory goes from one exporter to its successor.
//!
//! The old exporter stops sending, saves everything and unlocks the directory; batches wait at its door until the successor
//! has opened it, and go to the successor from then on. What was being sent is given a moment to end, so that it is not
//! sent twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedRwLockWriteGuard;
use tokio::task::JoinSet;

use super::Exporting;

/// Longest time that requests under way are given to end.
const IN_FLIGHT_DEADLINE: Duration = Duration::from_secs(2);

/// The door of an exporter that gave up its directory. Nothing passes until it leads somewhere or is dropped.
pub(crate) struct Door(OwnedRwLockWriteGuard<Option<Arc<Exporting>>>);

impl Door {
    /// Lets batches through to the successor.
    pub(crate) fn lead_to(mut self, successor: &Arc<Exporting>) {
        *self.0 = Some(Arc::clone(successor));
    }
}

impl Exporting {
    /// Leaves everything on disk and unlocks the directory.
    pub(crate) async fn give_up_directory(&self) -> Door {
        let door = Door(Arc::clone(&self.successor).write_owned().await);
        if let Some(waiting) = &self.waiting {
            self.flush(waiting).await;
            waiting.queue.save_all().await;
            waiting.queue.stop_giving();
            let mut consumers = {
                let mut consumers = self.consumers.lock().expect("no code panics while it holds this lock");
                std::mem::replace(&mut *consumers, JoinSet::new())
            };
            let all = async { while consumers.join_next().await.is_some() {} };
            // What does not end is ended, and sent again by the successor.
            let _ended = tokio::time::timeout(IN_FLIGHT_DEADLINE, all).await;
            consumers.shutdown().await;
        }
        self.stop(IN_FLIGHT_DEADLINE).await;
        door
    }
}
