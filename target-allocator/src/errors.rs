//! What our scrapers tell of targets that they cannot scrape. Told to explain, never to decide. Bounded in number and length.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// Most errors that one member can tell.
pub const MAX_ERRORS: usize = 1_000;

/// Longest text of an error that is kept, in characters.
pub const MAX_ERROR: usize = 500;

/// Largest report that is read, in bytes.
pub const MAX_REPORT_BYTES: usize = 1 << 20;

/// How long a report counts. Members with errors tell them every ten seconds.
const LIFETIME: Duration = Duration::from_secs(60);

/// A target's last failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeError {
    /// Why.
    pub error: String,
    /// When the scrape began, in milliseconds since 1970.
    pub at: Option<i64>,
}

/// One entry of a report.
#[derive(Deserialize)]
struct Told {
    /// Identity of the target, as decimal text.
    target: String,
    error: String,
    #[serde(default)]
    at: Option<i64>,
}

/// By member: when it came, and what it says by identity of the target.
type Reports = BTreeMap<Arc<str>, (Instant, HashMap<u64, ScrapeError>)>;

/// The last report of each member.
#[derive(Debug, Default)]
pub struct TargetErrors {
    reports: Mutex<Reports>,
}

impl TargetErrors {
    /// Replaces what a member has told before.
    ///
    /// # Errors
    /// Says what is wrong with the report.
    pub fn tell(&self, member: &Arc<str>, report: &[u8], now: Instant) -> Result<(), String> {
        let told: Vec<Told> = serde_json::from_slice(report).map_err(|error| error.to_string())?;
        if told.len() > MAX_ERRORS {
            return Err(format!("it has more entries than MAX_ERRORS ({MAX_ERRORS})"));
        }
        let entry = |told: Told| {
            let hash = told.target.parse().map_err(|_| "the target is not a number".to_owned())?;
            Ok((hash, ScrapeError { error: told.error.chars().take(MAX_ERROR).collect(), at: told.at }))
        };
        let errors = told.into_iter().map(entry).collect::<Result<_, String>>()?;
        let mut reports = self.lock();
        reports.retain(|_, (at, _)| now < *at + LIFETIME);
        reports.insert(Arc::clone(member), (now, errors));
        Ok(())
    }

    /// What a member has told of a target.
    #[must_use]
    pub fn of(&self, member: &str, target: u64, now: Instant) -> Option<ScrapeError> {
        let reports = self.lock();
        let (at, errors) = reports.get(member)?;
        errors.get(&target).filter(|_| now < *at + LIFETIME).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_one_before_and_ends_by_itself() {
        let (errors, member, start) = (TargetErrors::default(), Arc::from("s-0"), Instant::now());
        let report = br#"[{"target":"18446744073709551615","error":"connection refused","at":7},{"target":"2","error":"x"}]"#;
        errors.tell(&member, report, start).unwrap();
        let told = ScrapeError { error: "connection refused".into(), at: Some(7) };
        assert_eq!(errors.of("s-0", u64::MAX, start), Some(told));
        assert_eq!(errors.of("s-1", u64::MAX, start), None);
        errors.tell(&member, br#"[{"target":"2","error":"x"}]"#, start).unwrap();
        assert_eq!(errors.of("s-0", u64::MAX, start), None);
        assert!(errors.of("s-0", 2, start + LIFETIME - Duration::from_secs(1)).is_some());
        assert_eq!(errors.of("s-0", 2, start + LIFETIME), None);
    }

    #[test]
    fn a_report_is_bounded_and_nonsense_changes_nothing() {
        let (errors, member, now) = (TargetErrors::default(), Arc::from("s-0"), Instant::now());
        let long = format!(r#"[{{"target":"1","error":"{}"}}]"#, "x".repeat(MAX_ERROR + 9));
        errors.tell(&member, long.as_bytes(), now).unwrap();
        let entry = r#"{"target":"1","error":""},"#.repeat(MAX_ERRORS);
        let many = format!(r#"[{entry}{{"target":"1","error":""}}]"#);
        for (report, why) in
            [(&*many, "MAX_ERRORS"), ("{}", "expected"), (r#"[{"target":"x","error":""}]"#, "not a number")]
        {
            let told = errors.tell(&member, report.as_bytes(), now).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert_eq!(errors.of("s-0", 1, now).unwrap().error.len(), MAX_ERROR);
    }
}
