//! Which page a path means. As gin with raw paths nothing is unescaped before the path is cut. Other than there a plain `/` may stand in
//! the name of a job as well as an escaped one: vmagent unescapes what it asks for, and jobs of monitors have slashes in their names.

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Index,
    ScrapeConfigs,
    Jobs,
    Changes,
    /// With the name of the job as it stands in the path.
    Targets(&'a str),
    Collector,
    Job,
    Target,
    AllTargets,
    AllJobs,
    AllScrapeConfigs,
    Assignment,
    Members,
    Moves,
    Quarantine,
    Explain,
    Style,
    Metrics,
    Live,
    Ready,
    Profiles,
}

/// What a path that is no page means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Miss<'a> {
    /// The page is there without the slash at the end.
    Redirect(&'a str),
    NotFound,
}

impl<'a> Route<'a> {
    pub(super) fn of(path: &'a str) -> Result<Self, Miss<'a>> {
        if let Some(route) = Self::exact(path) {
            return Ok(route);
        }
        match path.strip_suffix('/') {
            Some(shorter) if !shorter.is_empty() && Self::exact(shorter).is_some() => {
                Err(Miss::Redirect(shorter))
            }
            _ => Err(Miss::NotFound),
        }
    }

    fn exact(path: &'a str) -> Option<Self> {
        let route = match path {
            "/" => Self::Index,
            "/scrape_configs" => Self::ScrapeConfigs,
            "/jobs" => Self::Jobs,
            "/changes" => Self::Changes,
            "/debug/collector" => Self::Collector,
            "/debug/job" => Self::Job,
            "/debug/target" => Self::Target,
            "/debug/targets" => Self::AllTargets,
            "/debug/jobs" => Self::AllJobs,
            "/debug/scrape_configs" => Self::AllScrapeConfigs,
            "/debug/assignment.json" => Self::Assignment,
            "/debug/members" => Self::Members,
            "/debug/moves" => Self::Moves,
            "/debug/quarantine" => Self::Quarantine,
            "/debug/explain" => Self::Explain,
            "/debug/style.css" => Self::Style,
            "/metrics" => Self::Metrics,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            _ if path.starts_with("/debug/pprof/") => Self::Profiles,
            _ => {
                let job = path.strip_prefix("/jobs/")?.strip_suffix("/targets")?;
                let is_name = !job.is_empty() && !job.starts_with('/') && !job.ends_with('/');
                return is_name.then_some(Self::Targets(job));
            }
        };
        Some(route)
    }

    /// The label of the route in metrics, as upstream writes it.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::ScrapeConfigs => "/scrape_configs",
            Self::Jobs => "/jobs",
            Self::Changes => "/changes",
            Self::Targets(_) => "/jobs/:job_id/targets",
            Self::Collector => "/debug/collector",
            Self::Job => "/debug/job",
            Self::Target => "/debug/target",
            Self::AllTargets => "/debug/targets",
            Self::AllJobs => "/debug/jobs",
            Self::AllScrapeConfigs => "/debug/scrape_configs",
            Self::Assignment => "/debug/assignment.json",
            Self::Members => "/debug/members",
            Self::Moves => "/debug/moves",
            Self::Quarantine => "/debug/quarantine",
            Self::Explain => "/debug/explain",
            Self::Style => "/debug/style.css",
            Self::Metrics => "/metrics",
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Profiles => "/debug/pprof/*profile",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_job_stands_in_the_path_with_or_without_escapes() {
        for job in ["node%2Fplain", "node/plain", "a+b", "x/targets", "serviceMonitor/ns/name/0"] {
            assert_eq!(Route::of(&format!("/jobs/{job}/targets")), Ok(Route::Targets(job)));
        }
        for missing in ["/jobs//targets", "/jobs//x/targets", "/jobs/x", "/nope", "", "/jobs/x/targets/y"] {
            assert_eq!(Route::of(missing), Err(Miss::NotFound), "{missing}");
        }
    }

    #[test]
    fn a_slash_too_many_is_sent_back() {
        for path in ["/jobs", "/scrape_configs", "/jobs/x/targets", "/livez", "/debug/jobs"] {
            assert_eq!(Route::of(&format!("{path}/")), Err(Miss::Redirect(path)));
        }
        assert_eq!(Route::of("/"), Ok(Route::Index));
        assert_eq!(Route::of("/debug/pprof/"), Ok(Route::Profiles));
    }
}
