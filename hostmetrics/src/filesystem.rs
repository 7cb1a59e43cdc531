//! `filesystem`: space and inodes of what is mounted.
//!
//! As upstream's `filesystemscraper`: mounts come from the table of the host's first process; those whose device is a path are
//! physical, and of these only mounts of the whole filesystem are told, unless `include_virtual_filesystems` says otherwise. One that
//! cannot be asked is named in an error and the others are told. Mended: a mount that hangs (a dead NFS server) is given
//! up after [`PATIENCE`] and left alone until it answers (those that answer from memory are asked without the thread that this
//! takes); a block counts as large as the filesystem counts it.

mod mounts;
mod space;

pub use space::{MAX_HANGING, PATIENCE};

use std::io;

use config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::filter::{Devices, Filter, FsTypes, MountPoints};
use crate::out::Out;
use crate::points::Points;
use crate::settings::MetricsConfig;
use crate::table::how::{GAUGE, INT_SUM};
use crate::table::{Attribute, Decision, Metric, Table, Verdict, row};
use crate::turn::{Scraper, Turn};
use mounts::{Mount, Mounts};
use space::{Asking, Space};

const DEVICE: Attribute = Attribute::open("device");
const MODE: Attribute = Attribute::of("mode", &["rw", "ro", "unknown"]);
const MOUNTPOINT: Attribute = Attribute::open("mountpoint");
const TYPE: Attribute = Attribute::open("type");
const STATE: Attribute = Attribute::of("state", &["used", "free", "reserved"]);
const INODE_STATE: Attribute = Attribute::of("state", &["used", "free"]);

const METRICS: &[Metric] = &[
    Metric::on(
        "system.filesystem.inodes.usage",
        "{inodes}",
        INT_SUM,
        &[DEVICE, MODE, MOUNTPOINT, TYPE, INODE_STATE],
        "Inodes of a filesystem.",
    ),
    Metric::on(
        "system.filesystem.usage",
        "By",
        INT_SUM,
        &[DEVICE, MODE, MOUNTPOINT, TYPE, STATE],
        "Space of a filesystem; reserved is what only root may use.",
    ),
    Metric::off(
        "system.filesystem.utilization",
        "1",
        GAUGE,
        &[DEVICE, MODE, MOUNTPOINT, TYPE],
        "Share of the space that everybody may use which is used.",
    ),
];

const INODES: usize = row(METRICS, "system.filesystem.inodes.usage");
const USAGE: usize = row(METRICS, "system.filesystem.usage");
const UTILIZATION: usize = row(METRICS, "system.filesystem.utilization");

/// Keys of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Which metrics are sent, and how.
    #[serde(default, skip_serializing_if = "MetricsConfig::is_empty")]
    pub metrics: MetricsConfig<Filesystem>,
    /// Devices that are looked at; all where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_devices: Option<Devices>,
    /// Devices that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_devices: Option<Devices>,
    /// Types of filesystem that are looked at; all where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_fs_types: Option<FsTypes>,
    /// Types of filesystem that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_fs_types: Option<FsTypes>,
    /// Mount points that are looked at; all where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_mount_points: Option<MountPoints>,
    /// Mount points that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_mount_points: Option<MountPoints>,
    /// Tells filesystems without a device (tmpfs, overlay, NFS) and mounts of parts of a filesystem, too.
    #[serde(default)]
    pub include_virtual_filesystems: bool,
}

/// The scraper.
#[derive(Debug)]
pub struct Filesystem {
    points: Points,
    wanted: Wanted,
    mounts: Mounts,
    asking: Asking,
}

/// Which mounts are told.
#[derive(Debug)]
struct Wanted {
    devices: Filter,
    types: Filter,
    mount_points: Filter,
    has_virtual: bool,
}

impl Wanted {
    fn takes(&self, mount: &Mount) -> bool {
        (self.has_virtual || mount.is_physical())
            && self.devices.takes(&mount.device)
            && self.types.takes(&mount.kind)
            && self.mount_points.takes(&mount.point)
    }
}

impl Table for Filesystem {
    const SCRAPER: &'static str = "filesystem";
    const SCHEMA_URL: &'static str = "https://opentelemetry.io/schemas/1.9.0";
    const METRICS: &'static [Metric] = METRICS;
    const DECISIONS: &'static [Decision] = &[
        Decision {
            about: "mounts that hang",
            upstream: "waits for them, and with it every other scraper",
            verdict: Verdict::Mended,
            test: "a_mount_that_hangs_is_given_up_and_the_others_are_told",
        },
        Decision {
            about: "system.filesystem.usage, size of a block",
            upstream: "takes the preferred size of a transfer for it, which some FUSE filesystems have different",
            verdict: Verdict::Mended,
            test: "blocks_are_counted_in_the_unit_of_the_filesystem",
        },
    ];
}

impl Scraper for Filesystem {
    fn scrape(&mut self, turn: &mut Turn<'_>, out: &mut Out) {
        self.read(turn);
        out.take(&mut self.points, &[]);
    }

    fn is_quick(&self) -> bool {
        self.mounts.asked.iter().all(|mount| mount.is_quick)
    }
}

impl Filesystem {
    pub(crate) fn build(config: &Config, version: &'static str, problems: &mut Vec<Problem>) -> Self {
        let points = Points::build(&config.metrics, version, problems);
        let devices = Filter::build(
            ("include_devices", config.include_devices.as_ref()),
            ("exclude_devices", config.exclude_devices.as_ref()),
            problems,
        );
        let types = Filter::build(
            ("include_fs_types", config.include_fs_types.as_ref()),
            ("exclude_fs_types", config.exclude_fs_types.as_ref()),
            problems,
        );
        let mount_points = Filter::build(
            ("include_mount_points", config.include_mount_points.as_ref()),
            ("exclude_mount_points", config.exclude_mount_points.as_ref()),
            problems,
        );
        let has_virtual = config.include_virtual_filesystems;
        let wanted = Wanted { devices, types, mount_points, has_virtual };
        Self { points, wanted, mounts: Mounts::default(), asking: Asking::new(space::ask) }
    }

    fn read(&mut self, turn: &mut Turn<'_>) {
        self.points.begin(turn.boot, turn.now_nanos());
        let Self { points, wanted, mounts, asking } = self;
        if !mounts.read(turn, |mount| wanted.takes(mount)) {
            return;
        }
        // Mounts that hang take nothing from those that cannot.
        let (quick, slow): (Vec<&Mount>, Vec<&Mount>) = mounts.asked.iter().partition(|mount| mount.is_quick);
        let path = |mount: &Mount| turn.root.host(&mount.point);
        let of_quick = quick.iter().map(|mount| space::ask(&path(mount)));
        let answers: Vec<_> =
            of_quick.chain(asking.ask(slow.iter().map(|mount| path(mount)).collect())).collect();
        for (mount, answer) in quick.into_iter().chain(slow).zip(answers) {
            match answer {
                Ok(space) => put(points, mount, &space),
                // Unmounted since the table was read.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && !turn.root.is_mounted()
                        && mount.has_exact_point() => {}
                Err(error) => {
                    let remedy = "leave it out by exclude_mount_points, or mount the host with its mounts (HostToContainer)";
                    turn.failures.add(("filesystem", "space of a mount"), &mount.point, &error, remedy);
                }
            }
        }
    }
}

fn put(points: &mut Points, mount: &Mount, space: &Space) {
    let (device, mode, point, kind) = (&*mount.device, mount.mode, &*mount.point, &*mount.kind);
    for (state, bytes) in [("used", space.used()), ("free", space.free()), ("reserved", space.reserved())] {
        points.int(USAGE, bytes, &[device, mode, point, kind, state]);
    }
    let to_all = space.used().saturating_add(space.free());
    let share = if to_all == 0 { 0.0 } else { space.used() as f64 / to_all as f64 };
    points.double(UTILIZATION, share, &[device, mode, point, kind]);
    for (state, inodes) in [("used", space.used_inodes()), ("free", space.free_inodes)] {
        points.int(INODES, inodes, &[device, mode, point, kind, state]);
    }
}
#[cfg(test)]
mod tests;
