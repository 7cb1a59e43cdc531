//! `prometheusremotewrite`: samples to a Prometheus by remote write 2.0, or 1.0 where the receiver knows no other.
//!
//! As contrib `exporter/prometheusremotewriteexporter`, with these differences on purpose: without `protobuf_message`, 2.0 is tried
//! and 1.0 is sent from then on if the receiver does not know it (415, 400 or 406 to the first request, or success
//! without a word on what was written); a scrape is written straight from its series table, without a detour through
//! OTLP; `randomization_factor` is 0.1, so that no wait is much shorter than the one before; requests of one series are sent in order, one at
//! a time; `Retry-After` is obeyed and 429 is retried (upstream does neither unless told to); nothing is given up while the queue can
//! hold it (upstream: after five minutes), with waits of up to 5 s as in Prometheus; one bad sample does not cost its request; samples follow no
//! redirect to another host, nor one that turns a POST into a GET; items wait up to a second for others, so that small targets share a
//! request. Native
//! histograms are sent from scrapes and from OTLP alike.
//!
//! ```yaml
//! prometheusremotewrite:
//!   endpoint: http://prometheus:9090/api/v1/write
//!   external_labels:
//!     cluster: home
//! ```
//!
//! Who comes from Prometheus may paste an entry of its `remote_write`:
//!
//! ```yaml
//! prometheusremotewrite:
//!   remote_write:
//!     url: http://prometheus:9090/api/v1/write
//!     write_relabel_configs:
//!       - {action: drop, source_labels: [__name__], regex: go_.*}
//! ```

mod encode;
mod entry;
mod metrics;
mod negotiation;
mod relabeling;
mod response;
mod seal;
mod settings;
mod split;
mod vm_protocol;
mod written;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use config::Problem;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use model::{Batch, Frames, Metrics as Points, Scrape, Signals};
use net::{Client, Response};
use pipeline::{
    Backoff, Bodies, Component, ExportError, Exporter, Fatal, Joining, Life, Queueing, Refused, Request,
    Sealed, Sending, SendingConfig, SendingDefaults, Site, Sizer,
};
use telemetry::{RateLimited, Registry};
use tracing::warn;
use translate::{HistogramOptions, Report, ResourceLabels, ToSeries};
use wire::remote_write::v2::{Counts, ToV1};
use wire::remote_write::{self, Protocol};

use encode::{Buffers, How, Selection, ToShard, Writer};
use entry::Entry;
use metrics::Metrics;
use negotiation::{Finding, Negotiation};
use relabel::Rules;
use relabeling::Relabeling;
use seal::{Format, Sealer};
use settings::Config;
use vm_protocol::VmProtocol;

/// Answers are short; what is longer is not read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Why a request is given up when nothing but 2.0 may be sent.
const IGNORED: &str = "the receiver knows no remote write 2.0: it answered with success and did not say what it has written; \
                       take protobuf_message away so that 1.0 may be sent";

/// How often the same thing is said in the log.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Items from which a request is sent without waiting for more.
const MIN_SAMPLES_PER_REQUEST: usize = 2000;

/// Longest time that a sample waits for others.
const JOINING_DEADLINE: Duration = Duration::from_secs(5);

/// Nothing is given up as long as the queue can hold it. The jitter is small, so that waits never shrink by more than a fifth.
const RETRY: Backoff = Backoff {
    initial: Duration::from_millis(50),
    randomization: 0.1,
    multiplier: 2.0,
    max: Duration::from_secs(5),
    max_elapsed: None,
    ..Backoff::HELPER
};

/// The running exporter.
#[derive(Debug)]
pub struct PrometheusRemoteWrite {
    endpoint: String,
    /// The same, read once for all requests.
    destination: net::Destination,
    client: Client,
    negotiation: Negotiation,
    vm_protocol: VmProtocol,
    to_series: ToSeries,
    /// For receivers that know only 1.0.
    to_series_of_v1: ToSeries,
    selection: Selection,
    send_metadata: bool,
    max_batch_bytes: usize,
    /// Requests whose newest sample is older are not sent.
    age_limit: Option<Duration>,
    buffers: Mutex<Vec<Buffers>>,
    sealer: Sealer,
    metrics: Metrics,
    drops: RateLimited,
    unwritten: RateLimited,
}

impl Component for PrometheusRemoteWrite {
    const TYPE: &'static str = "prometheusremotewrite";
    const ALIASES: &'static [&'static str] = &["prometheus_remote_write"];
    const SIGNALS: Signals = Signals::METRICS;
    type Config = Config;

    fn build(config: Config, site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = settings::refused(&config);
        let client = client(&config, site).map_err(|problem| problems.push(problem));
        let rules = match config.remote_write.as_ref().map(Entry::rules) {
            None => Rules::default(),
            Some(Ok(rules)) => rules,
            Some(Err(wrong)) => {
                problems.extend(wrong);
                Rules::default()
            }
        };
        let escape_names = !config.strategy().escapes();
        match (client, config.url()) {
            (Ok(client), Some(url)) if problems.is_empty() => Ok(Self {
                endpoint: url.as_str().to_owned(),
                destination: url.as_str().into(),
                client,
                negotiation: Negotiation::new(config.message()),
                vm_protocol: VmProtocol::new(config.vm_protocol),
                to_series_of_v1: ToSeries { strategy: config.strategy_of_v1(), ..to_series(&config) },
                to_series: to_series(&config),
                selection: Selection {
                    relabeling: (!rules.is_empty()).then(|| Relabeling::new(rules)),
                    sends_exemplars: config.remote_write.as_ref().is_none_or(|entry| entry.send_exemplars),
                    sends_histograms: config
                        .remote_write
                        .as_ref()
                        .is_none_or(|entry| entry.send_native_histograms),
                },
                send_metadata: config.sends_metadata(),
                max_batch_bytes: config.max_batch_size_bytes.max(1),
                age_limit: config.remote_write.as_ref().and_then(Entry::age_limit),
                buffers: Mutex::default(),
                sealer: Sealer::new(ToV1 { metadata: config.sends_metadata(), escape_names }),
                metrics: Metrics::new(&Registry::new(), ""),
                drops: RateLimited::every(LOG_EVERY),
                unwritten: RateLimited::every(LOG_EVERY),
            }),
            _ => Err(problems),
        }
    }

    fn warnings(config: &Config) -> Vec<Problem> {
        settings::warnings(config)
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        self.metrics = Metrics::new(life.telemetry(), &life.id().to_string());
        self.metrics.speaks(self.negotiation.spoken());
        Ok(())
    }
}

/// By the keys of the entry where there is one, else by those of `confighttp`.
fn client(config: &Config, site: &Site) -> Result<Client, Problem> {
    let built = match &config.remote_write {
        Some(entry) => Client::build(&entry.client(), &site.base_dir),
        None => Client::build_http(&config.client),
    };
    built.map_err(|error| {
        let key = error.key.replace('.', "::");
        let path = if config.remote_write.is_some() { format!("remote_write::{key}") } else { key };
        Problem::at(path, telemetry::error_chain(&error))
    })
}

fn to_series(config: &Config) -> ToSeries {
    ToSeries {
        namespace: config.namespace.clone(),
        strategy: config.strategy(),
        resource_to_telemetry: config.resource_to_telemetry_conversion.enabled,
        exclude_service_attributes: config.resource_to_telemetry_conversion.exclude_service_attributes,
        target_info: config.target_info.enabled,
        scope_info: !config.disable_scope_info,
        external_labels: config.external_labels.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        resource_labels: ResourceLabels {
            included: config.resource_constant_labels.included.clone(),
            excluded: config.resource_constant_labels.excluded.clone(),
        },
        histograms: HistogramOptions {
            native: true,
            explicit_to_custom: config.convert_explicit_histograms_to_nhcb,
            keep_classic: config.keep_classic_histograms,
        },
    }
}

impl Exporter for PrometheusRemoteWrite {
    const DEFAULTS: SendingDefaults = SendingDefaults {
        timeout: Some(Duration::from_secs(5)),
        retry: RETRY,
        queue: Some(Queueing {
            n_shards: 5,
            n_consumers: 1,
            min_requests: 1,
            capacity: 10_000,
            sizer: Sizer::Requests,
            block_on_overflow: false,
            joining: Some(Joining {
                deadline: JOINING_DEADLINE,
                min_items: MIN_SAMPLES_PER_REQUEST,
                min_bytes: 3_000_000,
            }),
        }),
        uses_data_dir: true,
    };

    fn sending(config: &Config, common: &SendingConfig) -> Sending {
        let mut sending = Sending::new(common, &Self::DEFAULTS);
        let own = &config.remote_write_queue;
        if common.sending_queue.is_none() && !own.enabled {
            sending.queue = None;
        }
        let asked_for = common.sending_queue.as_ref();
        if let Some(queue) = &mut sending.queue {
            // Consumers are shards here: each sends its series in order, one request at a time.
            queue.n_shards =
                asked_for.and_then(|queue| queue.num_consumers).unwrap_or(own.num_consumers).max(1);
            queue.n_consumers = 1;
            queue.capacity = asked_for.and_then(|queue| queue.queue_size).unwrap_or(own.queue_size).max(1);
            if let Some(joining) = &mut queue.joining {
                joining.min_bytes = joining.min_bytes.min(config.max_batch_size_bytes);
            }
        }
        if let Some(entry) = &config.remote_write {
            sending.timeout =
                common.timeout.map_or(Some(entry.remote_timeout.as_duration()), |limit| limit.as_duration());
            sending.retry = entry.backoff(Self::DEFAULTS.retry, &common.retry_on_failure);
            if asked_for.is_none() {
                sending.queue.iter_mut().for_each(|queue| entry.shape(queue));
            }
        }
        if sending.queue.is_none() && common.retry_on_failure.max_elapsed_time.is_none() {
            // Somebody waits for the outcome.
            sending.retry.max_elapsed = Backoff::HELPER.max_elapsed;
        }
        sending
    }

    fn encode(&self, batch: &Batch, bodies: &mut Bodies) -> Result<(), Refused> {
        let Batch::Metrics(metrics) = batch else {
            return Err(Refused::Never { reason: "only metrics".to_owned() });
        };
        let free = || self.buffers.lock().expect("no code panics while it holds this lock");
        let mut buffers = free().pop().unwrap_or_default();
        let report = match metrics {
            Points::Scrape(scrape) => self.encode_scrape(scrape, &mut buffers, bodies),
            Points::Otlp(frames) => self.encode_otlp(frames, &mut buffers, bodies),
        };
        free().push(buffers);
        self.tell(&report);
        bodies.drop_items(report.n_dropped() as u64);
        Ok(())
    }

    fn seal(&self, body: &mut Vec<u8>) -> Sealed {
        self.sealer.seal(body)
    }

    fn split(&self, request: &Request) -> Result<Option<[Request; 2]>, ExportError> {
        let protocol = Format::of(request.head.format).protocol;
        split::split(request, protocol).map_err(|error| ExportError::never("unreadable", error))
    }

    async fn send(&self, request: &Request, n_before: u32) -> Result<(), ExportError> {
        self.check_age(request)?;
        let sealed_as = Format::of(request.head.format).protocol;
        if sealed_as == Protocol::V1 {
            let answer = self.post_v1(request.payload.clone(), n_before).await?;
            return judge(&answer, request, Protocol::V1);
        }
        if self.negotiation.spoken() == Protocol::V1 {
            return judge(&self.post_as_v1(request, n_before).await?, request, Protocol::V1);
        }
        let answer = self.post(Protocol::V2, request.payload.clone(), n_before).await?;
        let written = written::read(&answer.headers);
        match self.negotiation.answered(answer.status, written.is_some()) {
            Finding::Known => {
                if let Some(written) = written {
                    self.compare(request, written, &answer);
                }
                judge(&answer, request, Protocol::V2)
            }
            Finding::Unknown(why) => {
                self.settle_on_v1(why);
                judge(&self.post_as_v1(request, n_before).await?, request, Protocol::V1)
            }
            Finding::Unclear => {
                let as_v1 = self.post_as_v1(request, n_before).await?;
                match as_v1.status {
                    200..300 => self.settle_on_v1("it was rejected, and taken as 1.0"),
                    // It may still be the protocol, beside something bad in the data: the next request will tell.
                    400..500 if as_v1.status != 429 => return judge(&answer, request, Protocol::V2),
                    _ => {}
                }
                judge(&as_v1, request, Protocol::V1)
            }
            Finding::Ignored => Err(ExportError::never("protocol", IGNORED)),
        }
    }
}

/// What an answer means for a request whose protocol the receiver knows.
fn judge(answer: &Response, request: &Request, protocol: Protocol) -> Result<(), ExportError> {
    let sent = response::Sent { n_items: request.head.n_items, is_v2: protocol == Protocol::V2 };
    response::judge(answer, sent, SystemTime::now())
}

impl PrometheusRemoteWrite {
    /// A whole scrape goes to one shard: its series are written by nobody else, so their order is kept.
    fn encode_scrape(&self, scrape: &Scrape, buffers: &mut Buffers, bodies: &mut Bodies) -> Report {
        let shard = bodies.shard(scrape.target.labels.hash64());
        // The symbols of a table are worth their place where most of its series are written, into one request or few.
        let is_whole = 2 * scrape.points.len() >= scrape.table.len();
        let is_small = 4 * scrape.table.n_text_bytes() <= self.max_batch_bytes;
        let takes_tables = is_whole && is_small && self.selection.relabeling.is_none();
        let how = How { takes_tables, ..self.how() };
        let (mut writer, scratch) = Writer::new(how, &self.selection, bodies, buffers);
        let to_series = self.to_series(how.protocol);
        let report = to_series.scrape_runs(scrape, scratch, &mut ToShard { writer: &mut writer, shard });
        writer.finish();
        report
    }

    fn encode_otlp(&self, frames: &Frames, buffers: &mut Buffers, bodies: &mut Bodies) -> Report {
        let how = self.how();
        let (mut writer, scratch) = Writer::new(how, &self.selection, bodies, buffers);
        let report = self.to_series(how.protocol).otlp(frames, scratch, &mut |series| {
            let mut hasher = DefaultHasher::new();
            series.labels.iter().for_each(|label| label.hash(&mut hasher));
            let shard = writer.bodies.shard(hasher.finish());
            writer.append(shard, &series);
        });
        writer.finish();
        report
    }

    fn check_age(&self, request: &Request) -> Result<(), ExportError> {
        let Some(limit) = self.age_limit else { return Ok(()) };
        let since_epoch = Duration::from_millis(request.head.newest.millis().max(0) as u64);
        let age = SystemTime::UNIX_EPOCH.checked_add(since_epoch).and_then(|newest| newest.elapsed().ok());
        match age.filter(|age| *age > limit) {
            None => Ok(()),
            Some(age) => Err(ExportError::never(
                "too_old",
                format!("the newest sample is {age:.0?} old, more than sample_age_limit ({limit:?})"),
            )),
        }
    }

    fn how(&self) -> How {
        How {
            protocol: self.negotiation.spoken(),
            send_metadata: self.send_metadata,
            max_bytes: self.max_batch_bytes,
            takes_tables: false,
        }
    }

    fn to_series(&self, protocol: Protocol) -> &ToSeries {
        match protocol {
            Protocol::V1 => &self.to_series_of_v1,
            Protocol::V2 => &self.to_series,
        }
    }

    /// Sends a request that was sealed as 2.0 as one of 1.0.
    async fn post_as_v1(&self, request: &Request, n_before: u32) -> Result<Response, ExportError> {
        let payload =
            self.sealer.rewrite(&request.payload).map_err(|error| ExportError::never("unreadable", error))?;
        self.post_v1(payload, n_before).await
    }

    /// Sends a request of 1.0 in snappy, repacked if the receiver is spoken to in VictoriaMetrics' variant.
    async fn post_v1(&self, payload: Bytes, n_before: u32) -> Result<Response, ExportError> {
        if self.vm_protocol.is_spoken() {
            let repacked =
                self.sealer.repack(&payload).map_err(|error| ExportError::never("unreadable", error))?;
            let mut request = self.request(Protocol::V1, repacked, n_before);
            VmProtocol::set_headers(request.headers_mut());
            let answer = self.client.send(request).await.map_err(ExportError::later)?;
            if !self.vm_protocol.is_unknown(answer.status) {
                return Ok(answer);
            }
            warn!(
                endpoint = self.endpoint,
                "The receiver does not know VictoriaMetrics' protocol (status {}): it is sent snappy from now on.",
                answer.status
            );
        }
        self.post(Protocol::V1, payload, n_before).await
    }

    async fn post(&self, protocol: Protocol, payload: Bytes, n_before: u32) -> Result<Response, ExportError> {
        self.client.send(self.request(protocol, payload, n_before)).await.map_err(ExportError::later)
    }

    fn request(&self, protocol: Protocol, payload: Bytes, n_before: u32) -> net::Request {
        let request = net::Request::post(self.destination.clone(), payload, Duration::ZERO, MAX_ANSWER_BYTES);
        let mut request = net::Request { timeout: None, keeps_to_host: true, cuts_answer: true, ..request };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(protocol.content_type()));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(remote_write::CONTENT_ENCODING));
        headers.insert(
            HeaderName::from_static("x-prometheus-remote-write-version"),
            HeaderValue::from_static(protocol.version()),
        );
        if n_before > 0 {
            headers.insert(HeaderName::from_static("retry-attempt"), HeaderValue::from(n_before));
        }
        request
    }

    fn settle_on_v1(&self, why: &str) {
        if !self.negotiation.settle_on_v1() {
            return;
        }
        self.metrics.speaks(Protocol::V1);
        let names = if self.to_series.strategy.escapes() {
            ""
        } else {
            "; names get underscores for what 1.0 does not take"
        };
        warn!(
            endpoint = self.endpoint,
            "The receiver does not know remote write 2.0 ({why}): it is sent 1.0 from now on{names}."
        );
    }

    /// Counts what the receiver has not written of what it was sent. Samples and histograms are told with the outcome of
    /// the request; exemplars are no items of it, so they are told here.
    fn compare(&self, request: &Request, written: Counts, answer: &Response) {
        let is_whole = written.samples + written.histograms >= request.head.n_items;
        if is_whole && !Format::of(request.head.format).has_exemplars {
            return;
        }
        let Ok(sent) = seal::count(&request.payload) else { return };
        let missing = written::missing(sent, written);
        self.metrics.unwritten(missing);
        if is_whole
            && missing.exemplars > 0
            && let Some(n_suppressed) = self.unwritten.pass()
        {
            warn!(
                endpoint = self.endpoint,
                exemplars = missing.exemplars,
                status = answer.status,
                suppressed = n_suppressed,
                "The receiver has not written all exemplars: {}",
                response::shown(answer)
            );
        }
    }

    fn tell(&self, report: &Report) {
        if report.dropped.is_empty() {
            return;
        }
        if let Some(n_suppressed) = self.drops.pass() {
            for dropped in &report.dropped {
                warn!(endpoint = self.endpoint, suppressed = n_suppressed, "{dropped}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
