//! The programs under test: where they are, and how they are run to their end.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use world::child::{Child, free_port};

/// How a program ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The collector.
pub(crate) fn muster() -> PathBuf {
    built("muster")
}

/// The allocator.
pub(crate) fn muster_allocator() -> PathBuf {
    built("muster-allocator")
}

/// A program of this workspace, beside the folder that this test was built into.
pub(crate) fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test.parent().and_then(Path::parent).expect("tests are built into target/PROFILE/deps");
    profile.join(name)
}

/// Runs a program to its end.
pub(crate) fn run(program: &Path, args: &[&str]) -> Result<Outcome> {
    run_with(program, args, b"")
}

/// Longest run of a program that is run to its end.
const ENDS: Duration = Duration::from_secs(120);

/// Runs a program to its end, which has to come within [`ENDS`]; `stdin` has to fit into a pipe.
pub(crate) fn run_with(program: &Path, args: &[&str], stdin: &[u8]) -> Result<Outcome> {
    ensure!(program.exists(), "{} is not built: run `cargo xtask test`", program.display());
    let mut child = Command::new(program)
        .args(args)
        .env("POD_NAME", "muster-0")
        .env("K8S_NODE_NAME", "node-a")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    // A program that reads nothing may be gone already.
    let _written = child.stdin.take().context("stdin is piped")?.write_all(stdin);
    let stdout = text(child.stdout.take().context("stdout is piped")?);
    let stderr = text(child.stderr.take().context("stderr is piped")?);
    let deadline = Instant::now() + ENDS;
    let status = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("running {}", program.display()))? {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill().with_context(|| format!("ending {}", program.display()))?;
            let _ended = child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let joined = |reader: JoinHandle<String>| reader.join().expect("reading does not panic");
    let (stdout, stderr) = (joined(stdout), joined(stderr));
    let Some(status) = status else {
        bail!("{} {args:?} had not ended after {ENDS:?} (ENDS):\n{stderr}", program.display());
    };
    Ok(Outcome { code: status.code(), stdout, stderr })
}

/// What comes out of a pipe until it is closed.
fn text(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before it broke tells more than why.
        let _whole = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What a program prints; it has to succeed.
pub(crate) fn output(program: &Path, args: &[&str]) -> Result<String> {
    let outcome = run(program, args)?;
    ensure!(outcome.code == Some(0), "{} {args:?} failed:\n{}", program.display(), outcome.stderr);
    Ok(outcome.stdout)
}

/// Longest wait for a program to become ready; generous, because the machine may be busy with other tests.
const READY: Duration = Duration::from_secs(30);

/// A collector that runs in a folder of its own.
pub(crate) struct Collector {
    pub(crate) child: Child,
    pub(crate) config: PathBuf,
    pub(crate) health: String,
    manner: Manner,
    folder: TempDir,
}

/// How a collector is started, the first time and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// A program that becomes the collector, and its arguments: `prlimit --nofile=64`.
    pub(crate) under: Vec<String>,
    /// Further arguments of the collector.
    pub(crate) args: Vec<String>,
    /// Variables of its environment.
    pub(crate) env: Vec<(String, String)>,
}

impl Manner {
    fn command(&self, config: &Path, folder: &Path) -> Command {
        let words: Vec<&str> = self.under.iter().map(String::as_str).collect();
        let mut command = match &words[..] {
            [] => Command::new(muster()),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(muster());
                command
            }
        };
        command.arg("--config").arg(config).args(&self.args).current_dir(folder);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Collector {
    /// Starts a collector with this configuration and waits until data flows. `HEALTH` in the text stands for the
    /// address of its `health_check`.
    pub(crate) async fn start(name: &str, yaml: &str) -> Result<Self> {
        Self::start_with(name, yaml, &[]).await
    }

    /// As [`Self::start`], with further arguments.
    pub(crate) async fn start_with(name: &str, yaml: &str, args: &[&str]) -> Result<Self> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self::start_in(name, yaml, Manner { args, ..Manner::default() }).await
    }

    /// As [`Self::start`], in this manner.
    pub(crate) async fn start_in(name: &str, yaml: &str, manner: Manner) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder")?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, yaml.replace("HEALTH", &address)).context("writing the configuration")?;
        let mut child = Child::spawn(name, &mut manner.command(&config, folder.path()), folder.path())?;
        let health = format!("http://{address}/");
        child.ready(&health, READY).await?;
        Ok(Self { child, config, health, manner, folder })
    }

    /// Starts it again, with the configuration and the files that are there, after it has ended.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let name = self.child.name().to_owned();
        let mut command = self.manner.command(&self.config, self.folder.path());
        self.child = Child::spawn(&name, &mut command, self.folder.path())?;
        self.child.ready(&self.health, READY).await
    }

    /// Writes another configuration over the first one. `HEALTH` stays the address it was.
    pub(crate) fn rewrite(&self, yaml: &str) -> Result<()> {
        let address = self.health.trim_start_matches("http://").trim_end_matches('/');
        std::fs::write(&self.config, yaml.replace("HEALTH", address)).context("writing the configuration")
    }
}

/// An allocator that runs in a folder of its own.
pub(crate) struct Allocator {
    pub(crate) child: Child,
    pub(crate) url: String,
    env: Vec<(String, String)>,
    args: Vec<String>,
    folder: TempDir,
}

impl Allocator {
    /// Starts an allocator with this configuration; does not wait until it has something to say.
    pub(crate) fn start(yaml: &str) -> Result<Self> {
        Self::start_with(yaml, &[])
    }

    /// As [`Self::start`], with these variables in its environment. `FOLDER` in the text stands for a folder of its own.
    pub(crate) fn start_with(yaml: &str, env: &[(&str, &str)]) -> Result<Self> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::begin(yaml, env, &[], &[])
    }

    /// As [`Self::start`], with these files in its folder and further arguments. `FOLDER` in the text stands for the folder.
    pub(crate) fn start_in(yaml: &str, files: &[(&str, &str)], args: &[&str]) -> Result<Self> {
        Self::begin(yaml, Vec::new(), files, args)
    }

    fn begin(yaml: &str, env: Vec<(String, String)>, files: &[(&str, &str)], args: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder")?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let yaml = yaml.replace("FOLDER", &folder.path().display().to_string());
        for (name, text) in [("allocator.yaml", &*yaml)].iter().chain(files) {
            std::fs::write(folder.path().join(name), text).with_context(|| format!("writing {name}"))?;
        }
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let child = Self::spawn(&folder, &address, &env, &args)?;
        Ok(Self { child, url: format!("http://{address}"), env, args, folder })
    }

    /// Writes a file in its folder anew.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.folder.path().join(name), text).with_context(|| format!("writing {name}"))
    }

    /// Starts it again, with its configuration, its address and the files that are there, after it has ended.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let address = self.url.trim_start_matches("http://").to_owned();
        self.child = Self::spawn(&self.folder, &address, &self.env, &self.args)?;
        Ok(())
    }

    fn spawn(folder: &TempDir, address: &str, env: &[(String, String)], args: &[String]) -> Result<Child> {
        let mut command = Command::new(muster_allocator());
        command.arg("--config-file").arg(folder.path().join("allocator.yaml"));
        command.arg(format!("--listen-addr={address}")).args(args).current_dir(folder.path());
        command.envs(env.iter().map(|(name, value)| (name, value)));
        Child::spawn("allocator", &mut command, folder.path())
    }

    /// Waits until it answers `/readyz` with 200.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let url = format!("{}/readyz", self.url);
        self.child.ready(&url, READY).await
    }
}

/// Asks again and again until the answer is `Some`, or fails with what was seen last.
pub(crate) async fn eventually<T, F: Future<Output = Result<std::result::Result<T, String>>>>(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    let began = Instant::now();
    loop {
        match ask().await? {
            Ok(answer) => return Ok(answer),
            Err(seen) if began.elapsed() > deadline => {
                bail!("{what}: not within {deadline:?}; seen last: {seen}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Runs a test that waits for sockets.
pub(crate) fn block_on<T, F: Future<Output = Result<T>>>(test: F) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("building a runtime")?
        .block_on(test)
}
