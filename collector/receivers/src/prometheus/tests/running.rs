//! A receiver that runs against an exporter on loopback.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::Context;
use model::{Batch, Metrics};
use pipeline::{Life, Outlets, Receiver, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::build_at;
use crate::prometheus::own_jobs::OwnJobs;

/// Longest wait of any test; a machine may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Serves one sample without a content type; tells of every request.
pub(super) async fn exporter() -> (String, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            if stream.read(&mut head).await.unwrap_or_default() > 0 {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n";
                // The client may be gone.
                drop(stream.write_all(answer.as_bytes()).await);
                let _is_heard = seen.send(()).is_ok();
            }
        }
    });
    (address, requests)
}

/// Names of jobs whose scrapes came out, in order.
type Seen = Arc<Mutex<Vec<String>>>;

struct Running {
    stop: Stop,
    task: JoinHandle<()>,
    seen: Seen,
}

impl Running {
    fn start(config: &str, base_dir: &Path) -> Self {
        let receiver = build_at(config, base_dir).unwrap();
        let (stop, seen) = (Stop::new(), Seen::default());
        let life = Life::for_test("prometheus", &stop);
        let out = {
            let seen = Arc::clone(&seen);
            Outlets::for_test(&life, move |batch| {
                if let Batch::Metrics(Metrics::Scrape(scrape)) = &batch {
                    let job = scrape.target.labels.value("job").to_owned();
                    seen.lock().unwrap().push(job);
                }
                Ok(())
            })
        };
        let task = tokio::spawn(async move { Box::pin(receiver.run(out, life)).await.unwrap() });
        Self { stop, task, seen }
    }

    async fn stop(self) -> Seen {
        self.stop.raise();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        self.seen
    }
}

#[tokio::test]
async fn the_last_scrape_comes_before_the_receiver_ends() {
    let (address, mut requests) = exporter().await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{{config: {{scrape_configs: [{{job_name: j, scrape_interval: 5s, static_configs: [{{targets: ['{address}']}}]}}]}}, \
         scrape_on_shutdown: true}}"
    );
    let running = Running::start(&config, folder.path());
    tokio::time::timeout(PATIENCE, requests.recv()).await.unwrap().unwrap();
    // The next tick is five seconds away.
    let seen = running.stop().await;
    requests.try_recv().expect("the target was asked once more");
    let seen = seen.lock().unwrap().clone();
    assert!(seen.ends_with(&["j".to_owned()]), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_is_taken_up_without_touching_other_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    let section = "config: {scrape_configs: [{job_name: own}], scrape_config_files: ['*.yaml']}";
    let receiver = build_at(section, folder.path()).unwrap();
    let life = Life::for_test("prometheus", &Stop::new());
    let own = OwnJobs::start(receiver.jobs, receiver.source, Context::new(folder.path()), &life);
    let own_job = Arc::clone(&own.feeds()[0].job);
    let mut changes = own.changes();
    let story = async {
        std::fs::write(&file, "scrape_configs: [{job_name: a}, {job_name: b}]").unwrap();
        changes.changed().await.unwrap();
        assert!(own.has("own") && own.has("a") && own.has("b"));
        let b = Arc::clone(&own.feeds()[2].job);
        // A broken file changes nothing.
        std::fs::write(&file, "scrape_configs: [{job_name: a, colour: red}]").unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(100), changes.changed()).await.is_err());
        assert!(own.has("a") && own.has("b"));
        std::fs::write(&file, "scrape_configs: [{job_name: c}, {job_name: b}]").unwrap();
        changes.changed().await.unwrap();
        assert!(!own.has("a") && own.has("c"));
        assert!(Arc::ptr_eq(&own.feeds()[2].job, &b) && Arc::ptr_eq(&own.feeds()[0].job, &own_job));
        std::fs::remove_file(&file).unwrap();
        changes.changed().await.unwrap();
        assert!(own.has("own") && !own.has("b"));
    };
    tokio::select! {
        () = story => {}
        never = own.look_after(&life) => match never {},
    }
}
