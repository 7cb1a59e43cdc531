//! Exemplars of points.

use model::{Exemplar, Labels};
use wire::Malformed;
use wire::otlp::{self, Repeated};

use super::{At, push_scraped_label};
use crate::series::Reason;
use crate::to_series::Run;

impl Run<'_, '_> {
    /// The exemplars of a point, each with the index of its bucket.
    pub(super) fn exemplars(
        &mut self,
        exemplars: Repeated<'_, otlp::Exemplar<'_>>,
        bucket_of: impl Fn(f64) -> usize,
    ) -> Result<Vec<(u32, Exemplar)>, Reason> {
        let mut all = Vec::new();
        for exemplar in exemplars {
            let exemplar = exemplar.map_err(|_| Reason::Malformed)?;
            let Some(value) = exemplar.value.map(|value| value.as_f64()) else { continue };
            let labels = self.exemplar_labels(&exemplar).map_err(|_| Reason::Malformed)?;
            let at = (exemplar.time != 0).then(|| At::new(exemplar.time, false).at);
            let bucket = u32::try_from(bucket_of(value)).unwrap_or(u32::MAX);
            all.push((bucket, Exemplar { labels, value, at }));
        }
        Ok(all)
    }

    /// Ids, and the other attributes where all together are not longer than OpenMetrics allows.
    fn exemplar_labels(&mut self, exemplar: &otlp::Exemplar<'_>) -> Result<Labels, Malformed> {
        const MAX_RUNES: usize = 128;
        let mut ids = Labels::new();
        for (name, id) in [("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id)] {
            if id.iter().any(|byte| *byte != 0) {
                ids.set(name, &id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            }
        }
        let mut all = ids.clone();
        for attribute in exemplar.filtered_attributes() {
            let attribute = attribute?;
            let (mut name, mut value) = (String::new(), String::new());
            self.report.n_repaired += attribute.value.write_text(&mut value)?;
            let key = String::from_utf8_lossy(attribute.key);
            push_scraped_label(&mut name, self.options.strategy, &key);
            all.set_if_absent(&name, &value);
        }
        let n_runes: usize =
            all.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        Ok(if n_runes <= MAX_RUNES { all } else { ids })
    }
}
