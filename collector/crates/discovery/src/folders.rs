//! Hears of changes in folders by inotify, so that nobody has to wait for the next look.
//!
//! It only makes looks come sooner: file systems of networks tell nothing, and where the kernel has no more instances or
//! watches to give, the looks alone do it. A folder that appears or is replaced is listened to from the next look on.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask};

/// Instances of inotify in this process; a user has 128 of them by default, over all processes.
const MAX_INOTIFY_INSTANCES: usize = 16;

/// Changes come in flocks; this long they are gathered.
const GATHER: Duration = Duration::from_millis(100);

/// Room for the events of one read.
const EVENTS_BYTES: usize = 4096;

static N_INSTANCES: AtomicUsize = AtomicUsize::new(0);

/// Files of which a writer said that they are complete: closed, or moved to where they are.
pub(crate) type Complete = BTreeSet<PathBuf>;

/// Listens to folders, or is deaf.
pub(crate) struct Folders {
    instance: Option<Instance>,
    by_watch: HashMap<WatchDescriptor, PathBuf>,
    /// Heard of and not told yet, because nobody waited to the end.
    complete: Complete,
}

/// One of the few instances; counted until it is dropped.
struct Instance {
    events: EventStream<Vec<u8>>,
    _counted: Counted,
}

struct Counted;

impl Counted {
    fn one_more() -> Result<Self, String> {
        let is_free = |n| (n < MAX_INOTIFY_INSTANCES).then_some(n + 1);
        match N_INSTANCES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_free) {
            Ok(_) => Ok(Self),
            Err(_) => Err(format!("there are max_inotify_instances ({MAX_INOTIFY_INSTANCES}) already")),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        N_INSTANCES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Instance {
    fn open() -> Result<Self, String> {
        let counted = Counted::one_more()?;
        let inotify = Inotify::init().map_err(|error| error.to_string())?;
        let events = inotify.into_event_stream(vec![0; EVENTS_BYTES]).map_err(|error| error.to_string())?;
        Ok(Self { events, _counted: counted })
    }

    /// Waits for an event; for ever where none can be read any more.
    async fn next(&mut self) -> EventOwned {
        match self.events.next().await {
            Some(Ok(event)) => event,
            _ => std::future::pending().await,
        }
    }
}

impl Folders {
    /// Listens to no folder yet. To be called on a runtime.
    pub(crate) fn new() -> Self {
        let instance = Instance::open()
            .inspect_err(|error| tracing::debug!(error, "changes of files are only seen by looking at them"))
            .ok();
        Self { instance, by_watch: HashMap::new(), complete: Complete::new() }
    }

    /// Listens to these folders and no others.
    pub(crate) fn listen(&mut self, folders: &BTreeSet<PathBuf>) {
        let Some(instance) = &self.instance else { return };
        let wanted = WatchMask::CLOSE_WRITE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let mut watches = instance.events.watches();
        // A folder that is watched already keeps its watch; another one in its place gets a new one.
        let mut watch = |folder: &PathBuf| Some((watches.add(folder, wanted).ok()?, folder.clone()));
        let by_watch: HashMap<_, _> = folders.iter().filter_map(&mut watch).collect();
        for old in self.by_watch.keys().filter(|old| !by_watch.contains_key(old)) {
            // The kernel may have removed it together with the folder.
            let _gone = watches.remove(old.clone());
        }
        self.by_watch = by_watch;
    }

    /// Waits for a change and a little longer, and says which files are complete now. Never ends where nothing is heard;
    /// may be given up at any time.
    pub(crate) async fn heard(&mut self) -> Complete {
        let Some(instance) = &mut self.instance else { return std::future::pending().await };
        let mut event = instance.next().await;
        let end = tokio::time::sleep(GATHER);
        tokio::pin!(end);
        loop {
            let is_complete = event.mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO);
            if let (true, Some(folder), Some(name)) = (is_complete, self.by_watch.get(&event.wd), event.name)
            {
                self.complete.insert(folder.join(name));
            }
            tokio::select! {
                next = instance.next() => event = next,
                () = &mut end => return std::mem::take(&mut self.complete),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    async fn heard(folders: &mut Folders) -> Vec<String> {
        let complete =
            tokio::time::timeout(Duration::from_secs(10), folders.heard()).await.expect("nothing was heard");
        complete.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn listening(dir: &TempDir) -> Folders {
        let mut folders = Folders::new();
        folders.listen(&BTreeSet::from([dir.path().to_owned(), dir.path().join("missing")]));
        folders
    }

    #[tokio::test]
    async fn files_that_were_closed_or_moved_in_are_complete() {
        let dir = TempDir::new().unwrap();
        let mut folders = listening(&dir);
        fs::write(dir.path().join("a.yaml"), "x").unwrap();
        assert_eq!(heard(&mut folders).await, ["a.yaml"]);
        fs::rename(dir.path().join("a.yaml"), dir.path().join("b.yaml")).unwrap();
        assert_eq!(heard(&mut folders).await, ["b.yaml"]);
        fs::remove_file(dir.path().join("b.yaml")).unwrap();
        assert_eq!(heard(&mut folders).await, [""; 0]);
    }

    #[tokio::test]
    async fn an_open_file_is_not_complete() {
        let dir = TempDir::new().unwrap();
        let mut folders = listening(&dir);
        let file = fs::File::create(dir.path().join("a.yaml")).unwrap();
        assert_eq!(heard(&mut folders).await, [""; 0]);
        drop(file);
        assert_eq!(heard(&mut folders).await, ["a.yaml"]);
    }

    #[tokio::test]
    async fn a_folder_that_is_replaced_is_listened_to_anew() {
        let dir = TempDir::new().unwrap();
        let sub = dir.path().join("sub");
        let wanted = BTreeSet::from([sub.clone()]);
        let mut folders = Folders::new();
        folders.listen(&wanted);
        assert!(folders.by_watch.is_empty());
        for _ in 0..2 {
            fs::create_dir(&sub).unwrap();
            folders.listen(&wanted);
            fs::write(sub.join("a.yaml"), "x").unwrap();
            assert_eq!(heard(&mut folders).await, ["a.yaml"]);
            fs::remove_dir_all(&sub).unwrap();
            heard(&mut folders).await;
            folders.listen(&wanted);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_instance_nothing_is_heard() {
        let mut deaf = Folders { instance: None, by_watch: HashMap::new(), complete: Complete::new() };
        deaf.listen(&BTreeSet::from([PathBuf::from("/")]));
        assert!(tokio::time::timeout(Duration::from_secs(3600), deaf.heard()).await.is_err());
    }
}
