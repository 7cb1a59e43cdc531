//! Series into the bodies of their shards, as chunks of one protocol.

use pipeline::Bodies;
use translate::{Scratch, SeriesRef};
use wire::remote_write::body::OpenChunk;
use wire::remote_write::v2::{FamilyText, SeriesWriter, Stamp};
use wire::remote_write::{Protocol, v1};

/// Buffers of an encoding, kept from one batch to the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) translation: Scratch,
    shards: Vec<Shard>,
}

/// What is being written for a shard.
#[derive(Debug, Default)]
struct Shard {
    v1: Option<OpenChunk>,
    v2: SeriesWriter,
}

/// Appends series to the bodies of their shards.
pub(super) struct Writer<'a> {
    pub(super) bodies: &'a mut Bodies,
    shards: &'a mut Vec<Shard>,
    how: How,
    /// The family whose metadata was appended last, in 1.0.
    family: String,
}

/// How series are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) protocol: Protocol,
    /// Whether 1.0 carries metadata; 2.0 always does.
    pub(super) send_metadata: bool,
    /// Bytes from which a body is closed.
    pub(super) max_bytes: usize,
    /// Whether so many series of a table are written that 2.0 may carry all of its symbols.
    pub(super) takes_tables: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(how: How, bodies: &'a mut Bodies, buffers: &'a mut Buffers) -> (Self, &'a mut Scratch) {
        let Buffers { translation, shards } = buffers;
        (Self { bodies, shards, how, family: String::new() }, translation)
    }

    #[inline]
    pub(super) fn append(&mut self, shard: usize, series: &SeriesRef<'_>) {
        if shard >= self.shards.len() {
            self.shards.resize_with(shard + 1, Shard::default);
        }
        let n_bytes = match self.how.protocol {
            Protocol::V1 => self.append_v1(shard, series),
            Protocol::V2 => self.append_v2(shard, series),
        };
        self.bodies.of(shard).note(1, series.at);
        if n_bytes >= self.how.max_bytes {
            self.end(shard);
            self.bodies.close(shard);
        }
    }

    fn append_v1(&mut self, shard: usize, series: &SeriesRef<'_>) -> usize {
        let body = &mut self.bodies.of(shard).bytes;
        self.shards[shard].v1.get_or_insert_with(|| OpenChunk::v1(body));
        let (at, exemplars) = (series.at.millis(), series.exemplars.iter());
        match (series.histogram, series.labels.in_table()) {
            (Some(histogram), _) => {
                v1::append_histogram_series(body, series.labels.iter(), histogram, at, exemplars);
            }
            (None, Some((table, id))) if series.exemplars.is_empty() => {
                v1::append_encoded_series(body, table.encoded_labels(id), (series.bits, at));
            }
            (None, _) => v1::append_series(body, series.labels.iter(), &[(series.bits, at)], exemplars),
        }
        if self.how.send_metadata && self.family != series.family.name {
            self.family.clear();
            self.family.push_str(series.family.name);
            let family = &series.family;
            v1::append_metadata(body, family.kind, family.name, family.help, family.unit);
        }
        body.len()
    }

    fn append_v2(&mut self, shard: usize, series: &SeriesRef<'_>) -> usize {
        let writer = &mut self.shards[shard].v2;
        let start = series.start.map_or(0, |start| start.millis());
        let stamp = Stamp { at: series.at.millis(), start };
        let exemplars = series.exemplars.iter();
        if let Some((table, id)) = series.labels.in_table().filter(|_| self.how.takes_tables) {
            if writer.is_empty() {
                writer.take_table(table);
            }
            if writer.has_table() {
                let (series_of_table, kind) = ((table, id), series.family.kind);
                match series.histogram {
                    Some(histogram) => {
                        writer.table_histogram(series_of_table, kind, (histogram, stamp), exemplars);
                    }
                    None => writer.table_sample(series_of_table, kind, (series.bits, stamp), exemplars),
                }
                return self.bodies.of(shard).bytes.len() + writer.n_bytes();
            }
        }
        let family =
            FamilyText { kind: series.family.kind, help: series.family.help, unit: series.family.unit };
        let labels = series.labels.iter();
        match series.histogram {
            Some(histogram) => writer.histogram(labels, family, (histogram, stamp), exemplars),
            None => writer.sample(labels, family, (series.bits, stamp), exemplars),
        }
        self.bodies.of(shard).bytes.len() + self.shards[shard].v2.n_bytes()
    }

    /// Ends what is open, so that bodies are whole.
    pub(super) fn finish(mut self) {
        for shard in 0..self.shards.len() {
            self.end(shard);
        }
    }

    fn end(&mut self, shard: usize) {
        let body = &mut self.bodies.of(shard).bytes;
        let open = &mut self.shards[shard];
        if let Some(chunk) = open.v1.take() {
            chunk.end(body);
        }
        if !open.v2.is_empty() {
            open.v2.finish(body);
        }
    }
}
