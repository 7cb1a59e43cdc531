//! What is mounted where: `/proc/1/mountinfo`, or that of this process where the first one's cannot be read.

use std::collections::HashSet;

use model::Timestamp;

use crate::files::{Pieces, malformed};
use crate::text;
use crate::turn::Turn;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The device, or another word for the source.
    pub(super) device: String,
    /// Where it is mounted, as the host sees it.
    pub(super) point: String,
    /// Type of the filesystem.
    pub(super) kind: String,
    /// Whether it can be written: `rw`, `ro` or `unknown`.
    pub(super) mode: &'static str,
    /// Whether the whole filesystem is mounted, not a folder of it.
    is_whole: bool,
    /// Whether it can be asked without waiting for anybody: it, and what is mounted on the way to it.
    pub(super) is_quick: bool,
}

/// Filesystems that tell how full they are from what the kernel has in memory: those on a disk of this host and those without any. Of
/// an overlay, what lies below it is mounted, too. Everything else may have to ask somebody: a server, a process (FUSE), a pool of disks.
const FROM_MEMORY: [&str; 36] = [
    "bdev",
    "binfmt_misc",
    "bpf",
    "btrfs",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "exfat",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "msdos",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "vfat",
    "xfs",
];

impl Mount {
    /// Whether it is told from memory how full it is.
    fn is_from_memory(&self) -> bool {
        FROM_MEMORY.binary_search(&&*self.kind).is_ok()
    }

    /// Whether this path is the mount point or below it.
    fn holds(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.point.trim_end_matches('/'));
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether its point is what the kernel says, and not what is left of bytes that are no UTF-8: no path leads there.
    pub(super) fn has_exact_point(&self) -> bool {
        !self.point.contains(char::REPLACEMENT_CHARACTER)
    }

    /// Whether it stands for a disk.
    pub(super) fn is_physical(&self) -> bool {
        self.device.starts_with('/') && self.is_whole
    }

    /// Reads a line of `mountinfo`: id, parent, device numbers, root, mount point, options, optional fields up to a dash, type, source,
    /// options of the filesystem.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut words = text::words(line).skip(3);
        let (root, point, options) = (words.next()?, words.next()?, words.next()?);
        let mut words = words.skip_while(|word| *word != b"-").skip(1);
        let (kind, device) = (words.next()?, words.next()?);
        let super_options = words.next().unwrap_or_default();
        Some(Self {
            device: text::unescape(device),
            point: text::unescape(point),
            kind: String::from_utf8_lossy(kind).into_owned(),
            mode: mode(options).or_else(|| mode(super_options)).unwrap_or("unknown"),
            is_whole: root == b"/",
            is_quick: false,
        })
    }
}

fn mode(options: &[u8]) -> Option<&'static str> {
    options.split(|byte| *byte == b',').find_map(|option| match option {
        b"rw" => Some("rw"),
        b"ro" => Some("ro"),
        _ => None,
    })
}

/// For how long the kernel is believed that the table has not changed, in milliseconds: kernels of sandboxes may never say that it has.
const BELIEVED_MS: u64 = 60_000;

/// The table of mounts as it was read last. It seldom changes: only then its lines are looked at.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    text: Vec<u8>,
    read_at: Timestamp,
    /// Those that are asked how full they are.
    pub(super) asked: Vec<Mount>,
}

impl Mounts {
    /// Reads the mounts of the host, and takes some of them. False where the table cannot be read, which is noted.
    pub(super) fn read(&mut self, turn: &mut Turn<'_>, takes: impl Fn(&Mount) -> bool) -> bool {
        let what = ("filesystem", "table of mounts");
        let if_new = |text: &[u8]| (text != self.text).then(|| text.to_vec());
        let mut path = turn.root.proc("1/mountinfo");
        let is_recent = turn.now.0.abs_diff(self.read_at.0) < BELIEVED_MS;
        if is_recent && !self.text.is_empty() && turn.files.is_unchanged(&path) {
            return true;
        }
        self.read_at = turn.now;
        let mut found = turn.files.read_again(&path, Pieces::Many).map(if_new);
        if found.is_err() {
            path = turn.root.proc("self/mountinfo");
            found = turn.files.read_again(&path, Pieces::Many).map(if_new);
        }
        let text = match found {
            Ok(None) => return true,
            Ok(Some(text)) => text,
            Err(error) => {
                turn.failures.add(what, &path, &error, "mount the host's /proc below root_path");
                return false;
            }
        };
        let mut all = Vec::new();
        let mut is_broken = false;
        for line in text::lines(&text).filter(|line| !line.trim_ascii().is_empty()) {
            match Mount::parse(line) {
                Some(mut mount) => {
                    mount.device = resolved(turn, mount.device);
                    all.push(mount);
                }
                None => is_broken = true,
            }
        }
        if is_broken {
            turn.failures.add(what, &path, &malformed("a line is not a mount"), "");
        }
        self.asked = all.iter().filter(|mount| takes(mount)).cloned().collect();
        keep_first_of_each(&mut self.asked);
        find_quick(&mut self.asked, &all);
        // A broken table is looked at, and told of, every time.
        self.text = if is_broken { Vec::new() } else { text };
        true
    }
}

/// The device behind names that stand for others, as far as the host's `/dev` tells.
fn resolved(turn: &Turn<'_>, device: String) -> String {
    if device != "/dev/root" && !device.starts_with("/dev/mapper/") {
        return device;
    }
    let Ok(target) = std::fs::read_link(turn.root.host(&device)) else { return device };
    match target.file_name() {
        // Links of the device mapper are relative: `../dm-0`.
        Some(name) => format!("/dev/{}", name.to_string_lossy()),
        None => device,
    }
}

/// Marks those of `asked` that nobody has to be waited for.
pub(super) fn find_quick(asked: &mut [Mount], all: &[Mount]) {
    let slow: Vec<&Mount> = all.iter().filter(|mount| !mount.is_from_memory()).collect();
    for mount in asked {
        mount.is_quick = !slow.iter().any(|slow| slow.holds(&mount.point));
    }
}

/// Of mounts of one device at one place only the first is told.
pub(super) fn keep_first_of_each(mounts: &mut Vec<Mount>) {
    let mut known = HashSet::new();
    mounts.retain(|mount| known.insert((mount.point.clone(), mount.device.clone())));
}
