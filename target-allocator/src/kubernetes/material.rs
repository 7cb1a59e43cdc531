//! Secrets and ConfigMaps that monitors refer to.
//!
//! Each is read by name when it is referred to for the first time, and again every [`REREAD`]: that needs the right to get
//! them and no other, in whichever namespaces monitors are. Where Secrets are watched as well (`secret_namespaces`), one that was
//! written is read at once. (Upstream notices changes only there.) What was read stays while the API server is away or refuses;
//! only its word that an object does not exist takes it away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::{Cluster, ConfigMap, Failure, Kind, Reason};
use config::Secret;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::monitors::{Answer, EntryRef, Holder, Material, ObjectRef};

/// How often objects are read again.
pub const REREAD: Duration = Duration::from_secs(10);

/// Most reads in a second. With more objects than this times ten, reading all of them takes longer than [`REREAD`].
const READS_A_SECOND: u32 = 100;

/// What was read of an object.
#[derive(Clone, PartialEq, Eq)]
enum Read {
    /// Its entries; `None` where one is not UTF-8.
    Entries(BTreeMap<Arc<str>, Option<Secret>>),
    Missing,
    Unreadable(String),
}

/// Objects as they were read last.
#[derive(Default)]
pub(super) struct Store {
    objects: Mutex<BTreeMap<ObjectRef, Read>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("objects", &self.lock().len()).finish()
    }
}

impl Store {
    /// Forgets what nobody refers to any more, and reads what is new. Whether anything was read.
    pub(super) async fn take_up(&self, cluster: &Cluster, wanted: &BTreeSet<ObjectRef>) -> bool {
        let missing: Vec<ObjectRef> = {
            let mut objects = self.lock();
            objects.retain(|object, _| wanted.contains(object));
            wanted.iter().filter(|object| !objects.contains_key(*object)).cloned().collect()
        };
        self.read(cluster, &missing).await
    }

    /// Reads everything again.
    pub(super) async fn reread_all(&self, cluster: &Cluster) {
        let known: Vec<ObjectRef> = self.lock().keys().cloned().collect();
        self.read(cluster, &known).await;
    }

    /// Reads those of these again that somebody refers to.
    pub(super) async fn reread(&self, cluster: &Cluster, written: &BTreeSet<ObjectRef>) {
        let known: Vec<ObjectRef> =
            self.lock().keys().filter(|object| written.contains(object)).cloned().collect();
        self.read(cluster, &known).await;
    }

    async fn read(&self, cluster: &Cluster, objects: &[ObjectRef]) -> bool {
        let mut is_new = false;
        let began = Instant::now();
        for (index, object) in (0..).zip(objects) {
            let answer = read(cluster, object).await;
            if answer.as_ref().is_err_and(|failure| failure.reason == Reason::Unreachable) {
                // The others would not be answered either, each after a long wait.
                break;
            }
            is_new |= self.take(object, answer);
            sleep_until(began + Duration::from_secs(1) * index / READS_A_SECOND).await;
        }
        is_new
    }

    /// Takes over an answer. Whether it says something new.
    fn take(&self, object: &ObjectRef, answer: Result<Read, Failure>) -> bool {
        let mut known = self.lock();
        let read = match (answer, known.get(object)) {
            (Ok(read), _) => read,
            (Err(failure), None | Some(Read::Unreadable(_))) => Read::Unreadable(failure.message),
            // What was read is better than nothing, whatever is wrong now.
            (Err(_), Some(_)) => return false,
        };
        let is_new = known.get(object) != Some(&read);
        known.insert(object.clone(), read);
        is_new
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Read>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(cluster: &Cluster, object: &ObjectRef) -> Result<Read, Failure> {
    let kind = match object.holder {
        Holder::Secret => Kind::SECRET,
        Holder::ConfigMap => Kind::CONFIG_MAP,
    };
    match cluster.get(kind, Some(&object.namespace), &object.name).await {
        Ok(Some(value)) => Ok(entries(object.holder, value)),
        Ok(None) => Ok(Read::Missing),
        Err(failure) if failure.reason == Reason::NotFound => Ok(Read::Missing),
        Err(failure) => Err(failure),
    }
}

fn entries(holder: Holder, value: Value) -> Read {
    let entries = match holder {
        Holder::Secret => serde_json::from_value::<cluster::Secret>(value).map(|secret| secret.data),
        Holder::ConfigMap => serde_json::from_value::<ConfigMap>(value).map(|map| {
            let entry = |(key, text): (Arc<str>, Arc<str>)| (key, Some(Secret::new(&*text)));
            map.data.into_iter().map(entry).collect()
        }),
    };
    // What serde says could quote a value.
    entries.map_or_else(
        |_| Read::Unreadable("the answer is not what the API promises".to_owned()),
        Read::Entries,
    )
}

impl Material for Store {
    fn answer(&self, entry: &EntryRef) -> Answer {
        match self.lock().get(&entry.object) {
            None => Answer::NotReadYet,
            Some(Read::Missing) => Answer::NoObject,
            Some(Read::Unreadable(why)) => Answer::Unreadable(why.clone()),
            Some(Read::Entries(entries)) => match entries.get(&*entry.key) {
                None => Answer::NoKey,
                Some(None) => Answer::NotText,
                Some(Some(secret)) => Answer::Value(secret.clone()),
            },
        }
    }
}
