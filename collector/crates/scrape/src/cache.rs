//! What is remembered of a target from scrape to scrape, so that only news cost anything.
//!
//! The i-th line of a scrape is first compared with the i-th line of the last good one; on a miss with the
//! few lines behind it, then it is looked up by its text, and only a text that was never seen is parsed,
//! relabelled and checked. What came out (which series, or "dropped") is remembered under the text. A scrape
//! is then a column of values over the target's series table.
//!
//! Behaviour is that of Prometheus `scrape` (`scrapeLoop.append`, `scrapeCache`): staleness, failed scrapes,
//! duplicates, times of their own, counts. Since no storage stands behind that would refuse them, samples
//! which are not newer than the last one of their series are dropped here. Different on purpose: a scrape
//! that fails half-way ends every series (upstream spares those in front of the bad line); the end of a
//! series that could not be delivered is told again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use exposition::{Event, Format, HistogramSample, Parser, RawExemplar, Sample, series_labels};
use model::{Kind, Labels, Point, Scrape, SeriesId, TargetInfo, Timestamp, canonical_bits};

use crate::families::Families;
use crate::keys::{KeyId, Keys, NoRoom, Print, Spelling, Verdict};
use crate::mark::Mark;
use crate::native::NativeLimits;
use crate::output::{Beside, Counts, Output};
use crate::report::{Report, Reports, is_report};
use crate::series::{Common, SeriesRules};
use crate::store::Store;
use crate::walk::{Order, Walk};
use crate::{Job, ScrapeError, Target};

/// Lines of which the values are read before they are taken.
const MAX_RUN: usize = 64;

/// Failed scrapes in a row after which everything about the target's series is forgotten.
const PATIENCE: u32 = 10;

/// Good scrapes in a row without news after which what serves to find series is given back.
const MIN_QUIET: u32 = 3;

/// Largest distance of an exposed time into the future, in milliseconds.
const MAX_AHEAD: i64 = 10 * 60 * 1000;

/// How many families may be gone before the table is made anew without them.
const MAX_OLD_FAMILIES: usize = 1000;

/// The memory of one target.
#[derive(Debug)]
pub(crate) struct Cache {
    job: Arc<Job>,
    info: Arc<TargetInfo>,
    rules: SeriesRules,
    common: Arc<Common>,
    options: Options,
    keys: Keys,
    /// The lines of the last good scrape.
    order: Order,
    /// The format in which `keys` are valid, and what the parser was asked for.
    format: Option<(Format, exposition::Options)>,
    store: Store,
    families: Families,
    n_old_families: usize,
    reports: Reports,
    /// Good scrapes in a row that had the same lines.
    n_quiet: u32,
    /// Last times of series that are exposed with times.
    times: HashMap<SeriesId, Timestamp>,
    /// The last exemplars of series that have any.
    exemplars: HashMap<SeriesId, LastExemplar>,
    round: u32,
    /// The round, for what is noted of every series.
    mark: Mark,
    last_at: Option<Timestamp>,
    n_keys_good: usize,
    n_failures: u32,
    must_sweep: bool,
    out: Output,
    unsent: Unsent,
}

/// What every sample asks of the job.
#[derive(Clone, Copy, Debug)]
struct Options {
    honor_timestamps: bool,
    track_timestamps_staleness: bool,
    /// The greatest number where there is none.
    sample_limit: u64,
    native: NativeLimits,
    /// What the parser is asked for.
    parsing: exposition::Options,
}

/// When it pays to try for a run of plain lines: nearly always, unless every line has more than a value.
#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    n_fruitless: u32,
    n_to_wait: u32,
}

impl Trial {
    #[inline]
    fn is_due(&mut self) -> bool {
        if self.n_to_wait == 0 {
            return true;
        }
        self.n_to_wait -= 1;
        false
    }

    /// Notes how many lines a run had: after none at all, the next ones are tried ever more seldom.
    #[inline]
    fn note(&mut self, n_lines: usize) {
        self.n_fruitless = if n_lines == 0 { self.n_fruitless + 1 } else { 0 };
        // HELP and TYPE may stand in between, and a sample with an exemplar.
        self.n_to_wait = self.n_fruitless.saturating_sub(4).min(32);
    }
}

/// The newest exemplar that was told of a series.
#[derive(Clone, Copy, Debug)]
struct LastExemplar {
    /// Its time, or that of the scrape where it has none.
    at: Timestamp,
    /// Of its labels, value and own time.
    hash: u64,
}

/// What holds only once the last scrape was delivered.
#[derive(Debug, Default)]
struct Unsent {
    is_delivered: bool,
    /// Series whose end the last scrape told.
    ended: Vec<SeriesId>,
    /// Series that can be forgotten.
    unseen: Vec<SeriesId>,
    /// New entries of `times`.
    times: HashMap<SeriesId, Timestamp>,
    /// New entries of `exemplars`.
    exemplars: HashMap<SeriesId, LastExemplar>,
    /// Series whose end could not be told yet.
    owed: Vec<SeriesId>,
}

impl Options {
    fn of(job: &Job, target: &Target, common: &Common) -> Self {
        let config = job.config();
        Self {
            honor_timestamps: config.honor_timestamps,
            track_timestamps_staleness: config.track_timestamps_staleness,
            sample_limit: if config.limits.sample_limit == 0 { u64::MAX } else { config.limits.sample_limit },
            native: NativeLimits::of(config),
            parsing: exposition::Options { start_timestamps: common.start_timestamps, ..target.histograms },
        }
    }
}

impl Cache {
    pub(crate) fn new(job: &Arc<Job>, target: &Target, common: &Arc<Common>) -> Self {
        let mut cache = Self {
            job: Arc::clone(job),
            info: Arc::clone(&target.info),
            rules: SeriesRules::new(job, target, common),
            common: Arc::clone(common),
            options: Options::of(job, target, common),
            keys: Keys::default(),
            order: Order::default(),
            format: None,
            store: Store::default(),
            families: Families::default(),
            n_old_families: 0,
            reports: Reports::default(),
            n_quiet: 0,
            times: HashMap::new(),
            exemplars: HashMap::new(),
            round: 0,
            mark: Mark::NEVER,
            last_at: None,
            n_keys_good: 0,
            n_failures: 0,
            must_sweep: false,
            out: Output::default(),
            unsent: Unsent { is_delivered: true, ..Unsent::default() },
        };
        cache.make_reports();
        cache
    }

    /// Goes on under another job or after discovery said something new. The target's own labels must be the
    /// same.
    pub(crate) fn adapt(&mut self, job: &Arc<Job>, target: &Target) {
        debug_assert_eq!(self.info.labels, target.info.labels, "another target needs another cache");
        self.info = Arc::clone(&target.info);
        self.options = Options::of(job, target, &self.common);
        if Arc::ptr_eq(&self.job, job) {
            return;
        }
        let is_alike = self.job.labels_alike(job);
        let extra_changed =
            self.job.config().switches.extra_scrape_metrics != job.config().switches.extra_scrape_metrics;
        self.job = Arc::clone(job);
        self.rules = SeriesRules::new(job, target, &self.common);
        if !is_alike {
            self.forget_texts();
        }
        if extra_changed {
            // Those that are no longer reported end like any other series.
            for id in self.reports.ids() {
                self.store.state_mut(id).is_report = false;
            }
            let former: Vec<SeriesId> = self.reports.ids().collect();
            self.make_reports();
            let ended = former.into_iter().filter(|id| !self.store.state(*id).is_report);
            self.unsent.owed.extend(ended);
            self.must_sweep = true;
        }
    }

    /// Takes the body of an answer. On an error, the scrape counts as failed and everything is ready to go
    /// on.
    pub(crate) fn ingest(
        &mut self,
        body: &[u8],
        format: Format,
        at: Timestamp,
    ) -> Result<Counts, ScrapeError> {
        self.begin(at);
        let format = (format, self.options.parsing);
        if self.format != Some(format) {
            self.forget_texts();
            self.format = Some(format);
        }
        let mut walk = Walk::default();
        match self.read(body, &mut walk).and_then(|()| self.check_sample_limit()) {
            Ok(()) => {
                self.succeed(walk);
                Ok(self.out.counts)
            }
            Err(error) => {
                self.fail();
                Err(error)
            }
        }
    }

    /// There is nothing to take: every series ends.
    pub(crate) fn ingest_nothing(&mut self, at: Timestamp) {
        self.begin(at);
        self.fail();
    }

    /// What was counted in the scrape, also in one that failed.
    pub(crate) fn counts(&self) -> Counts {
        self.out.counts
    }

    /// Adds the report and gives the finished scrape away.
    pub(crate) fn finish(&mut self, report: &Report) -> Scrape {
        for (id, value) in self.reports.values(report) {
            // A target that exposes `up` with just these labels was first.
            if self.store.state(id).seen != self.mark {
                self.out.points.push(Point { series: id, bits: canonical_bits(value) });
            }
        }
        self.take_scrape()
    }

    /// The last scrape reached the sink: what it said need not be said again.
    pub(crate) fn delivered(&mut self) {
        self.unsent.is_delivered = true;
    }

    /// The target is gone: the end of all its series, the reports among them. Nothing where there never was a
    /// scrape.
    pub(crate) fn end(&mut self, at: Timestamp) -> Option<Scrape> {
        if self.round == 0 {
            return None;
        }
        self.begin(at);
        self.fail();
        self.reports.ids().for_each(|series| self.out.end(series));
        Some(self.take_scrape())
    }

    /// Number of series that are remembered, reports included.
    pub(crate) fn n_series(&self) -> usize {
        self.store.len()
    }

    /// Whether more texts are remembered than the last good scrape explains, as when every scrape has other
    /// labels and fails.
    fn is_swollen(&self) -> bool {
        self.keys.len() > 2 * self.n_keys_good + 1000
    }

    fn make_reports(&mut self) {
        let extra = self.job.config().switches.extra_scrape_metrics == Some(true);
        self.reports = Reports::new(&self.rules, extra, &mut self.store);
        self.reports.set_families(&mut self.store);
    }

    /// Every text will be parsed anew; series are found again by their labels.
    fn forget_texts(&mut self) {
        self.keys.clear();
        self.order = Order::default();
        self.must_sweep = true;
    }

    fn begin(&mut self, at: Timestamp) {
        let unsent = &mut self.unsent;
        if unsent.is_delivered {
            // A report that was switched off and on again is wanted after all.
            for id in
                unsent.unseen.drain(..).filter(|id| !self.store.state(*id).is_report).collect::<Vec<_>>()
            {
                self.times.remove(&id);
                self.exemplars.remove(&id);
                self.store.remove(id);
            }
            unsent.ended.clear();
            self.times.extend(unsent.times.drain());
            self.exemplars.extend(unsent.exemplars.drain());
        } else {
            unsent.owed.append(&mut unsent.ended);
            self.must_sweep |= !unsent.unseen.is_empty();
            unsent.unseen.clear();
            unsent.times.clear();
            unsent.exemplars.clear();
        }
        self.store.tidy();
        self.advance();
        self.out = Output::new(at, self.order.len() + self.reports.ids().count());
    }

    fn advance(&mut self) {
        self.round = self.round.checked_add(1).expect("fewer than 2^32 scrapes of one target");
        self.mark = self.mark.next().unwrap_or_else(|| {
            self.keys.age();
            self.store.age();
            self.mark.aged().next().expect("the smallest mark has one behind it")
        });
    }

    fn read(&mut self, body: &[u8], walk: &mut Walk) -> Result<(), ScrapeError> {
        let (format, parsing) = self.format.expect("set before a body is read");
        let mut parser = Parser::with(format, body, parsing);
        let mut kind = Kind::Unknown;
        let mut trial = Trial::default();
        loop {
            if trial.is_due() {
                trial.note(self.run(&mut parser, kind.into(), walk));
            }
            let expected = walk.expected(&self.order);
            let predicted = expected.map_or(Print::NOTHING, |id| self.keys.print(id));
            let next = parser.next(predicted);
            // Events are looked at where they lie: moving them costs as much as parsing a number.
            let event = match &next {
                None => return Ok(()),
                Some(Ok(event)) => event,
                Some(Err(error)) => return Err(ScrapeError::Parse(error.clone())),
            };
            match event {
                Event::Sample(sample) => {
                    self.out.counts.scraped += 1;
                    let hit =
                        expected.filter(|id| sample.predicted && self.keys.has_spelling(*id, kind.into()));
                    let more = self.beside(sample);
                    if let Some(key) = hit {
                        walk.hit(key);
                        self.sample(key, sample.value, &more, false);
                    } else if let Err(error) =
                        self.unexpected(sample.series, sample.value, &more, kind.into(), walk)
                    {
                        // The event lends from the parser.
                        drop(next);
                        return Err(error.at(|| parser.place()));
                    }
                }
                Event::Type { family, kind: of_family } => {
                    kind = *of_family;
                    if !is_report(family) {
                        self.families.kind(family, kind, self.round, self.store.table_mut());
                    }
                }
                Event::Help { family, text } if !is_report(family) => {
                    self.families.help(family, text, self.round, self.store.table_mut());
                }
                Event::Unit { family, unit } if !is_report(family) => {
                    self.families.unit(family, unit, self.round, self.store.table_mut());
                }
                Event::Histogram(sample) => {
                    self.out.counts.scraped += 1;
                    if let Err(error) = self.histogram(sample, expected, walk) {
                        drop(next);
                        return Err(error.at(|| parser.place()));
                    }
                }
                Event::Help { .. } | Event::Unit { .. } | Event::Comment | Event::End => {}
            }
        }
    }

    /// Takes the lines that are the expected ones and have nothing but a value, and says how many.
    #[inline]
    fn run(&mut self, parser: &mut Parser<'_>, spelling: Spelling, walk: &mut Walk) -> usize {
        let mut values = [0.0; MAX_RUN];
        let mut n_all = 0;
        loop {
            let keys = &self.keys;
            let ahead = walk.ahead(&self.order).map_while(|id| keys.expected(id, spelling));
            let n_values = parser.plain_values(ahead, &mut values);
            for value in &values[..n_values] {
                let key = walk.expected(&self.order).expect("it was expected when its value was read");
                walk.hit(key);
                self.take(key, *value, &Beside::default(), false);
            }
            self.out.counts.scraped += n_values as u64;
            n_all += n_values;
            if n_values < MAX_RUN {
                return n_all;
            }
        }
    }

    /// What a plain sample has beside its value, as far as the job wants it.
    #[inline]
    fn beside<'e>(&self, sample: &'e Sample<'_>) -> Beside<'e> {
        let Options { honor_timestamps, parsing, .. } = self.options;
        Beside {
            exposed_at: sample.timestamp.filter(|_| honor_timestamps),
            start: sample.start.filter(|_| parsing.start_timestamps),
            histogram: None,
            exemplars: sample.exemplar.as_slice(),
        }
    }

    /// A native histogram.
    fn histogram(
        &mut self,
        sample: &HistogramSample<'_>,
        expected: Option<KeyId>,
        walk: &mut Walk,
    ) -> Result<(), ScrapeError> {
        let mut histogram = sample.histogram.clone();
        if !self.options.native.fit(&mut histogram)? {
            self.out.counts.unknown_schemas += 1;
            return Ok(());
        }
        // An exemplar without a time could not be told from those of the scrape before.
        let mut exemplars: Vec<_> =
            sample.exemplars.iter().filter(|exemplar| exemplar.timestamp.is_some()).copied().collect();
        exemplars.sort_by_key(|exemplar| exemplar.timestamp);
        let more = Beside {
            exposed_at: sample.timestamp.filter(|_| self.options.honor_timestamps),
            start: sample.start.filter(|_| self.options.parsing.start_timestamps),
            histogram: Some(&histogram),
            exemplars: &exemplars,
        };
        match expected.filter(|id| sample.predicted && self.keys.has_spelling(*id, Spelling::Native)) {
            Some(key) => {
                walk.hit(key);
                self.sample(key, histogram.sum, &more, false);
                Ok(())
            }
            None => self.unexpected(sample.series, histogram.sum, &more, Spelling::Native, walk),
        }
    }

    /// A line that is not the expected one.
    fn unexpected(
        &mut self,
        series: &[u8],
        value: f64,
        more: &Beside<'_>,
        spelling: Spelling,
        walk: &mut Walk,
    ) -> Result<(), ScrapeError> {
        if let Some(key) = walk.search(&self.order, &mut self.keys, Print::of(series), spelling) {
            self.sample(key, value, more, false);
            return Ok(());
        }
        // A TYPE line that changes makes another series of the text, but not one that was never there.
        let is_new = !self.keys.knows(Print::of(series));
        if let Some(key) = self.learn(series, spelling)? {
            walk.miss(&self.order, key);
            self.sample(key, value, more, is_new);
        }
        Ok(())
    }

    /// A text that was never seen. Nothing is remembered of it once the scrape has more samples than allowed.
    fn learn(&mut self, text: &[u8], spelling: Spelling) -> Result<Option<KeyId>, ScrapeError> {
        let mut exposed = Vec::new();
        let (format, _) = self.format.expect("set before a body is read");
        series_labels(format, text, spelling.kind(), &mut exposed).map_err(ScrapeError::Parse)?;
        let name = exposed.first().map(|(_, name)| name.clone()).unwrap_or_default();
        let labels = self.rules.finish(&mut exposed)?;
        if self.is_over_limit() {
            let n_kept = u64::from(labels.is_some());
            self.out.counts.kept += n_kept;
            self.out.counts.limited += n_kept;
            return Ok(None);
        }
        let verdict = match labels {
            None => Verdict::Dropped,
            Some(labels) => Verdict::Series(self.series_of(&name, &labels, spelling == Spelling::Native)),
        };
        match self.keys.insert(text, &name, spelling, verdict) {
            Ok(key) => Ok(Some(key)),
            Err(NoRoom) => Err(ScrapeError::BadSeries(
                "more than 2^32 series were exposed (limit of one target)".to_owned(),
            )),
        }
    }

    fn series_of(&mut self, exposed: &str, labels: &Labels, is_native: bool) -> SeriesId {
        let id = self.store.id_of(labels, self.rules.is_plain(labels));
        if !self.store.state(id).is_report {
            let table = Arc::make_mut(self.store.table_mut());
            let family = self.families.of(exposed, labels.value("__name__"), is_native, table);
            table.set_family(id, family);
        }
        id
    }

    fn sample(&mut self, key: KeyId, value: f64, more: &Beside<'_>, is_new: bool) {
        self.take(key, value, more, is_new);
    }

    /// [`Self::sample`], where it stands: of most samples is known that they have nothing but a value.
    #[inline(always)]
    fn take(&mut self, key: KeyId, value: f64, more: &Beside<'_>, is_new: bool) {
        let (is_again, verdict) = self.keys.meet(key, self.mark);
        let Verdict::Series(id) = verdict else { return };
        let exposed_at = more.exposed_at;
        let counts = &mut self.out.counts;
        counts.kept += 1;
        if is_again && exposed_at.is_none() {
            counts.duplicates += 1;
            return;
        }
        counts.limited += 1;
        if counts.limited > self.options.sample_limit {
            return;
        }
        if exposed_at.is_none() && self.store.state(id).seen == self.mark {
            counts.duplicates += 1;
            return;
        }
        let has_times = exposed_at.is_some() || !self.times.is_empty();
        let is_newer = !has_times || self.is_newer(id, exposed_at);
        let state = self.store.state_mut(id);
        state.seen = self.mark;
        if !is_newer {
            return;
        }
        if exposed_at.is_none() || self.options.track_timestamps_staleness {
            state.tracked = self.mark;
        }
        self.out.counts.added += u64::from(is_new);
        if more.exemplars.is_empty() {
            self.out.push(id, value, more);
        } else {
            let exemplars = self.news_of(id, more.exemplars);
            self.out.push(id, value, &Beside { exemplars, ..*more });
        }
    }

    /// Whether a sample is newer than the last one of its series; notes its time if so.
    fn is_newer(&mut self, id: SeriesId, exposed_at: Option<Timestamp>) -> bool {
        let at = exposed_at.unwrap_or(self.out.at);
        if at.millis().saturating_sub(self.out.at.millis()) > MAX_AHEAD {
            self.out.counts.out_of_bounds += 1;
            return false;
        }
        let told = self.unsent.times.get(&id).or_else(|| self.times.get(&id)).copied();
        // A series without a time of its own had the time of the scrape.
        let tracked_before = self.mark.last().is_some_and(|last| self.store.state(id).tracked == last);
        let last = told.max(self.last_at.filter(|_| tracked_before));
        if last.is_some_and(|last| at <= last) {
            // Repeating a sample is what exporters with times of their own do when they have nothing new.
            self.out.counts.out_of_order += u64::from(last != Some(at));
            return false;
        }
        if exposed_at.is_some() || told.is_some() {
            self.unsent.times.insert(id, at);
        }
        true
    }

    /// Those exemplars of a series, in the order of their times, that are newer than what was told of it. Targets show an exemplar until
    /// they have the next one: Prometheus takes it once, and drops those that come out of order.
    fn news_of<'e>(&mut self, id: SeriesId, exemplars: &'e [RawExemplar<'e>]) -> &'e [RawExemplar<'e>] {
        let now = self.out.at;
        let last_of = |exemplar: &RawExemplar<'_>| {
            let mut hasher = DefaultHasher::new();
            exemplar.labels().for_each(|label| label.hash(&mut hasher));
            (exemplar.value.to_bits(), exemplar.timestamp).hash(&mut hasher);
            LastExemplar { at: exemplar.timestamp.unwrap_or(now), hash: hasher.finish() }
        };
        let told = self.unsent.exemplars.get(&id).or_else(|| self.exemplars.get(&id));
        let is_one = exemplars.len() == 1;
        let n_told = told.map_or(0, |told| {
            exemplars.partition_point(|exemplar| {
                let last = last_of(exemplar);
                // Of several at one time it is not known which was told.
                last.at < told.at || last.hash == told.hash || (last.at == told.at && !is_one)
            })
        });
        let news = &exemplars[n_told..];
        if let Some(newest) = news.last() {
            self.unsent.exemplars.insert(id, last_of(newest));
        }
        news
    }

    fn is_over_limit(&self) -> bool {
        self.out.counts.limited >= self.options.sample_limit
    }

    fn check_sample_limit(&self) -> Result<(), ScrapeError> {
        let (found, limit) = (self.out.counts.limited, self.options.sample_limit);
        if found > limit { Err(ScrapeError::SampleLimit { found, limit }) } else { Ok(()) }
    }

    fn succeed(&mut self, walk: Walk) {
        let lines = walk.finish(&self.order);
        self.tell_ends();
        self.n_quiet = if lines.is_some() { 0 } else { self.n_quiet.saturating_add(1) };
        let is_first = self.order.len() == 0;
        if let Some(order) = lines {
            self.order = order;
            self.keys.set_positions(&self.order);
            self.must_sweep = true;
        }
        if std::mem::take(&mut self.must_sweep) || self.keys.len() > self.order.len() {
            self.keys.keep_round(self.mark);
            self.unsent.unseen = self.store.unseen(self.mark);
            self.shrink();
        }
        self.n_keys_good = self.keys.len();
        self.n_failures = 0;
        self.sort_into_families();
        // Most targets never show anything else than at first.
        if is_first || self.n_quiet == MIN_QUIET {
            self.rest();
        }
    }

    /// Gives back what only serves that series and families come and go.
    fn rest(&mut self) {
        self.keys.rest();
        self.families.rest();
        self.store.rest();
        self.keys.shrink();
        self.store.shrink();
    }

    /// Most targets show the same series for ever: what growing has reserved beyond them is given back.
    fn shrink(&mut self) {
        if self.keys.is_roomy() {
            self.keys.shrink();
            self.store.shrink();
            self.order.shrink();
        }
    }

    /// Takes everything back and ends every series.
    fn fail(&mut self) {
        self.out.roll_back();
        self.unsent.times.clear();
        self.unsent.exemplars.clear();
        // No series was there in this scrape, whatever was read before it failed.
        self.advance();
        self.tell_ends();
        self.n_failures += 1;
        if self.n_failures == PATIENCE || self.is_swollen() {
            self.forget_texts();
            self.n_keys_good = 0;
            self.unsent.unseen = self.store.unseen(self.mark);
        }
    }

    /// Ends the series that are not tracked now and were before, or whose end could not be told.
    fn tell_ends(&mut self) {
        let Self { store, out, unsent, times, mark, .. } = self;
        let ended = store.ended_in(*mark).chain(std::mem::take(&mut unsent.owed));
        for series in ended.collect::<Vec<_>>() {
            let state = store.state(series);
            let is_past = times.get(&series).is_some_and(|last| *last >= out.at);
            if state.tracked == *mark || state.is_report || is_past {
                continue;
            }
            out.end(series);
            out.counts.ended += 1;
            unsent.ended.push(series);
        }
    }

    /// Follows TYPE lines that came late, changed or went away.
    fn sort_into_families(&mut self) {
        self.n_old_families += self.families.forget_old(self.round);
        if self.n_old_families > MAX_OLD_FAMILIES {
            self.n_old_families = 0;
            self.store.rebuild();
            self.families.leave_table();
            self.reports.set_families(&mut self.store);
        } else if !self.families.take_changed() {
            return;
        }
        self.families.sort(&self.keys, &mut self.store);
    }

    fn take_scrape(&mut self) -> Scrape {
        self.last_at = Some(self.out.at);
        self.unsent.is_delivered = false;
        self.out.take(&self.info, self.store.table())
    }
}

#[cfg(test)]
mod tests;
