//! `scrape`: the same fleet, scraped and remote-written by each program in turn; one setting, or all that were promised.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::measure::{Figures, Setting, measure};
use crate::table::{grouped, markdown};
use crate::verdict::{self, FEW_ACTIVE};
use crate::{machine, print, programs, say};

/// Active series of the matrix, and series a target.
const ACTIVE: [u64; 2] = [200_000, 1_000_000];
const A_TARGET: [u32; 2] = [2000, 20];

const HEAD: [&str; 12] = [
    "program",
    "samples",
    "of due",
    "CPU s",
    "CPU s / million",
    "ratio",
    "peak MiB",
    "ratio",
    "bytes / sample sent",
    "requests",
    "open files",
    "switches / scrape",
];

/// What came of one setting.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) setting: Setting,
    pub(crate) figures: Vec<Figures>,
    /// Programs without figures, and why.
    pub(crate) missing: Vec<(String, String)>,
    /// What the fleet had to leave out.
    pub(crate) remarks: Vec<String>,
}

/// Measures every program in every setting and prints a table a setting, then what was asked for and whether it is so.
pub(crate) async fn run(settings: Vec<Setting>) -> Result<()> {
    let mut outcomes = Vec::new();
    for setting in settings {
        let outcome = compare(setting).await?;
        print(&table(&outcome))?;
        outcomes.push(outcome);
    }
    print(&verdict::of_scraping(&outcomes))?;
    ensure!(outcomes.iter().any(|outcome| !outcome.figures.is_empty()), "nothing was measured");
    Ok(())
}

/// The settings that were promised, and our own program alone with few series.
pub(crate) fn matrix(interval: Duration, measured: Duration, programs: &[String]) -> Vec<Setting> {
    let setting = |n_active: u64, n_series: u32, gzip: bool, programs: Vec<String>| {
        let n_targets = (n_active / u64::from(n_series)) as usize;
        Setting { n_targets, n_series, gzip, interval, measured, programs }
    };
    let mut settings = vec![setting(FEW_ACTIVE, A_TARGET[0], true, vec!["muster".to_owned()])];
    for n_active in ACTIVE {
        for gzip in [true, false] {
            settings.extend(A_TARGET.map(|n_series| setting(n_active, n_series, gzip, programs.to_vec())));
        }
    }
    settings
}

/// A program that fails is missing from the table: an hour of measuring others is not thrown away.
async fn compare(setting: Setting) -> Result<Outcome> {
    let mut outcome = Outcome { figures: Vec::new(), missing: Vec::new(), remarks: Vec::new(), setting };
    for program in outcome.setting.programs.clone() {
        if !programs::is_there(&program) {
            outcome.missing.push((program, "not installed".to_owned()));
            continue;
        }
        match measure(&program, &outcome.setting).await {
            Ok((figures, remarks)) => {
                outcome.figures.push(figures);
                outcome.remarks = remarks;
            }
            Err(error) => {
                say(&format!("{}: {program} failed: {error:#}", outcome.setting.name()));
                outcome.missing.push((program, format!("{error:#}")));
            }
        }
    }
    Ok(outcome)
}

fn table(outcome: &Outcome) -> String {
    let Outcome { setting, figures, missing, remarks } = outcome;
    let remarks: String = remarks.iter().map(|remark| format!(", {remark}")).collect();
    let mut text = format!(
        "### {}\n\n{} targets every {:?}, measured for {:?} each{remarks}; {}\n\n",
        setting.name(),
        grouped(setting.n_targets as u64),
        setting.interval,
        setting.measured,
        machine::describe()
    );
    if let Some(first) = figures.first() {
        let rows: Vec<Vec<String>> = figures.iter().map(|figures| row(setting, figures, first)).collect();
        text += &markdown(&HEAD, &rows);
    }
    for figures in figures.iter().filter(|figures| !setting.is_kept_by(figures)) {
        text += &format!("\n{} did not deliver what was due: no verdict on it here\n", figures.program);
    }
    for (program, why) in missing {
        text += &format!("\n{program} is missing: {why}\n");
    }
    text
}

fn row(setting: &Setting, figures: &Figures, first: &Figures) -> Vec<String> {
    let due = setting.n_scrapes() * f64::from(setting.n_series);
    vec![
        figures.program.clone(),
        grouped(figures.n_samples),
        format!("{:.0} %", figures.n_samples as f64 * 100.0 / due),
        format!("{:.2}", figures.cpu.as_secs_f64()),
        format!("{:.3}", figures.cpu_per_million()),
        format!("{:.1}", figures.cpu_per_million() / first.cpu_per_million()),
        format!("{:.1}", figures.peak_mib()),
        format!("{:.1}", figures.peak_mib() / first.peak_mib()),
        format!("{:.1}", figures.bytes_per_sample()),
        grouped(figures.n_requests),
        grouped(figures.descriptors.open),
        format!("{:.1}", figures.n_switches as f64 / setting.n_scrapes()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_every_promised_setting_once_and_few_series_alone() {
        let programs = ["muster".to_owned(), "vmagent".to_owned()];
        let settings = matrix(Duration::from_secs(15), Duration::from_secs(60), &programs);
        let names: Vec<String> = settings.iter().map(Setting::name).collect();
        assert_eq!(names.len(), 9);
        assert_eq!(names[0], "100k series, gzip, 2000 a target");
        assert_eq!(names[8], "1000k series, plain, 20 a target");
        assert!(names.iter().enumerate().all(|(index, name)| !names[..index].contains(name)));
        assert_eq!((settings[0].programs.len(), settings[8].programs.len()), (1, 2));
        assert_eq!(settings[8].n_targets, 50_000);
    }

    #[test]
    fn a_program_that_failed_is_told_below_the_table() {
        let [few, ..] = &matrix(Duration::from_secs(15), Duration::from_secs(60), &[])[..] else {
            panic!("the matrix is not empty")
        };
        let figures = Figures { program: "muster".to_owned(), n_samples: 400_000, ..Figures::default() };
        let text = table(&Outcome {
            setting: few.clone(),
            figures: vec![figures],
            missing: vec![("vmagent".to_owned(), "not installed".to_owned())],
            remarks: vec!["10 ports".to_owned()],
        });
        assert!(text.contains("50 targets every 15s, measured for 60s each, 10 ports; "), "{text}");
        assert!(text.contains("| muster  | 400,000 |  100 % |"), "{text}");
        assert!(text.ends_with("\nvmagent is missing: not installed\n"), "{text}");
    }
}
