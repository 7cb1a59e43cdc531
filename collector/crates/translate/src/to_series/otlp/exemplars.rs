//! Exemplars of points.

use model::{Exemplar, Labels};
use wire::Malformed;
use wire::otlp::{self, Repeated};

use super::At;
use crate::exemplar::{add, fitting, id_labels};
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
        let ids = id_labels(exemplar.trace_id, exemplar.span_id);
        let mut all = ids.clone();
        for attribute in exemplar.filtered_attributes() {
            let attribute = attribute?;
            let mut value = String::new();
            self.report.n_repaired += attribute.value.write_text(&mut value)?;
            add(&mut all, self.options.strategy, &String::from_utf8_lossy(attribute.key), &value);
        }
        Ok(fitting(all, ids))
    }
}
