//! Rejections and retries, with an endpoint that follows a script on a clock that is driven.

mod lanes;
mod rejections;
mod retries;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use model::{Batch, Timestamp};
use queue::Head;

use super::*;
use crate::sending::Queueing;
use crate::{Backoff, Bodies, Fatal, Life, Refused, Sealed};

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    randomization: 0.0,
    multiplier: 2.0,
    max: Duration::from_secs(8),
    max_elapsed: None,
    ..Backoff::HELPER
};

/// What the endpoint makes of a request, after so long.
type Answer = (Duration, Result<(), ExportError>);

/// The endpoint: items are words, a request is words with spaces between them.
#[derive(Clone)]
struct Endpoint {
    answer: Arc<dyn Fn(&str) -> Answer + Send + Sync>,
    /// Requests as they came, with the second in which they came.
    seen: Arc<Mutex<Vec<(u64, String)>>>,
    /// Requests that were taken, in order.
    taken: Arc<Mutex<Vec<String>>>,
    watch: Arc<Mutex<Watch>>,
    began: Instant,
}

/// What is under way at the endpoint.
#[derive(Default)]
struct Watch {
    /// Lanes of the requests.
    lanes: Vec<char>,
    /// The last attempt that ended was one that may work later.
    is_failing: bool,
    /// The most requests at once.
    most: usize,
    /// How often a lane had two requests under way.
    n_doubled_lanes: usize,
    /// How often a request came beside others while the endpoint failed.
    n_crowded_while_failing: usize,
}

impl Watch {
    fn begins(&mut self, lane: char) {
        self.n_crowded_while_failing += usize::from(self.is_failing && !self.lanes.is_empty());
        self.n_doubled_lanes += usize::from(self.lanes.contains(&lane));
        self.lanes.push(lane);
        self.most = self.most.max(self.lanes.len());
    }

    fn ends(&mut self, lane: char, is_failure: bool) {
        let place = self.lanes.iter().position(|other| *other == lane).expect("it began");
        self.lanes.remove(place);
        self.is_failing = is_failure;
    }
}

impl Endpoint {
    fn new(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            seen: Arc::default(),
            taken: Arc::default(),
            watch: Arc::default(),
            began: Instant::now(),
        }
    }

    /// Answers at once.
    fn at_once(answer: impl Fn(&str) -> Result<(), ExportError> + Send + Sync + 'static) -> Self {
        Self::new(move |words| (Duration::ZERO, answer(words)))
    }

    /// Gives these answers one after the other, then takes everything.
    fn script(answers: impl IntoIterator<Item = ExportError>) -> Self {
        let mut answers: Vec<ExportError> = answers.into_iter().collect();
        answers.reverse();
        let answers = Mutex::new(answers);
        Self::at_once(move |_words| answers.lock().unwrap().pop().map_or(Ok(()), Err))
    }

    fn seconds(&self) -> Vec<u64> {
        self.seen.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(_, words)| words.clone()).collect()
    }

    /// Words that were taken, in order.
    fn taken(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().flat_map(|words| words.split(' ').map(str::to_owned)).collect()
    }

    /// Where it is exported to, with one lane.
    fn sender(&self, backoff: Backoff) -> (Sender, Registry) {
        let queue = Queueing { n_consumers: 1, ..Queueing::HELPER };
        let sending = Sending { timeout: None, retry: backoff, queue: Some(queue), ..Sending::in_memory() };
        let registry = Registry::new();
        let id = ComponentId::parse("out").unwrap();
        (Sender::new(&id, Signal::Logs, Box::new(self.clone()), sending, &registry), registry)
    }
}

fn request(words: &[&str]) -> Request {
    sealed(words.join(" "))
}

fn sealed(words: String) -> Request {
    let n_items = words.split(' ').count() as u64;
    let head = Head { signal: Signal::Logs, n_items, oldest: Timestamp(0), newest: Timestamp(0), format: 0 };
    Request { payload: words.into(), head }
}

fn dropped(registry: &Registry, reason: &str) -> Option<f64> {
    let labels = [("exporter", "out"), ("data_type", "logs"), ("reason", reason)];
    registry.value("muster_exporter_dropped_items_total", &labels)
}

fn value(registry: &Registry, name: &str) -> f64 {
    registry.value(name, &[("exporter", "out"), ("data_type", "logs")]).expect("there is such a metric")
}

fn sent(registry: &Registry) -> f64 {
    registry.value("otelcol_exporter_sent_log_records", &[("exporter", "out")]).unwrap()
}

impl AnyExporter for Endpoint {
    fn start<'a>(&'a mut self, _life: &'a Life) -> BoxFuture<'a, Result<(), Fatal>> {
        Box::pin(async { Ok(()) })
    }

    /// The first letter of a word says which lane it belongs to.
    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        let Batch::Logs(frames) = batch else { unreachable!("tests send logs") };
        for word in &frames.resources {
            let body = bodies.of(usize::from(word[0] - b'a'));
            body.bytes.extend_from_slice(word);
            body.bytes.push(b' ');
            body.note(1, Timestamp(0));
        }
        Ok(())
    }

    fn sends(&self) -> bool {
        true
    }

    fn seal(&self, body: &mut Vec<u8>) -> Sealed {
        // Bodies are joined by concatenation, so a space stands behind every word.
        body.truncate(body.trim_ascii_end().len());
        Bytes::from(std::mem::take(body)).into()
    }

    fn send<'a>(&'a self, request: &'a Request, _n_before: u32) -> BoxFuture<'a, Result<(), ExportError>> {
        Box::pin(async move {
            let words = String::from_utf8(request.payload.to_vec()).unwrap();
            self.seen.lock().unwrap().push((self.began.elapsed().as_secs(), words.clone()));
            let lane = words.chars().next().expect("a request has words");
            self.watch.lock().unwrap().begins(lane);
            let (latency, outcome) = (self.answer)(&words);
            tokio::time::sleep(latency).await;
            self.watch.lock().unwrap().ends(lane, matches!(outcome, Err(ExportError::Later { .. })));
            if outcome.is_ok() {
                self.taken.lock().unwrap().push(words);
            }
            outcome
        })
    }

    fn split(&self, request: &Request) -> Result<Option<[Request; 2]>, ExportError> {
        let text = String::from_utf8(request.payload.to_vec()).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let (first, second) = words.split_at(words.len() / 2);
        Ok((!first.is_empty()).then(|| [first, second].map(super::tests::request)))
    }

    fn make_room(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }
}
