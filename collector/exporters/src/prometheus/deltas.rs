//! Delta sums and histograms as cumulative ones, before anything else looks at them.
//!
//! As upstream's accumulator: a point that begins where the last one of its series ended is added to it; one that begins later, or does
//! not say when, begins anew; one that overlaps the last one, or repeats it, is dropped. Non-monotonic delta sums stay as they are, and
//! are dropped further on. Different on purpose: overlapping points of sums are dropped too, as those of histograms, where upstream
//! shows them as the value; a histogram whose bounds change begins anew.
//!
//! Messages are rewritten in their encoded form: only the fields that change are written again. A series is known by the hash of
//! everything that identifies it, 128 bits wide.

mod exponential;
mod points;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use wire::Malformed;
use wire::otlp::{Data, Metric, ResourceView, Temporality, View};
use wire::proto::{Field, Message, put_message, put_uint};

use super::store::Tick;
use points::{State, Step};

/// Bytes that everything that is being added up may take.
const MAX_DELTA_BYTES: usize = 1 << 30;

/// What is known of delta series.
#[derive(Debug)]
pub(super) struct Deltas {
    states: HashMap<u128, (State, Tick)>,
    n_bytes: usize,
    // Two seeds make 128 bits that nobody can choose.
    hashers: [RandomState; 2],
    max_series: usize,
    expiration: u32,
}

/// Delta points that could not be added up.
#[derive(Debug, Default)]
pub(super) struct Unadded {
    /// Points that overlap the one before.
    pub(super) n_overlapping: usize,
    /// Points for which there was no room, and the limit by name.
    pub(super) n_refused: usize,
    pub(super) limit: String,
}

impl Deltas {
    pub(super) fn new(max_series: usize, expiration: u32) -> Self {
        Self {
            states: HashMap::new(),
            n_bytes: 0,
            hashers: [RandomState::new(), RandomState::new()],
            max_series,
            expiration,
        }
    }

    /// The same metrics of one resource without deltas; nothing where there are none, which is nearly always.
    pub(super) fn cumulate(&mut self, resource: &Bytes, now: Tick, unadded: &mut Unadded) -> Option<Bytes> {
        // What cannot be decoded is reported by whoever translates it.
        has_deltas(resource)
            .then(|| self.resource(resource, now, unadded).unwrap_or_else(|_| resource.clone()))
    }

    /// Forgets series that were not updated for too long.
    pub(super) fn expire(&mut self, now: Tick) {
        self.states.retain(|_, (_, seen)| now.0.saturating_sub(seen.0) <= self.expiration);
        self.n_bytes = self.states.values().map(|(state, _)| state.n_bytes()).sum();
        self.states.shrink_to(self.states.len() * 2);
    }

    /// Series that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    fn resource(&mut self, resource: &Bytes, now: Tick, unadded: &mut Unadded) -> Result<Bytes, Malformed> {
        let mut out = Vec::with_capacity(resource.len());
        let message = Message::new(resource);
        let identity = self.identity(0, message, 1)?;
        copy_but(&mut out, message, |out, field| {
            // Field 2 of a resource are its scopes, field 2 of a scope its metrics.
            if field.number != 2 {
                return Ok(false);
            }
            let scope = field.message()?;
            let identity = self.identity(self.identity(identity, scope, 1)?, scope, 3)?;
            put_message(out, 2, |out| {
                copy_but(out, scope, |out, field| {
                    if field.number != 2 {
                        return Ok(false);
                    }
                    self.metric(out, identity, field.message()?, now, unadded)
                })
            })?;
            Ok(true)
        })?;
        Ok(out.into())
    }

    /// Writes a metric that has deltas; says false where it has none.
    fn metric(
        &mut self,
        out: &mut Vec<u8>,
        identity: u128,
        message: Message<'_>,
        now: Tick,
        unadded: &mut Unadded,
    ) -> Result<bool, Malformed> {
        let metric = Metric::decode(message)?;
        let Some(data_field) = delta_field(&metric) else { return Ok(false) };
        let mut identity = self.mixed(identity, &data_field.to_le_bytes());
        for number in [1, 3] {
            identity = self.identity(identity, message, number)?;
        }
        put_message(out, 2, |out| {
            copy_but(out, message, |out, field| {
                if field.number != data_field {
                    return Ok(false);
                }
                let data = field.message()?;
                put_message(out, data_field, |out| {
                    copy_but(out, data, |out, field| match field.number {
                        1 => {
                            let point = field.message()?;
                            self.point(out, identity, (data_field, point), now, unadded)?;
                            Ok(true)
                        }
                        2 => Ok(true),
                        _ => Ok(false),
                    })?;
                    // AGGREGATION_TEMPORALITY_CUMULATIVE
                    put_uint(out, 2, 2);
                    Ok(())
                })?;
                Ok(true)
            })
        })?;
        Ok(true)
    }

    fn point(
        &mut self,
        out: &mut Vec<u8>,
        metric: u128,
        (kind, message): (u32, Message<'_>),
        now: Tick,
        unadded: &mut Unadded,
    ) -> Result<(), Malformed> {
        let point = State::read(kind, message)?;
        // Attributes are a set: their order says nothing.
        let mut identity = metric;
        for field in message.fields() {
            let field = field?;
            if field.number == points::attributes_field(kind) {
                identity = identity.wrapping_add(self.mixed(metric, field.message()?.bytes()));
            }
        }
        if point.is_stale {
            let old = self.states.remove(&identity);
            self.n_bytes -= old.map_or(0, |(state, _)| state.n_bytes());
            put_message(out, 1, |out| out.extend_from_slice(message.bytes()));
            return Ok(());
        }
        if let Some(limit) = self.limit_for(identity, &point) {
            unadded.n_refused += 1;
            unadded.limit = limit;
            return Ok(());
        }
        let (state, seen) = match self.states.entry(identity) {
            Entry::Vacant(place) => {
                self.n_bytes += point.n_bytes();
                place.insert((point, now))
            }
            Entry::Occupied(place) => {
                let known = place.into_mut();
                self.n_bytes -= known.0.n_bytes();
                let step = known.0.step(&point);
                match step {
                    Step::Drop => {}
                    Step::Begin => known.0 = point,
                    Step::Add => known.0.add(point),
                }
                self.n_bytes += known.0.n_bytes();
                if step == Step::Drop {
                    unadded.n_overlapping += 1;
                    return Ok(());
                }
                known
            }
        };
        *seen = now;
        put_message(out, 1, |out| {
            copy_but(out, message, |_, field| Ok(points::is_rewritten(kind, field.number)))?;
            state.write(out);
            Ok(())
        })
    }

    /// The limit that a point would exceed, by name.
    fn limit_for(&self, identity: u128, point: &State) -> Option<String> {
        if self.states.len() >= self.max_series && !self.states.contains_key(&identity) {
            return Some(format!("max_series: {} of {}", self.states.len(), self.max_series));
        }
        // What is added may take as much room as both together.
        let is_over = self.n_bytes.saturating_add(point.n_bytes()) > MAX_DELTA_BYTES;
        is_over.then(|| format!("MAX_DELTA_BYTES: {} of {MAX_DELTA_BYTES}", self.n_bytes))
    }

    /// `identity` and all fields of this number.
    fn identity(&self, identity: u128, message: Message<'_>, number: u32) -> Result<u128, Malformed> {
        let mut identity = identity;
        for field in message.fields() {
            let field = field?;
            if field.number == number {
                identity = self.mixed(identity, field.message()?.bytes());
            }
        }
        // So that a field that is absent is not one that follows.
        Ok(self.mixed(identity, &number.to_le_bytes()))
    }

    fn mixed(&self, identity: u128, bytes: &[u8]) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one((identity, bytes))) << 64 | u128::from(low.hash_one((identity, bytes)))
    }
}

/// The field that holds the points of a metric, if they are deltas that can be added up.
fn delta_field(metric: &Metric<'_>) -> Option<u32> {
    const DELTA: Temporality = Temporality::Delta;
    match metric.data {
        Data::Sum { temporality: DELTA, monotonic: true, .. } => Some(points::SUM),
        Data::Histogram { temporality: DELTA, .. } => Some(points::HISTOGRAM),
        Data::ExponentialHistogram { temporality: DELTA, .. } => Some(points::EXPONENTIAL),
        _ => None,
    }
}

fn has_deltas(resource: &[u8]) -> bool {
    let Ok(view) = ResourceView::new(resource) else { return false };
    let metrics = view.scopes().map_while(Result::ok).flat_map(|scope| scope.metrics());
    metrics.map_while(Result::ok).any(|metric| delta_field(&metric).is_some())
}

/// Copies the fields of a message, but for those of which `write` says that it wrote them itself, or left them out.
fn copy_but<'a>(
    out: &mut Vec<u8>,
    message: Message<'a>,
    mut write: impl FnMut(&mut Vec<u8>, &Field<'a>) -> Result<bool, Malformed>,
) -> Result<(), Malformed> {
    let mut fields = message.fields();
    while let Some(field) = fields.next() {
        let field = field?;
        if !write(out, &field)? {
            let start = field.offset - message.offset();
            let end = fields.offset() - message.offset();
            out.extend_from_slice(&message.bytes()[start..end]);
        }
    }
    Ok(())
}
