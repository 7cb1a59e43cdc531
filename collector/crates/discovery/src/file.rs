//! Target groups from files.
//!
//! As Prometheus `discovery/file`: names with wildcards in the last element, `__meta_filepath`, everything
//! read again every `refresh_interval`, a broken file keeps what it said last. Changes between refreshes are
//! heard of by inotify ([`Folders`]) and also seen by looking at modification time, length and inode every second
//! or so: that costs one `stat` a file and works on every file system.
//!
//! Different on purpose: a file that is written in place, or appears while we run, is read only when its writer
//! closed it or two looks found it the same, because half a YAML list is a valid shorter list; a file without any
//! content counts as torn, `[]` says "no targets"; a file must be missing in two looks before its targets go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::config::{Place, Problem};
use tokio::time::Instant;

use crate::board::Post;
use crate::folders::{Complete, Folders};
use crate::glob::{Glob, has_wildcard};
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
    let mut folders = Folders::new();
    let mut complete = Complete::new();
    let refresh = config.refresh_interval.as_duration();
    let mut refreshed: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let is_due = refreshed.is_none_or(|before| now.duration_since(before) >= refresh);
        if is_due {
            refreshed = Some(now);
        }
        // Listened to before the look, so that no change falls between the two.
        folders.listen(&files.folders());
        let finished = std::mem::take(&mut complete);
        let look = tokio::task::spawn_blocking(move || {
            let changed = files.look(is_due, &finished);
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
        tokio::select! {
            () = tokio::time::sleep(look_every.min(refresh)) => {}
            heard = folders.heard() => complete = heard,
        }
    }
}

impl Files {
    pub(crate) fn new(config: &FileSdConfig, base_dir: &Path) -> Self {
        let patterns = config.files.iter().map(|file| base_dir.join(file)).collect();
        Self { patterns, known: BTreeMap::new(), problems: Vec::new(), has_looked: false }
    }

    /// Looks at the files once; `is_due` reads them even when they seem unchanged, and those in `complete` are not
    /// being written. Says whether there is news; the first look always is.
    pub(crate) fn look(&mut self, is_due: bool, complete: &Complete) -> bool {
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
            // At the start there is nothing to keep, so a file is read as it is.
            let is_complete = is_first || complete.contains(&path);
            changed |= self.known.entry(path.clone()).or_default().look(&path, is_due, is_complete);
        }
        let n_before = self.known.len();
        self.known.retain(|_, known| known.n_looks_missing < 2);
        changed || self.known.len() != n_before
    }

    /// The folders in which files come and go.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let folder = |pattern: &PathBuf| pattern.parent().map(Path::to_path_buf);
        self.patterns.iter().filter_map(folder).collect()
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

/// The files that a pattern names, sorted; wildcards count in its last element only, see
/// [`check_file_pattern`](crate::check_file_pattern). What does not exist is no file, and a folder that does not exist
/// holds none.
///
/// # Errors
/// When the folder cannot be listed, or the pattern is malformed.
pub fn files_named(pattern: &Path) -> Result<Vec<PathBuf>, Problem> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !has_wildcard(&name) {
        return match fs::symlink_metadata(pattern) {
            Ok(_) => Ok(vec![pattern.to_owned()]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(unreadable(pattern, &error)),
        };
    }
    let Ok(glob) = Glob::parse(&name) else {
        return Err(Problem::error(
            "",
            format!("cannot list `{}`: the pattern is malformed", pattern.display()),
        ));
    };
    let folder = pattern.parent().unwrap_or(Path::new("."));
    match matching(folder, &glob) {
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
    fn look(&mut self, path: &Path, is_due: bool, is_complete: bool) -> bool {
        let stamp = match Stamp::of(path) {
            Ok(stamp) => stamp,
            Err(error) => return self.complain(unreadable(path, &error)),
        };
        let was_at_rest = |seen: Stamp| seen == stamp || !seen.is_same_file(&stamp);
        let is_at_rest = is_complete || self.seen.is_some_and(was_at_rest);
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

fn matching(folder: &Path, glob: &Glob) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if glob.is_match(&name.to_string_lossy()) {
            found.push(folder.join(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
