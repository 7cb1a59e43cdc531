//! Who a process is: read when it appears, when it starts another program, and from time to time; not in every scrape.

use std::io;

use wire::otlp::write;

use super::attributes::{Fact, Wanted};
use super::owners::Owners;
use super::stat::{Stat, Status};
use super::{Mutes, WHAT};
use crate::failure::is_gone;
use crate::filter::Filter;
use crate::turn::Turn;

/// Longest command line that is told; what follows is cut.
pub const MAX_COMMAND_LINE_BYTES: usize = 16 << 10;

/// Names that the kernel keeps are cut to so many bytes.
const COMM_BYTES: usize = 15;

/// A process as it was last looked at closely.
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// Start, parent, and where code and stack begin: other ones mean another program.
    key: (u64, u64, u64, u64),
    comm: Vec<u8>,
    /// When it was read, in milliseconds since the epoch.
    read_at: i64,
    /// Whether the filters take it.
    pub(super) is_taken: bool,
    /// The attributes of its resource, encoded.
    pub(super) resource: Vec<u8>,
    /// What could not be read; it is told in every scrape, as long as it lasts.
    pub(super) unread: Vec<Unread>,
}

/// A file of a process that could not be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) what: (&'static str, &'static str),
    pub(super) file: String,
    pub(super) error: io::Error,
}

/// A process younger than this may still be changing its user and its command line.
const YOUNG_MILLIS: i64 = 60_000;
/// After this time a process is looked at again: some change their command line as they go.
const OLD_MILLIS: i64 = 300_000;

impl Identity {
    /// Whether what is known is still true as far as `stat` tells. `started` is in milliseconds since the epoch.
    pub(super) fn is_current(&self, stat: &Stat<'_>, started: i64, now: i64) -> bool {
        let is_settled = self.read_at.saturating_sub(started) >= YOUNG_MILLIS;
        self.key == key_of(stat)
            && self.comm == stat.comm
            && is_settled
            && now.saturating_sub(self.read_at) < OLD_MILLIS
    }

    /// Whether it is the same process, whatever program it runs now.
    pub(super) fn is_same_process(&self, stat: &Stat<'_>) -> bool {
        self.key.0 == stat.start
    }
}

fn key_of(stat: &Stat<'_>) -> (u64, u64, u64, u64) {
    (stat.start, stat.parent, stat.code, stat.stack)
}

/// What looking closely takes.
pub(super) struct Reader<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) filter: &'a Filter,
    pub(super) mutes: &'a Mutes,
    pub(super) owners: &'a mut Owners,
    pub(super) path: &'a mut String,
    pub(super) unread: Vec<Unread>,
}

impl Reader<'_> {
    /// Looks at a process closely. `None` when it is gone.
    pub(super) fn read(&mut self, pid: u32, stat: &Stat<'_>, turn: &mut Turn<'_>) -> Option<Identity> {
        let words = self.command_line(pid, turn)?;
        let first = words.first().map(String::as_str).unwrap_or_default();
        let name = executable_name(stat.comm, first);
        let mut identity = Identity {
            key: key_of(stat),
            comm: stat.comm.to_vec(),
            read_at: turn.now.millis(),
            is_taken: self.filter.takes(&name),
            resource: Vec::new(),
            unread: Vec::new(),
        };
        if !identity.is_taken {
            identity.unread = std::mem::take(&mut self.unread);
            return Some(identity);
        }
        self.put_number(Fact::Pid, u64::from(pid), &mut identity);
        self.put_number(Fact::ParentPid, stat.parent, &mut identity);
        self.put(Fact::ExecutableName, &name, &mut identity);
        if self.wanted.has(Fact::ExecutablePath) && !stat.is_kernel_thread() {
            let path = self.executable_path(pid, turn);
            self.put(Fact::ExecutablePath, &path, &mut identity);
        }
        self.put(Fact::Command, first, &mut identity);
        self.put(Fact::CommandLine, &words.join(" "), &mut identity);
        if self.wanted.has(Fact::Owner) {
            let owner = self.owner(pid, turn);
            self.put(Fact::Owner, &owner, &mut identity);
        }
        if self.wanted.has(Fact::Cgroup) {
            let cgroup = self.cgroup(pid, turn);
            self.put(Fact::Cgroup, &cgroup, &mut identity);
        }
        identity.unread = std::mem::take(&mut self.unread);
        Some(identity)
    }

    /// An attribute without text is not sent; its filters see it as empty.
    fn put(&self, fact: Fact, value: &str, identity: &mut Identity) {
        let Some(key) = self.wanted.key(fact) else { return };
        identity.is_taken &= self.wanted.takes(fact, value);
        if value.is_empty() {
            return;
        }
        write::attribute(&mut identity.resource, write::RESOURCE_ATTRIBUTES, key, value);
    }

    fn put_number(&self, fact: Fact, value: u64, identity: &mut Identity) {
        let Some(key) = self.wanted.key(fact) else { return };
        identity.is_taken &= self.wanted.takes(fact, &value.to_string());
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        write::int_attribute(&mut identity.resource, write::RESOURCE_ATTRIBUTES, key, value);
    }

    /// The words of the command line; none for threads of the kernel and for zombies.
    fn command_line(&mut self, pid: u32, turn: &mut Turn<'_>) -> Option<Vec<String>> {
        turn.root.process(self.path, pid, "cmdline");
        match turn.files.read(self.path) {
            Ok(text) => {
                let text = &text[..text.len().min(MAX_COMMAND_LINE_BYTES)];
                let text = text.strip_suffix(b"\0").unwrap_or(text);
                if text.is_empty() {
                    return Some(Vec::new());
                }
                let words = text.split(|byte| *byte == 0);
                Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
            }
            Err(error) if is_gone(&error) => None,
            Err(error) => {
                self.fail(self.mutes.name, WHAT.command_line, error);
                Some(Vec::new())
            }
        }
    }

    fn executable_path(&mut self, pid: u32, turn: &Turn<'_>) -> String {
        turn.root.process(self.path, pid, "exe");
        match std::fs::read_link(&*self.path) {
            Ok(path) => path.to_string_lossy().into_owned(),
            Err(error) if is_gone(&error) => String::new(),
            Err(error) => {
                self.fail(self.mutes.exe, WHAT.executable, error);
                String::new()
            }
        }
    }

    fn owner(&mut self, pid: u32, turn: &mut Turn<'_>) -> String {
        turn.root.process(self.path, pid, "status");
        let user = match turn.files.read_of_process(self.path) {
            Ok(text) => Status::parse(text).user,
            Err(error) if is_gone(&error) => return String::new(),
            Err(error) => {
                self.fail(self.mutes.user, WHAT.owner, error);
                return String::new();
            }
        };
        let name = user.and_then(|user| self.owners.name(user));
        if name.is_none() {
            let user = user.map_or_else(|| "the user".to_owned(), |user| format!("user {user}"));
            let error = io::Error::other(format!("{user} is not in the host's passwd file"));
            self.fail(self.mutes.user, WHAT.owner, error);
        }
        self.owners.name(user.unwrap_or(u32::MAX)).unwrap_or_default().to_owned()
    }

    fn cgroup(&mut self, pid: u32, turn: &mut Turn<'_>) -> String {
        turn.root.process(self.path, pid, "cgroup");
        match turn.files.read(self.path) {
            Ok(text) => String::from_utf8_lossy(text.strip_suffix(b"\n").unwrap_or(text)).into_owned(),
            Err(error) if is_gone(&error) => String::new(),
            Err(error) => {
                self.fail(self.mutes.cgroup, WHAT.cgroup, error);
                String::new()
            }
        }
    }

    fn fail(&mut self, is_muted: bool, what: (&'static str, &'static str), error: io::Error) {
        if !is_muted {
            self.unread.push(Unread { what, file: self.path.clone(), error });
        }
    }
}

/// The kernel's name; where it may have been cut, the file name of the first word of the command line if it begins so.
fn executable_name(comm: &[u8], first_word: &str) -> String {
    let comm = String::from_utf8_lossy(comm).into_owned();
    let file = first_word.rsplit('/').next().unwrap_or_default();
    if comm.len() >= COMM_BYTES && file.starts_with(&comm) { file.to_owned() } else { comm }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_kernel_cut_is_completed_from_the_command_line() {
        assert_eq!(
            executable_name(b"kube-controller", "/bin/kube-controller-manager"),
            "kube-controller-manager"
        );
        assert_eq!(executable_name(b"kube-controller", "/bin/other"), "kube-controller");
        assert_eq!(executable_name(b"short", "/bin/shorter"), "short");
        assert_eq!(executable_name(b"kworker/u4:2-events", ""), "kworker/u4:2-events");
    }

    #[test]
    fn a_process_is_looked_at_again_while_young_after_an_exec_and_from_time_to_time() {
        let stat = Stat { comm: b"a", start: 1, code: 2, stack: 3, ..Stat::default() };
        let known =
            Identity { key: (1, 0, 2, 3), comm: b"a".to_vec(), read_at: 100_000, ..Identity::default() };
        assert!(known.is_current(&stat, 0, 100_000 + OLD_MILLIS - 1));
        assert!(!known.is_current(&stat, 0, 100_000 + OLD_MILLIS));
        assert!(!known.is_current(&stat, 100_000 - YOUNG_MILLIS + 1, 110_000));
        assert!(!known.is_current(&Stat { stack: 4, ..stat }, 0, 110_000));
        assert!(!known.is_current(&Stat { comm: b"b", ..stat }, 0, 110_000));
        assert!(!known.is_current(&Stat { parent: 1, ..stat }, 0, 110_000));
    }
}
