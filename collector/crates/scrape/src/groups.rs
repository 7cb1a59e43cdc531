//! Target groups of a job, assembled; a group that stays the same is not assembled again.

use std::collections::HashMap;
use std::sync::Arc;

use discovery::Group;

use crate::target::assemble;
use crate::{Job, Target};

/// What the job makes of a group.
#[derive(Debug, Default)]
pub(crate) struct Assembled {
    pub(crate) targets: Vec<Arc<Target>>,
    /// Positions in the group of targets that the rules dropped.
    pub(crate) dropped: Vec<usize>,
    /// Which targets cannot be scraped, and why.
    pub(crate) unusable: Vec<String>,
}

/// Groups by source, each with what became of it.
pub(crate) type ByGroup = HashMap<Arc<str>, (Arc<Group>, Arc<Assembled>)>;

/// Assembles all groups; `former` is what the same job made of the last snapshot. Gives also what is unusable
/// and was not before.
pub(crate) fn assemble_groups(job: &Job, groups: &[Arc<Group>], former: &ByGroup) -> (ByGroup, Vec<String>) {
    let mut newly_unusable = Vec::new();
    let mut assemble = |group: &Arc<Group>| {
        let assembled = match former.get(&group.source) {
            Some((known, assembled)) if Arc::ptr_eq(known, group) => Arc::clone(assembled),
            _ => {
                let assembled = assemble_group(job, group);
                newly_unusable.extend(assembled.unusable.iter().cloned());
                Arc::new(assembled)
            }
        };
        (Arc::clone(&group.source), (Arc::clone(group), assembled))
    };
    let by_group = groups.iter().map(&mut assemble).collect();
    (by_group, newly_unusable)
}

fn assemble_group(job: &Job, group: &Group) -> Assembled {
    let mut assembled = Assembled::default();
    for (index, target) in group.targets.iter().enumerate() {
        match assemble(job, &group.labels, target) {
            Ok(Some(target)) => assembled.targets.push(Arc::new(target)),
            Ok(None) => assembled.dropped.push(index),
            Err(why) => {
                let address = target.value("__address__");
                assembled.unusable.push(format!("{address} of {}: {why}", group.source));
            }
        }
    }
    assembled
}
