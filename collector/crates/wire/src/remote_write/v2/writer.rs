//! Writing series: from text, from the table of a target, or from references and metadata that are encoded already.

use model::{Exemplar, Histogram, Kind, Point, SeriesId, SeriesTable};

use super::{SERIES, Symbols, series, tag};
use crate::proto::{WireType, put_double, put_len, put_message, put_tag, put_uint, put_varint, varint_len};
use crate::remote_write::body::{MAX_KEPT_BYTES, OpenChunk};
use crate::remote_write::place::{Place, framed, sample_len};
use crate::remote_write::v1;

/// When a value was taken, and since when it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// Milliseconds since the epoch; 0 where it is not known. One that is not before [`Self::at`] is not sent: receivers
    /// refuse it.
    pub start: i64,
}

impl Stamp {
    #[inline]
    fn known_start(self) -> i64 {
        if self.start < self.at { self.start } else { 0 }
    }
}

/// What is known of a series' family; empty where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyText<'a> {
    /// Its type.
    pub kind: Kind,
    /// The HELP text.
    pub help: &'a str,
    /// The UNIT word.
    pub unit: &'a str,
}

/// Appends one `TimeSeries` with one sample, from parts that are encoded already: `labels` are references to name and
/// value of each label in turn, in order of name, as varints; `metadata` is what [`append_metadata`] writes, or nothing.
#[inline]
pub fn append_series(out: &mut Vec<u8>, labels: &[u8], bits: u64, stamp: Stamp, metadata: &[u8]) {
    let start = stamp.known_start();
    let start_len = if start == 0 { 0 } else { 1 + varint_len(start as u64) };
    let sample_len = sample_len((bits, stamp.at)) + start_len;
    let len = framed(labels.len()) + framed(sample_len) + metadata.len();
    let mut place = Place::new(out, framed(len));
    place.put_len(SERIES as u8, len);
    place.put_len(series::LABELS as u8, labels.len());
    place.put(labels);
    place.put_len(series::SAMPLES as u8, sample_len);
    place.put_value_and_time((1, bits), (2, stamp.at));
    if start != 0 {
        place.put_array([3 << 3]);
        place.put_varint(start as u64);
    }
    place.put(metadata);
}

/// Appends the field `metadata` of a `TimeSeries`; nothing where nothing is known.
pub fn append_metadata(out: &mut Vec<u8>, kind: Kind, help: u32, unit: u32) {
    if kind == Kind::Unknown && help == 0 && unit == 0 {
        return;
    }
    put_message(out, series::METADATA, |out| {
        let numbers = [(1, v1::metadata_type(kind) as u32), (3, help), (4, unit)];
        for (field, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
            put_uint(out, field, u64::from(number));
        }
    });
}

const DOUBLE_1_TAG: u8 = 1 << 3 | 1;

/// A few encoded bytes that many series have in common.
#[derive(Clone, Copy, Debug)]
struct Short<const N: usize = SHORT_BYTES> {
    bytes: [u8; N],
    n_bytes: u8,
}

/// The field `metadata` with the largest references takes as much; a time takes less.
const SHORT_BYTES: usize = 16;

impl Default for Short {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl<const N: usize> Short<N> {
    fn of(bytes: &[u8]) -> Self {
        Self::joined(&[bytes])
    }

    fn joined(parts: &[&[u8]]) -> Self {
        let mut bytes = [0; N];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Self { bytes, n_bytes: at as u8 }
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..usize::from(self.n_bytes)]
    }
}

/// What series of a scrape have behind their labels, and how they are written if, as nearly always, all their lengths have one byte.
/// What is copied has a fixed length, and what follows overwrites what was too much: cheaper than copying a number of bytes that varies.
#[derive(Debug, Default)]
struct Piece {
    /// What follows the labels of a series whose value is not zero, with a hole for the value.
    tail: Short<TAIL_BYTES>,
    /// What follows the labels of one whose value is zero.
    zero_tail: Short<TAIL_BYTES>,
}

/// Series that are being appended; behind them is room for the next one, which holds anything.
#[derive(Debug)]
struct Room<'a> {
    bytes: &'a mut Vec<u8>,
    n_bytes: usize,
}

/// How much room is made at a time.
const ROOM_BYTES: usize = 4 << 10;

impl<'a> Room<'a> {
    fn behind(bytes: &'a mut Vec<u8>) -> Self {
        Self { n_bytes: bytes.len(), bytes }
    }

    /// Room for a piece.
    #[inline]
    fn next(&mut self) -> &mut [u8; PIECE_BYTES] {
        if self.bytes.len() < self.n_bytes + PIECE_BYTES {
            self.bytes.resize(self.n_bytes + ROOM_BYTES, 0);
        }
        self.bytes[self.n_bytes..].first_chunk_mut().expect("room was made")
    }

    /// The bytes, without the room.
    fn close(self) -> &'a mut Vec<u8> {
        self.bytes.truncate(self.n_bytes);
        self.bytes
    }
}

/// Bytes of a series all of whose lengths have one byte, at most.
pub const MAX_SHORT_BYTES: usize = 2 + 0x7f;

/// Tags and lengths in front of the references.
const HEAD_BYTES: usize = 4;
/// References whose length has one byte, and eight more for the last of them.
const LABEL_BYTES: usize = 0x7f + 8;
const PIECE_BYTES: usize = HEAD_BYTES + LABEL_BYTES + TAIL_BYTES;
/// A sample takes two bytes, its value nine.
const TAIL_BYTES: usize = 2 + 9 + 2 * SHORT_BYTES;
/// Of the value in a tail.
const VALUE_AT: usize = 3;

impl Default for Short<TAIL_BYTES> {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl Piece {
    /// What the following series have in common.
    fn set_tail(&mut self, time: Short, metadata: Short) {
        let (time, metadata) = (time.get(), metadata.get());
        let n_time = time.len() as u8;
        let value = [tag::SAMPLES, 9 + n_time, DOUBLE_1_TAG, 0, 0, 0, 0, 0, 0, 0, 0];
        self.tail = Short::joined(&[&value, time, metadata]);
        self.zero_tail = Short::joined(&[&[tag::SAMPLES, n_time], time, metadata]);
    }

    /// Writes the series and says how many bytes it has, unless it is too long for this.
    #[inline]
    fn write(
        &self,
        room: &mut [u8; PIECE_BYTES],
        table: &SeriesTable,
        id: SeriesId,
        bits: u64,
    ) -> Option<usize> {
        let labels = room[HEAD_BYTES..].first_chunk_mut::<LABEL_BYTES>()?;
        let n_labels = table.put_label_refs(id, labels)?;
        let tail_at = HEAD_BYTES + n_labels;
        let place = room.get_mut(tail_at..)?.first_chunk_mut::<TAIL_BYTES>()?;
        let tail = if bits == 0 { &self.zero_tail } else { &self.tail };
        *place = tail.bytes;
        if bits != 0 {
            place[VALUE_AT..VALUE_AT + 8].copy_from_slice(&bits.to_le_bytes());
        }
        let end = tail_at + usize::from(tail.n_bytes);
        if end > MAX_SHORT_BYTES {
            return None;
        }
        room[..HEAD_BYTES].copy_from_slice(&[tag::SERIES, (end - 2) as u8, tag::LABELS, n_labels as u8]);
        Some(end)
    }
}

/// The field `timestamp` of the sample that was written last: all samples of a scrape have the same.
#[derive(Debug, Default)]
struct LastTime {
    at: i64,
    field: Short,
}

impl LastTime {
    #[inline]
    fn of(&mut self, at: i64) -> Short {
        if at != self.at {
            let mut field = Vec::with_capacity(SHORT_BYTES);
            put_uint(&mut field, 2, at as u64);
            *self = Self { at, field: Short::of(&field) };
        }
        self.field
    }
}

/// Writes series, one chunk after the other.
#[derive(Debug, Default)]
pub struct SeriesWriter {
    symbols: Symbols,
    series: Vec<u8>,
    has_exemplars: bool,
    /// References of the series that is being written, encoded.
    labels: Vec<u8>,
    /// References to name and value of the labels of the series before: the next one has most of them too.
    last: Vec<(u32, u32)>,
    metadata: LastMetadata,
    last_time: LastTime,
}

/// The metadata that was written last: the next series is mostly of the same family.
#[derive(Debug, Default)]
struct LastMetadata {
    kind: Kind,
    help: u32,
    unit: u32,
    encoded: Short,
    /// Memory for encoding.
    buffer: Vec<u8>,
}

impl LastMetadata {
    #[inline]
    fn set(&mut self, kind: Kind, help: u32, unit: u32) {
        if (self.kind, self.help, self.unit) != (kind, help, unit) {
            (self.kind, self.help, self.unit) = (kind, help, unit);
            self.buffer.clear();
            append_metadata(&mut self.buffer, kind, help, unit);
            self.encoded = Short::of(&self.buffer);
        }
    }
}

impl SeriesWriter {
    /// Appends a series with one sample (bits of its value). `labels` are sorted by name and none is empty. An exemplar
    /// without a time gets that of the sample.
    #[inline]
    pub fn sample<'a, 'e>(
        &mut self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        family: FamilyText<'_>,
        (bits, stamp): (u64, Stamp),
        exemplars: impl ExactSizeIterator<Item = &'e Exemplar>,
    ) {
        self.resolve(labels, family);
        self.resolved_sample((bits, stamp), exemplars);
    }

    /// Takes over the symbols of a table, so that its series can be written by [`Self::table_sample`] and
    /// [`Self::table_histogram`] until the chunk is finished. Series of other labels may be among them.
    ///
    /// Nothing may have been written since the last chunk.
    pub fn take_table(&mut self, table: &SeriesTable) {
        debug_assert!(self.is_empty(), "references are of other symbols");
        self.symbols.take_table(table);
    }

    /// Whether series of a table can be written, because its symbols were taken over.
    #[inline]
    #[must_use]
    pub fn has_table(&self) -> bool {
        self.symbols.has_table()
    }

    /// As [`Self::sample`], for a series of the table that was taken.
    #[inline]
    pub fn table_sample<'e>(
        &mut self,
        (table, id): (&SeriesTable, SeriesId),
        kind: Kind,
        (bits, stamp): (u64, Stamp),
        exemplars: impl ExactSizeIterator<Item = &'e Exemplar>,
    ) {
        self.resolve_metadata(table, id, kind);
        self.resolve_labels(table, id);
        self.resolved_sample((bits, stamp), exemplars);
    }

    /// As [`Self::histogram`], for a series of the table that was taken.
    pub fn table_histogram<'e>(
        &mut self,
        (table, id): (&SeriesTable, SeriesId),
        kind: Kind,
        value: (&Histogram, Stamp),
        exemplars: impl ExactSizeIterator<Item = &'e Exemplar>,
    ) {
        self.resolve_metadata(table, id, kind);
        self.resolve_labels(table, id);
        self.resolved_histogram(value, exemplars);
    }

    /// Appends samples of many series of the table that was taken, all of one time and without anything beside their values.
    /// Each series has a family. Ends when the chunk has no room for a series of [`MAX_SHORT_BYTES`] below `max_bytes`, and says
    /// how many it has appended; a longer series may exceed that.
    pub fn table_samples(
        &mut self,
        table: &SeriesTable,
        points: &[Point],
        at: i64,
        max_bytes: usize,
    ) -> usize {
        let max_bytes = max_bytes.saturating_sub(self.symbols.encoded().len() + MAX_SHORT_BYTES);
        let mut piece = Piece::default();
        let mut last_family = None;
        let mut series = std::mem::take(&mut self.series);
        let mut room = Room::behind(&mut series);
        let mut n_taken = 0;
        for Point { series: id, bits } in points.iter().copied() {
            if room.n_bytes > max_bytes {
                break;
            }
            let family = table.family_of(id);
            if last_family != Some(family) {
                last_family = Some(family);
                self.resolve_metadata(table, id, table.kind(id));
                piece.set_tail(self.last_time.of(at), self.metadata.encoded);
            }
            if let Some(n_bytes) = piece.write(room.next(), table, id, bits) {
                room.n_bytes += n_bytes;
            } else {
                self.resolve_labels(table, id);
                let stamp = Stamp { at, start: 0 };
                let out = room.close();
                append_series(out, &self.labels, bits, stamp, self.metadata.encoded.get());
                room = Room::behind(out);
            }
            n_taken += 1;
        }
        room.close();
        self.series = series;
        n_taken
    }

    #[inline]
    fn resolved_sample<'e>(
        &mut self,
        (bits, stamp): (u64, Stamp),
        exemplars: impl ExactSizeIterator<Item = &'e Exemplar>,
    ) {
        if exemplars.len() == 0 {
            append_series(&mut self.series, &self.labels, bits, stamp, self.metadata.encoded.get());
            return;
        }
        self.with_exemplars(exemplars, stamp.at, |out| {
            put_message(out, series::SAMPLES, |out| {
                let len = sample_len((bits, stamp.at));
                Place::new(out, len).put_value_and_time((1, bits), (2, stamp.at));
                put_start(out, 3, stamp);
            });
        });
    }

    /// Appends a series with one native histogram; otherwise as [`Self::sample`].
    pub fn histogram<'a, 'e>(
        &mut self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        family: FamilyText<'_>,
        (histogram, stamp): (&Histogram, Stamp),
        exemplars: impl ExactSizeIterator<Item = &'e Exemplar>,
    ) {
        self.resolve(labels, family);
        self.resolved_histogram((histogram, stamp), exemplars);
    }

    fn resolved_histogram<'e>(
        &mut self,
        (histogram, stamp): (&Histogram, Stamp),
        exemplars: impl ExactSizeIterator<Item = &'e Exemplar>,
    ) {
        self.with_exemplars(exemplars, stamp.at, |out| {
            put_message(out, series::HISTOGRAMS, |out| {
                v1::put_histogram(out, histogram, stamp.at);
                put_start(out, 17, stamp);
            });
        });
    }

    /// Bytes of the chunk so far.
    #[inline]
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.symbols.encoded().len() + self.series.len()
    }

    /// Whether nothing was written since the last chunk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Appends what was written to a body, as one chunk, and begins the next one.
    pub fn finish(&mut self, body: &mut Vec<u8>) {
        if !self.is_empty() {
            let mut chunk = OpenChunk::v2(body, self.symbols.encoded());
            body.extend_from_slice(&self.series);
            if self.has_exemplars {
                chunk.note_exemplars();
            }
            chunk.end(body);
        }
        self.clear();
    }

    /// Forgets what was written since the last chunk.
    pub fn clear(&mut self) {
        self.symbols.clear();
        self.series.clear();
        self.series.shrink_to(MAX_KEPT_BYTES);
        self.last.clear();
        self.has_exemplars = false;
        self.metadata.set(Kind::default(), 0, 0);
    }

    #[inline]
    fn resolve<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>, family: FamilyText<'_>) {
        self.labels.clear();
        for (index, (name, value)) in labels.enumerate() {
            if index == self.last.len() {
                self.last.push((0, 0));
            }
            let last = &mut self.last[index];
            last.0 = self.symbols.intern_near(name.as_bytes(), last.0);
            last.1 = self.symbols.intern_near(value.as_bytes(), last.1);
            put_varint(&mut self.labels, u64::from(last.0));
            put_varint(&mut self.labels, u64::from(last.1));
        }
        let help = self.symbols.intern_near(family.help.as_bytes(), self.metadata.help);
        let unit = self.symbols.intern_near(family.unit.as_bytes(), self.metadata.unit);
        self.metadata.set(family.kind, help, unit);
    }

    #[inline]
    fn resolve_metadata(&mut self, table: &SeriesTable, id: SeriesId, kind: Kind) {
        let symbols = table.family_symbols(id).unwrap_or_default();
        self.metadata.set(kind, symbols.help, symbols.unit);
    }

    fn resolve_labels(&mut self, table: &SeriesTable, id: SeriesId) {
        self.labels.clear();
        table.append_label_refs(id, &mut self.labels);
    }

    /// Appends the series whose labels are resolved; `write` appends its value.
    fn with_exemplars<'e>(
        &mut self,
        exemplars: impl ExactSizeIterator<Item = &'e Exemplar>,
        at: i64,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Self { symbols, series: out, labels, metadata, has_exemplars, .. } = self;
        *has_exemplars |= exemplars.len() > 0;
        put_message(out, SERIES, |out| {
            put_len(out, series::LABELS, labels.len());
            out.extend_from_slice(labels);
            write(out);
            for exemplar in exemplars {
                put_message(out, series::EXEMPLARS, |out| put_exemplar(out, symbols, exemplar, at));
            }
            out.extend_from_slice(metadata.encoded.get());
        });
    }
}

fn put_exemplar(out: &mut Vec<u8>, symbols: &mut Symbols, exemplar: &Exemplar, at: i64) {
    if !exemplar.labels.is_empty() {
        put_message(out, 1, |out| {
            for text in exemplar.labels.iter().flat_map(|(name, value)| [name, value]) {
                put_varint(out, u64::from(symbols.intern(text.as_bytes())));
            }
        });
    }
    if exemplar.value.to_bits() != 0 {
        put_double(out, 2, exemplar.value);
    }
    let at = exemplar.at.map_or(at, |at| at.millis());
    if at != 0 {
        put_tag(out, 3, WireType::Varint);
        put_varint(out, at as u64);
    }
}

fn put_start(out: &mut Vec<u8>, field: u32, stamp: Stamp) {
    let start = stamp.known_start();
    if start != 0 {
        put_uint(out, field, start as u64);
    }
}
