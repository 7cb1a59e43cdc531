//! Jobs of one monitor on their way: what is asked for, what is wrong, and what comes of it.

use std::path::Path;
use std::sync::Arc;

use config::{ByteSize, Node, Period, Problem, Timeout, read_lenient_with};
use schemars::JsonSchema;
use scrape::{Job, Scheme, ScrapeConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::class::ScrapeClass;
use super::crd::{Common, Relabeling};
use super::field::Origin;
use super::generator::MAX_JOB_BYTES;
use super::material::{Answer, EntryRef, Material};
use super::rules::{self, RuleList};
use super::{Monitor, MonitorKey, Policy};
use crate::jobs::JobSpec;

/// What one monitor became.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// Its jobs; none where something is wrong, or not known yet.
    pub(super) jobs: Vec<Arc<JobSpec>>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What works, perhaps not as it was meant.
    pub(super) warnings: Vec<Problem>,
    /// What was asked for, with the answers.
    pub(super) answers: Vec<(EntryRef, Answer)>,
    /// It was made under other settings.
    pub(super) is_stale: bool,
}

/// Jobs of one monitor on their way. Paths of problems are those of the monitor: `spec::endpoints::0::port`.
pub(super) struct Draft<'a> {
    pub(super) policy: &'a Policy,
    pub(super) monitor: &'a MonitorKey,
    material: &'a dyn Material,
    made: Made,
    n_bytes: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(policy: &'a Policy, monitor: &'a Monitor, material: &'a dyn Material) -> Self {
        Self { policy, monitor: &monitor.key, material, made: Made::default(), n_bytes: 0 }
    }

    /// What came of it. Without jobs where something is wrong.
    pub(super) fn finish(mut self) -> Made {
        if !self.made.problems.is_empty() || self.is_waiting() {
            self.made.jobs.clear();
        }
        self.made
    }

    /// Something is wrong with a field.
    pub(super) fn refuse(&mut self, problem: Problem) {
        self.made.problems.push(problem);
    }

    /// Something works, perhaps not as it was meant.
    pub(super) fn warn(&mut self, problem: Problem) {
        self.made.warnings.push(problem);
    }

    /// Takes over what was told about a part, under its path.
    pub(super) fn refuse_all(&mut self, path: &str, problems: impl IntoIterator<Item = Problem>) {
        self.made.problems.extend(problems.into_iter().map(|problem| problem.under(path)));
    }

    /// Reads a part of the specification. Unknown fields are warnings.
    pub(super) fn read<T: DeserializeOwned + JsonSchema>(
        &mut self,
        part: &Node,
        path: &str,
        schema: &Value,
    ) -> Option<T> {
        match read_lenient_with(part, path, schema) {
            Ok((value, warnings)) => {
                self.made.warnings.extend(warnings);
                Some(value)
            }
            Err(problems) => {
                self.made.problems.extend(problems);
                None
            }
        }
    }

    /// Asks for an entry, and remembers that it was asked for.
    pub(super) fn ask(&mut self, entry: EntryRef) -> Answer {
        let answer = self.material.answer(&entry);
        self.made.answers.push((entry, answer.clone()));
        answer
    }

    fn is_waiting(&self) -> bool {
        self.made.answers.iter().any(|(_, answer)| *answer == Answer::NotReadYet)
    }

    /// The class of the monitor; nothing also where the named one does not exist, which is told.
    pub(super) fn class(&mut self, name: &str) -> Option<&'a ScrapeClass> {
        match self.policy.class(name) {
            Ok(class) => class,
            Err(problem) => {
                self.refuse(problem.under("spec"));
                None
            }
        }
    }

    /// A span of time; nothing for empty text and zero.
    pub(super) fn period(&mut self, path: &str, text: &str) -> Option<Period> {
        if text.is_empty() {
            return None;
        }
        match text.parse::<Timeout>() {
            Ok(span) => span.as_duration().and_then(Period::new),
            Err(message) => {
                self.refuse(Problem::at(path, message));
                None
            }
        }
    }

    /// A number of bytes; nothing for empty text.
    pub(super) fn size(&mut self, path: &str, text: &str) -> Option<ByteSize> {
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(size) => Some(size),
            Err(message) => {
                self.refuse(Problem::at(path, message));
                None
            }
        }
    }

    /// How targets are spoken to, in any case; `http` for empty text.
    pub(super) fn scheme(&mut self, path: &str, text: &str) -> Scheme {
        match text.to_ascii_lowercase().as_str() {
            "" | "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => {
                let problem = Problem::at(path, format!("`{text}` is no scheme"));
                self.refuse(problem.with_hint("use http or https"));
                Scheme::Http
            }
        }
    }

    /// Whether timestamps count: what the monitor says, unless the administrator says that they do not.
    pub(super) fn honors_timestamps(&self, own: Option<bool>) -> bool {
        own.unwrap_or(true) && !self.policy.config().override_honor_timestamps
    }

    /// Whether labels of samples win: what the monitor says, unless the administrator says that they do not.
    pub(super) fn honors_labels(&self, own: bool) -> bool {
        own && !self.policy.config().override_honor_labels
    }

    /// Sets what every kind can say.
    pub(super) fn common(
        &mut self,
        config: &mut ScrapeConfig,
        common: &Common,
        class: Option<&ScrapeClass>,
        body_size: Option<ByteSize>,
    ) {
        config.limits = self.policy.limits(common, body_size);
        let protocols = &common.scrape_protocols;
        config.scrape_protocols = (!protocols.is_empty()).then(|| protocols.clone());
        let of_class = class.and_then(|class| class.fallback_scrape_protocol);
        config.fallback_scrape_protocol = common.fallback_scrape_protocol.or(of_class);
        config.switches.scrape_native_histograms = common.scrape_native_histograms;
        config.switches.always_scrape_classic_histograms = common.scrape_classic_histograms;
        config.switches.convert_classic_histograms_to_nhcb = common.convert_classic_histograms_to_nhcb;
        config.native_histogram_bucket_limit = common.native_histogram_bucket_limit;
        let factor = common.native_histogram_min_bucket_factor.as_ref();
        config.native_histogram_min_bucket_factor =
            factor.map_or(Some(0.0), super::crd::Quantity::as_f64).unwrap_or_else(|| {
                let path = "spec::nativeHistogramMinBucketFactor";
                self.refuse(Problem::at(path, "not a number").with_hint("write for example \"1.1\""));
                0.0
            });
    }

    /// Adds the rules of the class, those of the monitor under `field`, and the label that is enforced.
    pub(super) fn relabel(
        &mut self,
        list: &mut RuleList,
        class: Option<&ScrapeClass>,
        field: &str,
        relabelings: &[Relabeling],
    ) {
        self.class_rules(list, class, false);
        self.own_rules(list, field, relabelings);
    }

    /// The rules over series: those of the class, those of the monitor under `field`, and the label that is enforced.
    pub(super) fn metric_rules(
        &mut self,
        class: Option<&ScrapeClass>,
        field: &str,
        relabelings: &[Relabeling],
    ) -> RuleList {
        let mut list = RuleList::default();
        self.class_rules(&mut list, class, true);
        self.own_rules(&mut list, field, relabelings);
        list
    }

    /// Adds the rules of the class.
    pub(super) fn class_rules(&mut self, list: &mut RuleList, class: Option<&ScrapeClass>, of_series: bool) {
        let Some(class) = class else { return };
        let (key, relabelings) = if of_series {
            ("metricRelabelings", &class.metric_relabelings)
        } else {
            ("relabelings", &class.relabelings)
        };
        let problems = list.extend(&format!("{}::{key}", class.path()), relabelings);
        self.made.problems.extend(problems);
    }

    /// Adds the rules of the monitor, and the label that is enforced.
    pub(super) fn own_rules(&mut self, list: &mut RuleList, field: &str, relabelings: &[Relabeling]) {
        let problems = list.extend(field, relabelings);
        self.made.problems.extend(problems);
        if let Some(label) = self.policy.enforced_label(self.monitor) {
            list.push("metadata::namespace", rules::set(label, &self.monitor.namespace));
        }
    }

    /// The name of a job.
    pub(super) fn job_name(&self, index: Option<usize>) -> String {
        let MonitorKey { kind, namespace, name } = self.monitor;
        let index = index.map(|index| format!("/{index}")).unwrap_or_default();
        format!("{}/{namespace}/{name}{index}", kind.job_prefix())
    }

    /// Checks the job as static jobs are checked, and keeps it. `path` is the part of the monitor it was made from.
    pub(super) fn add(
        &mut self,
        path: &str,
        mut config: ScrapeConfig,
        rules: RuleList,
        metric_rules: RuleList,
    ) {
        let fields;
        let metric_fields;
        (config.relabel_configs, fields) = rules.into_parts();
        (config.metric_relabel_configs, metric_fields) = metric_rules.into_parts();
        if !self.made.problems.is_empty() || self.is_waiting() {
            return;
        }
        let origin = Origin { kind: self.monitor.kind, path, rules: &fields, metric_rules: &metric_fields };
        let told = |problem: Problem| Problem { path: origin.field_of(&problem.path), ..problem };
        let of_material = config.client.check_material();
        if !of_material.is_empty() {
            let problem = |(key, message): (String, String)| Problem::at(key.replace('.', "::"), message);
            self.made.problems.extend(of_material.into_iter().map(problem).map(told));
            return;
        }
        match Job::build(&config, self.policy.global(), self.base_dir()) {
            Ok(job) => {
                self.made.warnings.extend(job.warnings().iter().cloned().map(told));
                self.made.warnings.extend(job.config().sd.foreign.warnings().into_iter().map(told));
                self.keep(path, JobSpec::new(Arc::new(job)));
            }
            Err(problems) => self.made.problems.extend(problems.into_iter().map(told)),
        }
    }

    fn keep(&mut self, path: &str, job: JobSpec) {
        self.n_bytes += job.rendered().full.expose().len();
        if self.n_bytes > MAX_JOB_BYTES {
            let message = format!("the jobs of the monitor are larger than MAX_JOB_BYTES, {MAX_JOB_BYTES}");
            self.refuse(Problem::at(path, message).with_hint("split the monitor, or list fewer endpoints"));
            return;
        }
        self.made.jobs.push(Arc::new(job));
    }

    fn base_dir(&self) -> &Path {
        self.policy.base_dir()
    }
}

impl ScrapeClass {
    /// How problems of the class are named.
    pub(super) fn path(&self) -> String {
        format!("scrapeClass `{}`", self.name)
    }
}

/// A value of the API server as a tree. Null is left out: to upstream's types it is the same as nothing.
pub(super) fn node_of(value: &Value) -> Node {
    match value {
        Value::Null => Node::null(),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(node_of).collect::<Vec<_>>().into(),
        Value::Object(entries) => {
            let mut map = Node::map();
            for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                map.insert(key.as_str(), node_of(value));
            }
            map
        }
    }
}
