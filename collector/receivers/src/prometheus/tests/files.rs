//! `scrape_config_files`.

use std::path::Path;

use expect_test::expect;

use super::build_at;

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}

/// Builds a receiver with these keys of `config`; what is shown has the folder's name left out.
fn build(folder: &Path, keys: &str) -> Result<Vec<String>, String> {
    let receiver = build_at(&format!("config: {{{keys}}}"), folder);
    let shown = |text: &str| text.replace(&format!("{}/", folder.display()), "");
    match receiver {
        Ok(receiver) => Ok(receiver
            .jobs
            .iter()
            .map(|job| shown(&format!("{} in {}/", job.name(), job.base_dir().display())))
            .collect()),
        Err(problems) => Err(shown(&problems)),
    }
}

#[test]
fn jobs_of_files_join_those_of_the_section() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "jobs/b.yaml", "scrape_configs: [{job_name: b}]");
    put(folder.path(), "jobs/a.yaml", "scrape_configs: [{job_name: a1}, {job_name: a2}]");
    put(folder.path(), "jobs/none.yaml", "scrape_configs:\n");
    put(folder.path(), "jobs/other.txt", "not for us");
    put(folder.path(), "single.yml", "scrape_configs: [{job_name: single}]");
    let keys =
        "scrape_configs: [{job_name: own}], scrape_config_files: ['jobs/*.yaml', single.yml, absent.yml]";
    let jobs = build(folder.path(), keys).unwrap();
    assert_eq!(jobs, ["own in ", "a1 in jobs/", "a2 in jobs/", "b in jobs/", "single in "]);
    assert!(build(folder.path(), "scrape_config_files: ['later/*.yaml']").unwrap().is_empty(), "it may come");
}

#[test]
fn names_of_files_with_jobs_may_hold_every_wildcard_of_go() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a1", "a2", "a3", "a?"] {
        put(
            folder.path(),
            &format!("jobs/{name}.yaml"),
            &format!("scrape_configs: [{{job_name: '{name}'}}]"),
        );
    }
    let jobs = |pattern: &str| build(folder.path(), &format!("scrape_config_files: ['{pattern}']")).unwrap();
    assert_eq!(jobs("jobs/a[12].yaml"), ["a1 in jobs/", "a2 in jobs/"]);
    assert_eq!(jobs("jobs/a[^1-2].yaml"), ["a3 in jobs/", "a? in jobs/"]);
    assert_eq!(jobs("jobs/a\\?.yaml"), ["a? in jobs/"]);
    assert_eq!(jobs("jobs/a?.yaml").len(), 4);
}

#[test]
fn jobs_of_files_inherit_from_global_and_are_not_expanded() {
    let folder = tempfile::tempdir().unwrap();
    let job =
        "scrape_configs:\n- job_name: j\n  relabel_configs: [{target_label: a, replacement: '$1${HOME}'}]";
    put(folder.path(), "j.yaml", job);
    let text = "config: {global: {scrape_interval: 7s}, scrape_config_files: [j.yaml]}";
    let receiver = build_at(text, folder.path()).unwrap();
    let config = receiver.jobs[0].config();
    assert_eq!(config.scrape_interval.unwrap().to_string(), "7s");
    assert_eq!(config.relabel_configs[0].replacement, "$1${HOME}");
    assert!(config.fallback_scrape_protocol.is_some());
}

#[test]
fn names_of_files_start_where_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        "jobs/j.yaml",
        "scrape_configs: [{job_name: a, scrape_failure_log_file: own.log}, {job_name: b}]",
    );
    let text = "config: {global: {scrape_failure_log_file: all.log}, scrape_config_files: [jobs/j.yaml]}";
    let receiver = build_at(text, folder.path()).unwrap();
    let logs: Vec<_> = receiver.jobs.iter().map(|job| job.failure_log().unwrap()).collect();
    assert_eq!(logs, [folder.path().join("jobs/own.log"), folder.path().join("all.log")]);
}

#[test]
fn a_name_is_taken_once_over_all_files() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.yaml", "scrape_configs: [{job_name: own}, {job_name: x}]");
    put(folder.path(), "b.yaml", "scrape_configs:\n- job_name: y\n- job_name: x");
    let keys = "scrape_configs: [{job_name: own}], scrape_config_files: ['*.yaml']";
    expect![[r#"
        error: a.yaml:1:19: config::scrape_config_files::scrape_configs::0::job_name: the name `own` is taken by a job of scrape_configs; give the job another name
        error: b.yaml:3:3: config::scrape_config_files::scrape_configs::1::job_name: the name `x` is taken by a job of a.yaml; give the job another name
    "#]].assert_eq(&build(folder.path(), keys).unwrap_err());
}

#[test]
fn mistakes_in_files_are_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.yaml", "scrape_configs:\n- job_name: a\n  scrape_timeout: 2m\n");
    put(folder.path(), "b.yaml", "scrape_configs:\n- job_name: b\n  colour: red\n");
    put(folder.path(), "c.yaml", "global: {}\n");
    put(folder.path(), "d.yaml", "scrape_configs: [\n");
    put(folder.path(), "e.yaml", "scrape_configs:\n- job_name: e\n  basic_auth: {password_ref: x}\n");
    let error = build(folder.path(), "scrape_config_files: ['*.yaml', 'a*/b.yaml', 'a?/b.yaml', '[a.yaml']")
        .unwrap_err();
    expect![[r#"
        error: config::scrape_config_files::1: `a*/b.yaml` cannot name files with jobs; only the last element of a path may hold `*`, `?`, `[` or `\`
        error: config::scrape_config_files::2: `a?/b.yaml` cannot name files with jobs; only the last element of a path may hold `*`, `?`, `[` or `\`
        error: config::scrape_config_files::3: `[a.yaml` cannot name files with jobs; a list of characters ends with `]` and is not empty; `\` makes the next character stand for itself
        error: a.yaml:3:3: config::scrape_config_files::scrape_configs::0::scrape_timeout: must not be longer than scrape_interval (1m)
        error: b.yaml:3:3: config::scrape_config_files::scrape_configs::0: unknown key `colour`
        error: c.yaml:1:1: config::scrape_config_files: unknown key `global`; known keys: scrape_configs
        error: d.yaml:1:17: config::scrape_config_files::scrape_configs::0: not valid YAML: unclosed bracket '['
        error: e.yaml:3:16: config::scrape_config_files::scrape_configs::0::basic_auth::password_ref: secret stores are not supported; give the value or a file
    "#]].assert_eq(&error);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a.yaml")).unwrap();
    let error = build(folder.path(), "scrape_config_files: [a.yaml]").unwrap_err();
    assert!(error.contains("config::scrape_config_files: cannot read `a.yaml`: "), "{error}");
    let large = std::fs::File::create(folder.path().join("b.yaml")).unwrap();
    large.set_len(::config::MAX_BYTES as u64 + 1).unwrap();
    let error = build(folder.path(), "scrape_config_files: [b.yaml]").unwrap_err();
    assert!(error.contains("MAX_BYTES"), "{error}");
}
