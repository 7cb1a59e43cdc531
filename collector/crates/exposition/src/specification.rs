//! What the specification of OpenMetrics 1.0 forbids beyond what Prometheus refuses when it scrapes.
//!
//! A walk of its own over the body: quoted names and trailing commas, metadata that is repeated or comes late, names that
//! clash, series that do not belong to their family's type, values and labels that the type does not allow, groups that
//! are torn apart, histograms that contradict themselves, exemplars where there may be none. The classes are those of the
//! parser tests of the OpenMetrics project. Times are compared in milliseconds.

mod family;
mod histogram;
mod sample;

use std::collections::HashSet;

use self::family::Family;
use crate::event::{Bad, Event};
use crate::lines::{Lines, Syntax};

/// Finds the first line that breaks a rule. Lines that are no OpenMetrics at all end the walk: the parser finds them
/// too.
pub(crate) fn check(body: &[u8]) -> Result<(), Bad> {
    /// Length of `# TYPE ` and its like.
    const KEYWORD: usize = 7;
    let mut lines = Lines::new(Syntax::OpenMetrics, body);
    let mut names = HashSet::new();
    let mut family = Family::default();
    while let Some(Ok(event)) = lines.line(&[]) {
        let at = lines.start;
        let broken = |reason| Bad { at, reason };
        match &event {
            Event::Sample(sample) => {
                let sample = sample::read(sample).map_err(broken)?;
                if !family.has(sample.name()) {
                    std::mem::replace(&mut family, Family::new(sample.name(), at)).finish(&mut names)?;
                }
                family.sample(&sample, at)?;
            }
            Event::Type { family: name, .. }
            | Event::Help { family: name, .. }
            | Event::Unit { family: name, .. } => {
                if body.get(at + KEYWORD) == Some(&b'"') {
                    return Err(broken("OpenMetrics 1.0 has no quoted names".to_owned()));
                }
                if family.name != **name {
                    std::mem::replace(&mut family, Family::new(name, at)).finish(&mut names)?;
                }
                family.metadata(&event).map_err(broken)?;
            }
            Event::Histogram(_) | Event::Comment | Event::End => {}
        }
    }
    family.finish(&mut names)
}

#[cfg(test)]
mod tests;
