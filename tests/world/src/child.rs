//! Child processes that always end, and whose words are kept.
//!
//! A child has no standard input, writes to files, and is a process group of its own: Ctrl-C at a terminal reaches
//! only the parent, which then ends its children in order. Dropping a [`Child`] kills it, on panic as well.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process, setrlimit};

use crate::http;

pub use rustix::process::Signal;

const POLL: Duration = Duration::from_millis(20);
/// Linux counts processor time for user space in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// A running, or ended, child process.
#[derive(Debug)]
pub struct Child {
    name: String,
    inner: std::process::Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Resident memory now.
    pub rss_bytes: u64,
    /// Resident memory at most.
    pub peak_rss_bytes: u64,
}

impl Child {
    /// Starts `command`; what it writes is appended to `NAME.out` and `NAME.log` in the folder `logs`.
    pub fn spawn(name: &str, command: &mut Command, logs: &Path) -> Result<Child> {
        let append = |path: &Path| File::options().create(true).append(true).open(path);
        let (stdout, stderr) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.log")));
        let files = append(&stdout).and_then(|out| Ok((out, append(&stderr)?)));
        let (out, err) = files.with_context(|| format!("opening log files in {}", logs.display()))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        let inner = command.spawn().with_context(|| format!("starting {name} ({program})"))?;
        Ok(Child { name: name.to_owned(), inner, stdout, stderr })
    }

    /// As [`Self::spawn`], and the child ends with this process, however that ends: it is killed as soon as its parent is gone.
    pub fn spawn_bound(name: &str, command: &Command, logs: &Path) -> Result<Child> {
        // The kernel watches over the thread that started the child, not over the process: that thread has to stay.
        static KEEPER: OnceLock<Sender<Box<dyn FnOnce() + Send>>> = OnceLock::new();
        let keeper = KEEPER.get_or_init(|| {
            let (sender, orders) = channel::<Box<dyn FnOnce() + Send>>();
            std::thread::spawn(move || orders.into_iter().for_each(|order| order()));
            sender
        });
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            bound.current_dir(folder);
        }
        let (name, logs) = (name.to_owned(), logs.to_owned());
        let (answer, spawned) = channel();
        let order = move || {
            // Who asked waits for the answer.
            answer.send(Child::spawn(&name, &mut bound, &logs)).ok();
        };
        keeper.send(Box::new(order)).ok().context("the thread that starts children is gone")?;
        spawned.recv().context("the thread that starts children is gone")?
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// Everything that processes of this name have written to standard output.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Everything that processes of this name have written to standard error.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// The last lines of standard error, for messages.
    pub fn last_words(&self) -> String {
        let all = self.stderr();
        let lines = all.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.inner.try_wait().ok().flatten()
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + deadline;
        loop {
            match self.ended() {
                Some(status) => return Ok(status),
                None if Instant::now() > until => bail!("{} still runs after {deadline:?}", self.name),
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Waits until GET of `url` is answered with a 2xx status.
    pub async fn ready(&mut self, url: &str, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.ended() {
                bail!("{} ended ({status}) before it was ready:\n{}", self.name, self.last_words());
            }
            let last = match http::get(url).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
                Ok(answer) => format!("status {}", answer.status),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > until {
                let words = self.last_words();
                bail!("{} is not ready after {deadline:?}: {url}: {last}\n{words}", self.name);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("a process id of zero")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.name))
    }

    /// Asks it to end (SIGTERM) and kills it if it has not after `grace`.
    pub async fn terminate(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match self.wait(grace).await {
            Ok(status) => Ok(status),
            Err(_) => self.kill(),
        }
    }

    /// kill -9, and waits for the end.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.inner.kill().with_context(|| format!("killing {}", self.name))?;
        self.inner.wait().with_context(|| format!("waiting for {}", self.name))
    }

    /// What it has used so far; `None` once it has ended.
    pub fn usage(&self) -> Option<Usage> {
        usage(self.id())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

/// What a process has used so far; `None` once it has ended.
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect::<Vec<_>>();
    let ticks = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kibibytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    let (rss, peak) = (kibibytes("VmRSS")?, kibibytes("VmHWM")?);
    Some(Usage { cpu: TICK * ticks, rss_bytes: rss << 10, peak_rss_bytes: peak << 10 })
}

/// Lets this process, and those it starts from now on, open as many files as the system allows without asking; gives that
/// number.
pub fn allow_open_files() -> Result<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("raising the limit of open files")?;
    Ok(maximum.unwrap_or(u64::MAX))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A loopback port that was free a moment ago, for programs that cannot tell which one they chose.
///
/// It is taken from below the range that the system gives to outgoing connections and to listeners on port 0, so that only
/// another caller can be in the way. Still: start such programs with a second try.
pub fn free_port() -> Result<u16> {
    const LOWEST: u64 = 10_000;
    const TRIES: u64 = 100;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let above = range.split_ascii_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768);
    let span = u64::saturating_sub(above, LOWEST).max(1);
    // The standard library's seed for hash maps is the random number at hand.
    let chance = RandomState::new().hash_one(0);
    let ports = (0..TRIES).map(|number| (LOWEST + chance.wrapping_add(number) % span) as u16);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.into_iter().find(is_free).context("looking for a free port")
}

/// One of this workspace's programs, built beside the one that runs.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the running program")?;
    // Tests run in `target/PROFILE/deps`, programs in `target/PROFILE`.
    let folder = own
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .context("a program without folder")?;
    let path = folder.join(name);
    if !path.is_file() {
        let release = if folder.ends_with("release") { " --release" } else { "" };
        let package = name.strip_prefix("muster-").filter(|rest| *rest != "allocator").unwrap_or(name);
        bail!("{} is not there; `cargo build{release} -p {package}` builds it", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, logs: &Path) -> Child {
        Child::spawn("shell", Command::new("sh").args(["-c", script]), logs).unwrap()
    }

    fn is_running(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[tokio::test]
    async fn words_and_status_of_a_child_are_kept() {
        let logs = tempfile::tempdir().unwrap();
        let mut child = shell("echo out; echo err >&2; exit 3", logs.path());
        assert_eq!(child.wait(Duration::from_secs(10)).await.unwrap().code(), Some(3));
        assert_eq!((child.stdout().as_str(), child.stderr().as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let logs = tempfile::tempdir().unwrap();
        let child = shell("exec sleep 1000", logs.path());
        let pid = child.id();
        assert!(is_running(pid) && child.usage().is_some());
        drop(child);
        assert!(!is_running(pid));
    }

    /// The test is its own parent: it runs itself in a process of its own, which starts the child and is killed.
    #[tokio::test]
    async fn a_bound_child_ends_with_a_parent_that_was_killed() {
        const NAME: &str = "child::tests::a_bound_child_ends_with_a_parent_that_was_killed";
        if let Some(logs) = std::env::var_os("LOGS_OF_BOUND_CHILD") {
            let script = ["-c", "echo $$; exec sleep 1000"];
            let _child = Child::spawn_bound("bound", Command::new("sh").args(script), logs.as_ref()).unwrap();
            return std::future::pending().await;
        }
        let logs = tempfile::tempdir().unwrap();
        let mut parent = Command::new(std::env::current_exe().unwrap());
        parent.args(["--exact", NAME]).env("LOGS_OF_BOUND_CHILD", logs.path());
        let mut parent = Child::spawn("parent", &mut parent, logs.path()).unwrap();
        let told = logs.path().join("bound.out");
        let deadline = Duration::from_secs(20);
        let started = async {
            while !read(&told).ends_with('\n') {
                tokio::time::sleep(POLL).await;
            }
            read(&told).trim().parse::<u32>().unwrap()
        };
        let bound = tokio::time::timeout(deadline, started).await.unwrap();
        assert!(is_running(bound) && !is_zombie(bound));
        parent.kill().unwrap();
        let gone = async {
            while is_running(bound) && !is_zombie(bound) {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(deadline, gone).await.unwrap();
    }

    /// Ended, and waiting for whoever inherited it to take note.
    fn is_zombie(pid: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_after_its_grace() {
        let logs = tempfile::tempdir().unwrap();
        let mut child = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done", logs.path());
        while child.stdout().is_empty() {
            tokio::time::sleep(POLL).await;
        }
        let status = child.terminate(Duration::from_millis(50)).await.unwrap();
        assert_eq!(status.to_string(), "signal: 9 (SIGKILL)");
    }

    #[tokio::test]
    async fn a_child_that_ends_is_not_waited_for_and_its_last_words_are_told() {
        let logs = tempfile::tempdir().unwrap();
        let mut child = shell("echo no such port >&2; exit 1", logs.path());
        let error = child.ready("http://127.0.0.1:1/", Duration::from_secs(60)).await.unwrap_err();
        let expected = "shell ended (exit status: 1) before it was ready:\nno such port";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn as_many_files_may_be_opened_as_the_system_allows() {
        let allowed = allow_open_files().unwrap();
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let words = line.split_ascii_whitespace().collect::<Vec<_>>();
        assert_eq!(words[3], words[4]);
        assert!(words[4] == "unlimited" || words[4] == allowed.to_string(), "{line}");
    }

    #[test]
    fn a_binary_that_is_not_built_tells_who_builds_it() {
        let error = binary("muster-nothing").unwrap_err().to_string();
        assert!(
            error.ends_with("muster-nothing is not there; `cargo build -p nothing` builds it"),
            "{error}"
        );
    }
}
