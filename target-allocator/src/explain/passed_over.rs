//! Targets that discovery does not even give to a job, because its rules would drop them: a job in a cluster gets only groups of
//! which it could keep a target. To say which rule drops one, discovery is asked once more, without that filter.

use std::sync::Arc;
use std::time::Duration;

use discovery::{Context, GroupFilter, GroupLabels, SdConfigs};
use tokio::time::{Instant, timeout_at};

use super::{Question, Target, collect};
use crate::jobs::JobSpec;
use crate::kubernetes::Kubernetes;

/// Jobs that are looked at for one answer.
const MAX_JOBS: usize = 20;

/// How long all of them together may take. What they look at is known already, as a rule.
const PATIENCE: Duration = Duration::from_secs(2);

/// Appends what jobs that have found nothing for the question pass over. Of a monitor nothing is appended: which objects its
/// selectors pass over is told by what it reaches.
pub(crate) async fn look(
    question: &Question,
    jobs: impl Iterator<Item = &Arc<JobSpec>>,
    kubernetes: &Kubernetes,
    found: &mut Vec<Target>,
) {
    if matches!(question, Question::Monitor { .. }) {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    let asked = question.clone();
    let filter = GroupFilter::new(move |labels: GroupLabels<'_>| asked.may_mean(labels));
    let has_none = |spec: &&Arc<JobSpec>| found.iter().all(|target| target.job != spec.name());
    let silent: Vec<_> = jobs.filter(|spec| spec.uses_kubernetes()).filter(has_none).take(MAX_JOBS).collect();
    for spec in silent {
        let sd = SdConfigs {
            kubernetes_sd_configs: spec.config().sd.kubernetes_sd_configs.clone(),
            ..SdConfigs::default()
        };
        let context = Context { kubernetes: kubernetes.discovery.clone(), ..Context::new(spec.base_dir()) };
        // The job runs, so that its discovery can be set up.
        let Ok(discovery) = discovery::spawn_filtered(spec.name(), &sd, &context, Some(&filter)) else {
            continue;
        };
        let mut snapshots = discovery.snapshots();
        let Ok(Ok(snapshot)) = timeout_at(deadline, snapshots.wait_for(|snapshot| snapshot.settled)).await
        else {
            return;
        };
        let groups = Arc::clone(&snapshot.groups);
        drop(snapshot);
        collect(question, spec, &mut groups.iter().map(|group| &**group), found);
    }
}
