//! Families: what stands around the metrics.

use model::Kind;
use wire::proto::{Fields, Message};

use crate::event::{Bad, printable};

/// A family; its metrics are read one at a time.
#[derive(Clone, Debug)]
pub(super) struct Family<'a> {
    /// Where it begins in the body; places inside count from there.
    pub(super) base: usize,
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) unit: &'a str,
    pub(super) kind: Kind,
    /// What of it was not looked at yet.
    rest: Fields<'a>,
}

impl Default for Family<'_> {
    fn default() -> Self {
        Self { base: 0, name: "", help: "", unit: "", kind: Kind::Counter, rest: Fields::default() }
    }
}

/// The message behind the length at `pos`, where it begins and where it ends; nothing at the end of the body.
pub(super) fn next_family(body: &[u8], pos: usize) -> Result<Option<(Message<'_>, usize, usize)>, Bad> {
    /// Longest length in bytes, as upstream: one of 32 bits.
    const MAX_LENGTH_BYTES: usize = 5;
    if pos == body.len() {
        return Ok(None);
    }
    let mut length = 0u64;
    for (index, byte) in body[pos..].iter().take(MAX_LENGTH_BYTES).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if *byte >= 0x80 {
            continue;
        }
        let base = pos + index + 1;
        let end = usize::try_from(length).ok().and_then(|length| base.checked_add(length));
        return match end.filter(|end| *end <= body.len() && u32::try_from(length).is_ok()) {
            Some(end) => Ok(Some((Message::new(&body[base..end]), base, end))),
            None => Err(Bad::new(
                pos,
                format!(
                    "a metric family of {length} bytes runs past the end of the body, which has {} bytes left",
                    body.len() - base
                ),
            )),
        };
    }
    Err(Bad::new(pos, "the length of a metric family is no varint of 32 bits"))
}

impl<'a> Family<'a> {
    /// A family that begins there; nothing of it is read yet.
    pub(super) fn at(base: usize) -> Self {
        Self { base, ..Self::default() }
    }

    /// Reads everything but the metrics. False where there are none; then nothing else was looked at.
    pub(super) fn read(&mut self, message: Message<'a>) -> Result<bool, Bad> {
        let (mut name, mut help, mut unit) = (&[][..], &[][..], &[][..]);
        let (mut kind, mut has_metrics) = (0, false);
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => name = field.bytes()?,
                2 => help = field.bytes()?,
                3 => kind = field.int32()?,
                4 => {
                    field.message()?;
                    has_metrics = true;
                }
                5 => unit = field.bytes()?,
                _ => {}
            }
        }
        if !has_metrics {
            return Ok(false);
        }
        self.name = match std::str::from_utf8(name) {
            Ok(name) if !name.is_empty() => name,
            _ => return Err(Bad::new(0, format!("invalid metric name \"{}\"", printable(name)))),
        };
        self.help = self.text("help", help)?;
        self.unit = self.text("unit", unit)?;
        self.kind = match kind {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Summary,
            3 => Kind::Unknown,
            4 => Kind::Histogram,
            5 => Kind::GaugeHistogram,
            _ => return Err(Bad::new(0, format!("unknown metric type {kind} of metric {:?}", self.name))),
        };
        self.rest = message.fields();
        Ok(true)
    }

    fn text(&self, what: &str, bytes: &'a [u8]) -> Result<&'a str, Bad> {
        std::str::from_utf8(bytes)
            .map_err(|_| Bad::new(0, format!("the {what} of metric {:?} is not valid UTF-8", self.name)))
    }

    /// The field of a metric that holds the value of the family's type.
    pub(super) fn payload_field(&self) -> u32 {
        match self.kind {
            Kind::Gauge => 2,
            Kind::Counter => 3,
            Kind::Summary => 4,
            Kind::Histogram | Kind::GaugeHistogram => 7,
            _ => 5,
        }
    }

    pub(super) fn next_metric(&mut self) -> Result<Option<Message<'a>>, Bad> {
        for field in &mut self.rest {
            let field = field?;
            if field.number == 4 {
                return Ok(Some(field.message()?));
            }
        }
        Ok(None)
    }
}
