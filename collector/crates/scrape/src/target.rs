//! From what discovery says to what is scraped.
//!
//! As Prometheus `scrape/target.go` (`PopulateLabels`), step by step: the target's labels over its group's,
//! defaults where labels are absent, `relabel_configs`, checks, `instance`. No default port is appended, as
//! since Prometheus 3. The identity of a target is that of the target allocator: xxHash64 over the labels
//! that are left, sorted, and the job; equal on every machine, so it may decide who scrapes what.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::Period;
use model::{Labels, TargetInfo};
use xxhash_rust::xxh64::Xxh64;

use crate::job::{SHORTEST, histogram_switches};
use crate::{Job, Turn};

/// Something to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Labels of its series, and what discovery said of it.
    pub info: Arc<TargetInfo>,
    /// Where it is scraped.
    pub url: Box<str>,
    /// The same, read once for all requests.
    pub destination: net::Destination,
    /// How often.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// Who it is: equal for equal labels in the same job, on every machine.
    pub hash: u64,
    /// When it is ours.
    pub turn: Turn,
    /// The unix socket behind which it is, from the label `__unix_socket__`; the URL is only what it is asked for then.
    pub unix_socket: Option<Arc<Path>>,
    /// Which histograms are wanted of it, by the job or by the hidden labels that switch them for one target.
    pub histograms: exposition::Options,
}

impl Target {
    /// The labels that its series carry.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.info.labels
    }

    /// What it was before relabelling, defaults included.
    #[must_use]
    pub fn discovered(&self) -> &Labels {
        &self.info.discovered
    }

    /// What tells it from all others of its job.
    #[must_use]
    pub fn key(&self) -> TargetKey {
        TargetKey { hash: self.hash, url: self.url.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.url, self.info.labels)
    }
}

/// Identity of a target within its job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// See [`Target::hash`].
    pub hash: u64,
    /// See [`Target::url`].
    pub url: Box<str>,
}

/// Labels of a target before relabelling: its own over its group's, and the job's defaults where there are
/// none.
#[must_use]
pub fn discovered_labels(job: &Job, group: &Labels, target: &Labels) -> Labels {
    Labels::layered(&[job.defaults(), group, target])
}

/// Makes a target of what discovery found. `None` when the rules drop it.
///
/// # Errors
/// When what is left cannot be scraped; the text says why.
pub fn assemble(job: &Job, group: &Labels, target: &Labels) -> Result<Option<Target>, String> {
    let discovered = discovered_labels(job, group, target);
    let mut labels = discovered.clone();
    if !job.rules().apply(&mut labels) {
        return Ok(None);
    }
    let address = labels.value("__address__").to_owned();
    if address.is_empty() {
        return Err("the target has no address".to_owned());
    }
    if address.contains('/') {
        return Err(format!("the address `{address}` is not a host with a port"));
    }
    let interval = duration(&labels, "__scrape_interval__")?;
    let timeout = duration(&labels, "__scrape_timeout__")?;
    if timeout > interval {
        return Err(format!("the scrape timeout {timeout} is longer than the interval {interval}"));
    }
    let histograms = histograms(job, &labels)?;
    labels.retain(|name, _| !name.starts_with("__meta_"));
    let hash = identity(job, &labels);
    labels.set_if_absent("instance", &address);
    let url: Box<str> = url_of(job, &labels, &address).into();
    let unix_socket =
        labels.get("__unix_socket__").filter(|path| !path.is_empty()).map(|path| Path::new(path).into());
    labels.retain(|name, _| !name.starts_with("__"));
    labels.shrink();
    let turn = Turn::of(&discovered);
    Ok(Some(Target {
        info: Arc::new(TargetInfo { labels, discovered }),
        destination: (&*url).into(),
        url,
        interval: interval.as_duration(),
        timeout: timeout.as_duration(),
        hash,
        turn,
        unix_socket,
        histograms,
    }))
}

fn histograms(job: &Job, labels: &Labels) -> Result<exposition::Options, String> {
    let mut switches = [false; 3];
    for ((name, _), switch) in histogram_switches(job.config()).into_iter().zip(&mut switches) {
        let value = labels.value(name);
        if !value.is_empty() {
            *switch =
                parse_bool(value).ok_or_else(|| format!("the label {name} is `{value}`, not a boolean"))?;
        }
    }
    let [always_classic, convert_to_nhcb, native_histograms] = switches;
    Ok(exposition::Options { native_histograms, always_classic, convert_to_nhcb, ..Default::default() })
}

/// The identity: what is left after relabelling but for `__meta_*`, and the job. The hidden switches count
/// only where they differ from the job's, so that the number is the same with allocators that do not know
/// them.
fn identity(job: &Job, labels: &Labels) -> u64 {
    let mut hasher = Xxh64::new(0);
    let of_job = histogram_switches(job.config());
    for (name, value) in labels.iter() {
        if of_job.contains(&(name, value)) {
            continue;
        }
        for text in [name, value] {
            hasher.update(text.as_bytes());
            hasher.update(&[0xff]);
        }
    }
    hasher.update(job.name().as_bytes());
    hasher.digest()
}

fn duration(labels: &Labels, name: &str) -> Result<Period, String> {
    let period: Period =
        labels.value(name).parse().map_err(|why: String| format!("the label {name}: {why}"))?;
    if period.as_duration() < SHORTEST {
        return Err(format!(
            "the label {name}: {period} is shorter than a millisecond; write the unit, for example 10s"
        ));
    }
    Ok(period)
}

/// As Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Scheme, address and path from the labels; the parameters of the job, their first values from `__param_*`.
fn url_of(job: &Job, labels: &Labels, address: &str) -> String {
    let mut params = job.config().params.clone();
    for (name, value) in labels.iter() {
        let Some(param) = name.strip_prefix("__param_") else { continue };
        let values = params.entry(param.to_owned()).or_default();
        match values.first_mut() {
            Some(first) => value.clone_into(first),
            None => values.push(value.to_owned()),
        }
    }
    let path = labels.value("__metrics_path__");
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    let mut url = format!("{}://{address}{slash}", labels.value("__scheme__"));
    escape(path, b"$&+,/:;=@-_.~", &mut url);
    let mut separator = '?';
    for (name, value) in
        params.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
    {
        url.push(separator);
        escape_query(name, &mut url);
        url.push('=');
        escape_query(value, &mut url);
        separator = '&';
    }
    url
}

/// As Go's `url.QueryEscape`.
fn escape_query(text: &str, out: &mut String) {
    for (index, part) in text.split(' ').enumerate() {
        if index > 0 {
            out.push('+');
        }
        escape(part, b"-_.~", out);
    }
}

/// Writes letters, digits and `plain` as they are, anything else as `%XX`.
fn escape(text: &str, plain: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests;
