//! Where the host's files are.
//!
//! In a container the host is mounted somewhere (`root_path`). Upstream sets variables of the process for that and forgets some
//! readers; here every path goes through [`Root`], and two receivers may look at two hosts. `HOST_PROC`, `HOST_SYS` and
//! `HOST_ETC` are honoured as upstream does: where they are set they win.

use std::fmt::Write as _;
use std::path::Path;

/// The host's file system as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// What stands in front of the host's paths; empty on the host itself. Never ends with a slash.
    pub(crate) prefix: String,
    proc: String,
    sys: String,
    etc: String,
}

impl Root {
    /// The host below `root_path`; `variable` tells the values of environment variables.
    pub fn new(root_path: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let prefix = root_path.trim_end_matches('/').to_owned();
        let folder = |name: &str, standard: &str| {
            variable(name).filter(|value| !value.is_empty()).map_or_else(
                || format!("{prefix}/{standard}"),
                |value| value.trim_end_matches('/').to_owned(),
            )
        };
        let (proc, sys, etc) =
            (folder("HOST_PROC", "proc"), folder("HOST_SYS", "sys"), folder("HOST_ETC", "etc"));
        Self { proc, sys, etc, prefix }
    }

    /// The host below `root_path`, whatever the environment says.
    #[must_use]
    pub fn at(root_path: &Path) -> Self {
        Self::new(&root_path.to_string_lossy(), |_| None)
    }

    /// Whether the host is seen through a mount, so that `self` in its `/proc` is not a process of ours.
    pub(crate) fn is_mounted(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// `/proc` itself.
    pub(crate) fn proc_folder(&self) -> &str {
        &self.proc
    }

    /// A file below `/proc`.
    pub(crate) fn proc(&self, name: &str) -> String {
        format!("{}/{name}", self.proc)
    }

    /// A file below `/sys`.
    pub(crate) fn sys(&self, name: &str) -> String {
        format!("{}/{name}", self.sys)
    }

    /// A file below `/etc`.
    pub(crate) fn etc(&self, name: &str) -> String {
        format!("{}/{name}", self.etc)
    }

    /// A file of the network namespace of the host. `/proc/net` belongs to the process that reads it, which in a container
    /// without the host's network is the wrong one: there the namespace of the host's first process is read.
    pub(crate) fn net(&self, name: &str) -> String {
        let of_init = format!("{}/1/net/{name}", self.proc);
        if self.is_mounted() && Path::new(&of_init).exists() {
            return of_init;
        }
        format!("{}/net/{name}", self.proc)
    }

    /// Whether the host's network namespace is the one that this process is in. Each namespace has files of its own below `net`, and
    /// they have the same number in every mount of `/proc`; a folder that only looks like `/proc` may hold anything.
    pub(crate) fn is_own_network(&self) -> bool {
        let number = |path: &str| {
            let is_proc = rustix::fs::statfs(path).ok()?.f_type == rustix::fs::PROC_SUPER_MAGIC;
            rustix::fs::stat(path).ok().filter(|_| is_proc).map(|told| told.st_ino)
        };
        number("/proc/self/net/tcp").is_some_and(|own| number(&self.net("tcp")) == Some(own))
    }

    /// Whether a file below `/proc/sys/net`, which shows each process what its own network has, tells of another network than the host's. A
    /// folder that only looks like `/proc` tells whatever it holds.
    pub(crate) fn is_of_another_network(&self, path: &str) -> bool {
        let is_proc =
            || rustix::fs::statfs(path).is_ok_and(|told| told.f_type == rustix::fs::PROC_SUPER_MAGIC);
        self.is_mounted() && is_proc() && !self.is_own_network()
    }

    /// A path of the host.
    pub(crate) fn host(&self, path: &str) -> String {
        if !self.is_mounted()
            || path.strip_prefix(&*self.prefix).is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
        {
            return path.to_owned();
        }
        format!("{}{path}", self.prefix)
    }

    /// Writes the path of a file of a process over `into`.
    pub(crate) fn process(&self, into: &mut String, pid: u32, name: &str) {
        into.clear();
        // Writing to a text cannot fail.
        write!(into, "{}/{pid}/{name}", self.proc).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_below_the_root_path_unless_a_variable_says_otherwise() {
        let root = Root::new("/hostfs/", |_| None);
        assert_eq!(root.proc("stat"), "/hostfs/proc/stat");
        assert_eq!(root.sys("x"), "/hostfs/sys/x");
        assert_eq!(root.etc("passwd"), "/hostfs/etc/passwd");
        let root = Root::new("/hostfs", |name| (name == "HOST_PROC").then(|| "/p/".to_owned()));
        assert_eq!((root.proc("stat").as_str(), root.sys("x").as_str()), ("/p/stat", "/hostfs/sys/x"));
        let root = Root::new("", |name| (name == "HOST_SYS").then(String::new));
        assert_eq!((root.proc("stat").as_str(), root.sys("x").as_str()), ("/proc/stat", "/sys/x"));
    }

    #[test]
    fn our_own_network_is_known_by_the_files_of_its_namespace() {
        assert!(Root::new("", |_| None).is_own_network());
        // The host seen through a mount; only who may trace its first process can look at the namespace itself.
        let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        if let Some(of_init) = namespace("1") {
            let root = Root::new("/proc/self/root", |_| None);
            assert_eq!(root.is_own_network(), Some(of_init) == namespace("self"));
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("proc/net")).unwrap();
        std::fs::write(folder.path().join("proc/net/tcp"), "").unwrap();
        assert!(!Root::at(folder.path()).is_own_network());
        assert!(!Root::new("/no/such", |_| None).is_own_network());
    }

    #[test]
    fn numbers_of_another_network_are_not_taken_for_the_hosts() {
        let file = "/proc/sys/net/core/somaxconn";
        let mounted = Root::new("/proc/self/root", |_| None);
        assert_eq!(mounted.is_of_another_network(file), !mounted.is_own_network());
        // A mount in which there is no network of the host to be found.
        assert!(Root::new("/no/such", |_| None).is_of_another_network(file));
        assert!(!Root::new("", |_| None).is_of_another_network(file));
        let folder = tempfile::tempdir().unwrap();
        assert!(!Root::at(folder.path()).is_of_another_network(&folder.path().to_string_lossy()));
    }

    #[test]
    fn a_path_of_the_host_gets_the_prefix_once() {
        let root = Root::new("/hostfs", |_| None);
        assert_eq!(root.host("/var"), "/hostfs/var");
        assert_eq!(root.host("/hostfs/var"), "/hostfs/var");
        assert_eq!(root.host("/hostfs"), "/hostfs");
        assert_eq!(root.host("/hostfs2"), "/hostfs/hostfs2");
        assert_eq!(Root::new("", |_| None).host("/var"), "/var");
    }
}
