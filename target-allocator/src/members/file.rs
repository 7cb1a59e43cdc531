//! The list of collectors in a file.
//!
//! Either YAML (`- s-0`, or `- {name: s-0, node: worker-1, draining: true}`) or one name per line, with `#` comments. A member
//! that is draining is given nothing and keeps its targets until others have taken over; then it can end without a gap. The file is looked
//! at twice a second. A list counts only when two looks in a row see the same text, so that a file which is being
//! written is not believed half-way; a file that vanishes, is empty or has a mistake changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::roster::{MAX_MEMBERS, Member, Roster, check_name};

/// Largest file of names, in bytes.
pub const MAX_MEMBERS_FILE: u64 = 1 << 20;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How soon a changed file is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// What the file said last, when it said something believable.
type Known = Result<Roster, String>;

/// Looks at a file until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    known: watch::Receiver<Known>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(path: PathBuf, changed: Arc<Notify>) -> Self {
        let unread = format!("the list of collectors in {} was not read yet", path.display());
        let (sender, known) = watch::channel(Err(unread));
        let task = tokio::spawn(look_forever(path, sender, changed));
        Self { known, task }
    }

    pub(super) fn known(&self) -> Known {
        self.known.borrow().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_forever(path: PathBuf, known: watch::Sender<Known>, changed: Arc<Notify>) {
    let mut seen: Option<Result<String, String>> = None;
    let mut judged = false;
    loop {
        let now = read(&path).await;
        let steady = seen.as_ref() == Some(&now);
        if steady && !judged {
            judged = true;
            judge(&path, &now, &known, &changed);
        }
        judged &= steady;
        let pause = if judged { LOOK } else { SECOND_LOOK };
        seen = Some(now);
        sleep(pause).await;
    }
}

/// Takes over what the file says, or says why not.
fn judge(path: &Path, text: &Result<String, String>, known: &watch::Sender<Known>, changed: &Notify) {
    let roster = text.clone().and_then(|text| parse(&text, &path.display().to_string()));
    let is_first = known.borrow().is_err();
    match roster {
        Ok(roster) => {
            let is_new = known.send_if_modified(|known| {
                let is_new = known.as_ref() != Ok(&roster);
                *known = Ok(roster.clone());
                is_new
            });
            if is_new {
                tracing::info!(path = %path.display(), collectors = roster.len(), "read the list of collectors");
                changed.notify_one();
            }
        }
        Err(why) if is_first => {
            tracing::warn!(path = %path.display(), error = %why, "the list of collectors cannot be used yet");
            let why = format!("the list of collectors in {} cannot be used: {why}", path.display());
            drop(known.send_replace(Err(why)));
            changed.notify_one();
        }
        Err(why) => {
            tracing::warn!(path = %path.display(), error = %why, "kept the last good list of collectors");
        }
    }
}

async fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("reading it failed: {error}");
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = Vec::new();
    file.take(MAX_MEMBERS_FILE + 1).read_to_end(&mut text).await.map_err(failed)?;
    if text.len() as u64 > MAX_MEMBERS_FILE {
        return Err(format!("it is larger than MAX_MEMBERS_FILE ({MAX_MEMBERS_FILE} bytes)"));
    }
    String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())
}

/// Reads names from the text of a file.
///
/// # Errors
/// Says what is wrong: nothing in it, a name that cannot be one, a name twice, too many names, not a list.
pub fn parse(text: &str, source: &str) -> Result<Roster, String> {
    let mut lines =
        text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty());
    let first = lines.next().ok_or("it has no name in it")?;
    let members = if first.starts_with('-') || first.starts_with('[') {
        parse_yaml(text, source)?
    } else {
        std::iter::once(first).chain(lines).map(Member::named).collect()
    };
    if members.len() > MAX_MEMBERS {
        return Err(format!("it has more names than MAX_MEMBERS ({MAX_MEMBERS})"));
    }
    for member in &members {
        check_name(&member.name)?;
    }
    let (n_named, roster) = (members.len(), Roster::new(members));
    match (roster.is_empty(), roster.len() == n_named) {
        (true, _) => Err("it has no name in it".to_owned()),
        (_, false) => Err("it has a name twice".to_owned()),
        _ => Ok(roster),
    }
}

fn parse_yaml(text: &str, source: &str) -> Result<Vec<Member>, String> {
    let parsed = config::parse(text, source).map_err(|problem| problem.to_string())?;
    if !parsed.root.is_seq() {
        return Err("it is not a list".to_owned());
    }
    let member = |node: &config::Node| -> Result<Member, String> {
        let name = node.text().or_else(|| node.get("name").and_then(config::Node::text));
        let name = name.ok_or_else(|| format!("{}: not a name", node.place()))?;
        let is_draining = node.get("draining").and_then(config::Node::text) == Some("true");
        let node = node.get("node").and_then(config::Node::text).map(Arc::from);
        Ok(Member { is_draining, ..Member::on(name.into(), node) })
    };
    parsed.root.items().map(member).collect()
}
