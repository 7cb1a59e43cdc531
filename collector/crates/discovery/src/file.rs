//! Target groups from files.
//!
//! As Prometheus `discovery/file`: names with a wildcard in the last element, `__meta_filepath`, everything
//! read again every `refresh_interval`, a broken file keeps what it said last. Changes between refreshes are
//! seen by looking at modification time, length and inode every second or so instead of by inotify: it costs
//! one `stat` a file and works on every file system.
//!
//! Different on purpose: a file that is written in place is read only when two looks found it the same,
//! because half a YAML list is a valid shorter list; a file without any content counts as torn, `[]` says "no
//! targets"; a file must be missing in two looks before its targets go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::config::{Place, Problem};
use tokio::time::Instant;

use crate::board::Post;
use crate::stamp::Stamp;
use crate::{FileSdConfig, Group, MAX_GROUPS_BYTES, parse_json, parse_yaml};

/// The files of one `file_sd_configs` entry, and what they said last.
pub(crate) struct Files {
    patterns: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
    /// Folders that could not be listed.
    problems: Vec<Problem>,
    has_looked: bool,
}

#[derive(Default)]
struct Known {
    /// At the last look.
    seen: Option<Stamp>,
    /// When the content was last taken, valid or not.
    taken: Option<Stamp>,
    groups: Vec<Arc<Group>>,
    problem: Option<Problem>,
    n_looks_missing: u32,
}

/// Looks after the files until the task is dropped.
pub(crate) async fn run(config: FileSdConfig, base_dir: PathBuf, look_every: Duration, post: Post) {
    let mut files = Files::new(&config, &base_dir);
    let refresh = config.refresh_interval.as_duration();
    let mut refreshed: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let is_due = refreshed.is_none_or(|before| now.duration_since(before) >= refresh);
        if is_due {
            refreshed = Some(now);
        }
        let look = tokio::task::spawn_blocking(move || {
            let changed = files.look(is_due);
            (files, changed)
        });
        // The closure does not panic; if it is cancelled, the runtime is going down.
        let Ok((looked, changed)) = look.await else { return };
        files = looked;
        if changed {
            let problems = files.problems();
            if !problems.is_empty() {
                post.failed();
            }
            post.answer(files.groups(), problems);
        }
        tokio::time::sleep(look_every.min(refresh)).await;
    }
}

impl Files {
    pub(crate) fn new(config: &FileSdConfig, base_dir: &Path) -> Self {
        let patterns = config.files.iter().map(|file| base_dir.join(file)).collect();
        Self { patterns, known: BTreeMap::new(), problems: Vec::new(), has_looked: false }
    }

    /// Looks at the files once; `is_due` reads them even when they seem unchanged. Says whether there is
    /// news; the first look always is.
    pub(crate) fn look(&mut self, is_due: bool) -> bool {
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let (paths, problems) = self.list();
        let mut changed = is_first || problems != self.problems;
        let all_listed = problems.is_empty();
        self.problems = problems;
        for (path, known) in &mut self.known {
            known.n_looks_missing =
                if paths.contains(path) || !all_listed { 0 } else { known.n_looks_missing + 1 };
        }
        for path in paths {
            changed |= self.known.entry(path.clone()).or_default().look(&path, is_due);
        }
        let n_before = self.known.len();
        self.known.retain(|_, known| known.n_looks_missing < 2);
        changed || self.known.len() != n_before
    }

    pub(crate) fn groups(&self) -> Vec<Arc<Group>> {
        self.known.values().flat_map(|known| known.groups.iter().cloned()).collect()
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let of_files = self.known.values().filter_map(|known| known.problem.clone());
        self.problems.iter().cloned().chain(of_files).collect()
    }

    /// The files that exist.
    fn list(&self) -> (Vec<PathBuf>, Vec<Problem>) {
        let (mut paths, mut problems) = (Vec::new(), Vec::new());
        for pattern in &self.patterns {
            match files_named(pattern) {
                Ok(found) => paths.extend(found),
                Err(problem) => problems.push(problem),
            }
        }
        paths.sort();
        paths.dedup();
        (paths, problems)
    }
}

/// The files that a pattern names, sorted; only its last element may hold `*`. What does not exist is no file, and a
/// folder that does not exist holds none.
///
/// # Errors
/// When the folder cannot be listed.
pub fn files_named(pattern: &Path) -> Result<Vec<PathBuf>, Problem> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return match fs::symlink_metadata(pattern) {
            Ok(_) => Ok(vec![pattern.to_owned()]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(unreadable(pattern, &error)),
        };
    }
    let folder = pattern.parent().unwrap_or(Path::new("."));
    match matching(folder, &name) {
        Ok(mut found) => {
            found.sort();
            Ok(found)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            let message = format!("cannot list the folder `{}`: {error}", folder.display());
            Err(Problem::error("", message))
        }
    }
}

impl Known {
    fn look(&mut self, path: &Path, is_due: bool) -> bool {
        let stamp = match Stamp::of(path) {
            Ok(stamp) => stamp,
            Err(error) => return self.complain(unreadable(path, &error)),
        };
        let is_at_rest = self.seen.is_none_or(|seen| seen == stamp || !seen.is_same_file(&stamp));
        self.seen = Some(stamp);
        if !is_at_rest || (self.taken == Some(stamp) && !is_due) {
            return false;
        }
        let outcome = read(path, &stamp);
        if Stamp::of(path).ok() != Some(stamp) {
            // Written while it was read; the next look finds it at rest.
            return false;
        }
        self.taken = Some(stamp);
        match outcome {
            Ok(groups) => self.take(groups),
            Err(problem) => self.complain(problem),
        }
    }

    fn take(&mut self, groups: Vec<Group>) -> bool {
        let had_problem = self.problem.take().is_some();
        let is_same = groups.iter().eq(self.groups.iter().map(AsRef::as_ref));
        if !is_same {
            self.groups = groups.into_iter().map(Arc::new).collect();
        }
        had_problem || !is_same
    }

    /// Keeps the groups and tells the problem, if it is a new one.
    fn complain(&mut self, problem: Problem) -> bool {
        let is_news = self.problem.as_ref() != Some(&problem);
        self.problem = Some(problem);
        is_news
    }
}

fn read(path: &Path, stamp: &Stamp) -> Result<Vec<Group>, Problem> {
    let name = path.to_string_lossy();
    let here = Place { source: name.as_ref().into(), line: 1, column: 1 };
    if stamp.n_bytes > MAX_GROUPS_BYTES as u64 {
        let message =
            format!("the file is larger than {MAX_GROUPS_BYTES} bytes (limit of lists of target groups)");
        return Err(Problem::error("", message).with_place(&here));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    if text.trim().is_empty() {
        let problem = Problem::error("", "the file is empty, its former content is kept").with_place(&here);
        return Err(problem.with_hint("write `[]` where there are no targets"));
    }
    let meta = ("__meta_filepath", name.as_ref());
    if name.to_ascii_lowercase().ends_with(".json") {
        parse_json(&text, &name, meta)
    } else {
        parse_yaml(&text, &name, meta)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::error("", format!("cannot read `{}`: {error}", path.display()))
}

fn matching(folder: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if is_match(pattern, &name.to_string_lossy()) {
            found.push(folder.join(name));
        }
    }
    Ok(found)
}

/// Whether the name fits the pattern, in which `*` stands for any text.
fn is_match(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn files(dir: &TempDir, patterns: &[&str]) -> Files {
        let files = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Files::new(&FileSdConfig { files, refresh_interval: ::config::Period::from_secs(300) }, dir.path())
    }

    fn targets(files: &Files) -> String {
        let targets = files.groups().into_iter().flat_map(|group| group.targets.clone());
        targets.map(|target| target.value("__address__").to_owned()).collect::<Vec<_>>().join(" ")
    }

    /// Replaces the file as careful writers do.
    fn replace(dir: &TempDir, name: &str, text: &str) {
        let temporary = dir.path().join("next.tmp");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, dir.path().join(name)).unwrap();
    }

    #[test]
    fn a_wildcard_finds_files_that_come_and_go() {
        let dir = TempDir::new().unwrap();
        replace(&dir, "a-1.yaml", "- targets: [one:1]\n");
        replace(&dir, "other.yaml", "- targets: [other:1]\n");
        let mut files = files(&dir, &["a-*.yaml", "gone/*.json", "single.json"]);
        assert!(files.look(true));
        assert_eq!((targets(&files), files.problems()), ("one:1".into(), vec![]));
        let path = dir.path().join("a-1.yaml").display().to_string();
        assert_eq!(files.groups()[0].labels.value("__meta_filepath"), path);
        assert!(!files.look(false), "nothing changed");

        replace(&dir, "single.json", r#"[{"targets":["two:2"]}]"#);
        assert!(files.look(false));
        assert_eq!(targets(&files), "one:1 two:2");

        fs::remove_file(dir.path().join("a-1.yaml")).unwrap();
        assert!(!files.look(false), "a file may be missing while it is being replaced");
        assert!(files.look(false));
        assert_eq!(targets(&files), "two:2");
    }

    #[test]
    fn a_broken_file_keeps_its_last_content_and_is_named_with_its_line() {
        let dir = TempDir::new().unwrap();
        replace(&dir, "t.json", r#"[{"targets":["one:1"]}]"#);
        let mut files = files(&dir, &["t.json"]);
        files.look(true);
        replace(&dir, "t.json", "[\n{\"targets\":[\"on");
        assert!(files.look(false));
        assert_eq!(targets(&files), "one:1");
        let problem = files.problems()[0].to_string();
        assert!(problem.contains("t.json:2:"), "{problem}");
        assert!(!files.look(false), "a problem is told once");

        replace(&dir, "t.json", "");
        files.look(false);
        assert!(files.problems()[0].to_string().contains("the file is empty"), "{:?}", files.problems());
        assert_eq!(targets(&files), "one:1");

        replace(&dir, "t.json", "[]");
        assert!(files.look(false));
        assert_eq!((targets(&files), files.problems()), (String::new(), vec![]));
    }

    #[test]
    fn a_file_that_is_written_in_place_is_read_when_it_has_come_to_rest() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("t.yaml");
        fs::write(&path, "- targets: [one:1, two:2]\n").unwrap();
        let mut files = files(&dir, &["t.yaml"]);
        files.look(true);
        fs::write(&path, "- targets: [one:1]\n").unwrap();
        assert!(!files.look(false), "it may be half of what is being written");
        assert_eq!(targets(&files), "one:1 two:2");
        assert!(files.look(false));
        assert_eq!(targets(&files), "one:1");
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*.json", "a.json", true),
            ("*.json", ".json", true),
            ("a*b*.yml", "a--b--.yml", true),
            ("a*b*.yml", "a.yml", false),
            ("a*a.yml", "a.yml", false),
            ("exact.yml", "exact.yml", true),
            ("exact.yml", "exact.yml.bak", false),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
        }
    }
}
