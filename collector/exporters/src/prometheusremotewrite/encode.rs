//! Series into the bodies of their shards, as chunks of one protocol.

use model::{Labels, SeriesId, SeriesTable};
use pipeline::Bodies;
use translate::{Exemplars, Scratch, SeriesRef, TableRun, TakeSeries};
use wire::remote_write::body::OpenChunk;
use wire::remote_write::v2::{FamilyText, SeriesWriter, Stamp};
use wire::remote_write::{Protocol, v1};

use super::relabeling::{Relabeling, Verdict};

/// A longer scrape is cut: receivers expect no request of more than 10,000 samples, and up to 2,000 may wait for company.
const MAX_SAMPLES_PER_CHUNK: usize = 8000;

/// Buffers of an encoding, kept from one batch to the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) translation: Scratch,
    shards: Vec<Shard>,
    text: Vec<u8>,
}

/// What is sent of what there is.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) relabeling: Option<Relabeling>,
    pub(super) sends_exemplars: bool,
    pub(super) sends_histograms: bool,
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
    text: &'a mut Vec<u8>,
    selection: &'a Selection,
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
    pub(super) fn new(
        how: How,
        selection: &'a Selection,
        bodies: &'a mut Bodies,
        buffers: &'a mut Buffers,
    ) -> (Self, &'a mut Scratch) {
        let Buffers { translation, shards, text } = buffers;
        (Self { bodies, shards, text, selection, how, family: String::new() }, translation)
    }

    /// Appends as many samples of a table as stay below every limit, and says how many; nothing where series have to be looked
    /// at one by one.
    fn append_run(&mut self, shard: usize, run: TableRun<'_>) -> usize {
        if self.how.protocol != Protocol::V2 || !self.how.takes_tables || self.selection.relabeling.is_some()
        {
            return 0;
        }
        if shard >= self.shards.len() {
            self.shards.resize_with(shard + 1, Shard::default);
        }
        let body = self.bodies.of(shard);
        let writer = &mut self.shards[shard].v2;
        if writer.is_empty() {
            writer.take_table(run.table);
        }
        if !writer.has_table() {
            return 0;
        }
        // The sample that reaches a limit goes the other way, where the body is closed.
        let n_room = (MAX_SAMPLES_PER_CHUNK - 1).saturating_sub(body.n_items);
        let points = &run.points[..run.points.len().min(n_room)];
        let max_bytes = self.how.max_bytes.saturating_sub(body.bytes.len());
        let n_taken = writer.table_samples(run.table, points, run.at.millis(), max_bytes);
        if n_taken > 0 {
            body.note(n_taken, run.at);
        }
        n_taken
    }

    /// Appends a series, or what the user wants to be sent of it.
    #[inline]
    pub(super) fn append(&mut self, shard: usize, series: &SeriesRef<'_>) {
        let selection = self.selection;
        if series.histogram.is_some() && !selection.sends_histograms {
            return;
        }
        let exemplars = if selection.sends_exemplars { series.exemplars } else { Exemplars::default() };
        let series = &SeriesRef { exemplars, ..*series };
        let Some(relabeling) = &selection.relabeling else {
            self.append_as(shard, series, None);
            return;
        };
        match relabeling.verdict(series.labels.iter(), self.text) {
            Verdict::Unchanged => self.append_as(shard, series, None),
            Verdict::Relabeled(labels) => self.append_as(shard, series, Some(&labels)),
            Verdict::Dropped => {}
        }
    }

    #[inline]
    fn append_as(&mut self, shard: usize, series: &SeriesRef<'_>, labels: Option<&Labels>) {
        if shard >= self.shards.len() {
            self.shards.resize_with(shard + 1, Shard::default);
        }
        let n_bytes = match self.how.protocol {
            Protocol::V1 => self.append_v1(shard, series, labels),
            Protocol::V2 => self.append_v2(shard, series, labels),
        };
        self.bodies.of(shard).note(1, series.at);
        if n_bytes >= self.how.max_bytes || self.bodies.of(shard).n_items >= MAX_SAMPLES_PER_CHUNK {
            self.end(shard);
            self.bodies.close(shard);
        }
    }

    fn append_v1(&mut self, shard: usize, series: &SeriesRef<'_>, labels: Option<&Labels>) -> usize {
        let body = &mut self.bodies.of(shard).bytes;
        self.shards[shard].v1.get_or_insert_with(|| OpenChunk::v1(body));
        let is_plain = series.histogram.is_none() && series.exemplars.is_empty();
        match (labels, series.labels.in_table().filter(|_| is_plain)) {
            (Some(labels), _) => put_v1(body, labels.iter(), series),
            (None, Some((table, id))) => {
                v1::append_encoded_series(body, table.encoded_labels(id), (series.bits, series.at.millis()));
            }
            (None, None) => put_v1(body, series.labels.iter(), series),
        }
        if self.how.send_metadata && self.family != series.family.name {
            self.family.clear();
            self.family.push_str(series.family.name);
            let family = &series.family;
            v1::append_metadata(body, family.kind, family.name, family.help, family.unit);
        }
        body.len()
    }

    fn append_v2(&mut self, shard: usize, series: &SeriesRef<'_>, labels: Option<&Labels>) -> usize {
        let writer = &mut self.shards[shard].v2;
        let table = series.labels.in_table().filter(|_| self.how.takes_tables);
        if let Some((table, _)) = table
            && writer.is_empty()
        {
            writer.take_table(table);
        }
        match (labels, table.filter(|_| writer.has_table())) {
            (Some(labels), _) => put_v2(writer, labels.iter(), series),
            (None, Some(series_of_table)) => put_v2_of_table(writer, series_of_table, series),
            (None, None) => put_v2(writer, series.labels.iter(), series),
        }
        let n_bytes = writer.n_bytes();
        self.bodies.of(shard).bytes.len() + n_bytes
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

/// All that is written to one shard.
pub(super) struct ToShard<'w, 'a> {
    pub(super) writer: &'w mut Writer<'a>,
    pub(super) shard: usize,
}

impl TakeSeries for ToShard<'_, '_> {
    fn series(&mut self, series: SeriesRef<'_>) {
        self.writer.append(self.shard, &series);
    }

    fn run(&mut self, run: TableRun<'_>) {
        let mut rest = run;
        while let Some(first) = rest.series().next() {
            let n_taken = self.writer.append_run(self.shard, rest);
            if n_taken == 0 {
                self.series(first);
            }
            rest.points = &rest.points[n_taken.max(1)..];
        }
    }
}

fn put_v1<'l>(
    body: &mut Vec<u8>,
    labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
    series: &SeriesRef<'_>,
) {
    let (at, exemplars) = (series.at.millis(), series.exemplars.iter());
    match series.histogram {
        Some(histogram) => v1::append_histogram_series(body, labels, histogram, at, exemplars),
        None => v1::append_series(body, labels, &[(series.bits, at)], exemplars),
    }
}

fn put_v2<'l>(
    writer: &mut SeriesWriter,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    series: &SeriesRef<'_>,
) {
    let family = FamilyText { kind: series.family.kind, help: series.family.help, unit: series.family.unit };
    let exemplars = series.exemplars.iter();
    match series.histogram {
        Some(histogram) => writer.histogram(labels, family, (histogram, stamp(series)), exemplars),
        None => writer.sample(labels, family, (series.bits, stamp(series)), exemplars),
    }
}

#[inline]
fn put_v2_of_table(
    writer: &mut SeriesWriter,
    series_of_table: (&SeriesTable, SeriesId),
    series: &SeriesRef<'_>,
) {
    let (kind, exemplars) = (series.family.kind, series.exemplars.iter());
    match series.histogram {
        Some(histogram) => {
            writer.table_histogram(series_of_table, kind, (histogram, stamp(series)), exemplars);
        }
        None => writer.table_sample(series_of_table, kind, (series.bits, stamp(series)), exemplars),
    }
}

#[inline]
fn stamp(series: &SeriesRef<'_>) -> Stamp {
    Stamp { at: series.at.millis(), start: series.start.map_or(0, |start| start.millis()) }
}
