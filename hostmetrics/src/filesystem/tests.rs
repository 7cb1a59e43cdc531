use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::mounts::{Mount, find_quick, keep_first_of_each};
use super::space::{Asking, MAX_HANGING, Space};

fn mount(line: &str) -> Mount {
    Mount::parse(line.as_bytes()).unwrap()
}

#[test]
fn a_line_of_the_table_is_read_with_its_escapes() {
    let disk = mount("36 35 98:0 / /mnt/my\\040disk rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue");
    assert_eq!(
        (&*disk.device, &*disk.point, &*disk.kind, disk.mode),
        ("/dev/sda1", "/mnt/my disk", "ext3", "rw")
    );
    assert!(disk.is_physical() && disk.has_exact_point());
    let broken = b"36 35 98:0 / /mnt/\xff rw - ext3 /dev/sda1 rw";
    assert!(!Mount::parse(broken).unwrap().has_exact_point());
    let bind = mount("37 35 98:0 /sub /mnt/b rw - ext3 /dev/sda1 rw");
    let virtual_one = mount("38 35 0:5 / /run ro shared:1 master:2 - tmpfs tmpfs rw,size=1k");
    assert!(!bind.is_physical() && !virtual_one.is_physical());
    assert_eq!(virtual_one.mode, "ro");
    assert_eq!(mount("38 35 0:5 / /x noatime - nfs s:/x ro").mode, "ro");
    assert_eq!(mount("38 35 0:5 / /x noatime - nfs s:/x hard").mode, "unknown");
    for broken in ["", "36 35 98:0 / /mnt", "36 35 98:0 / /mnt rw - ext4"] {
        assert_eq!(Mount::parse(broken.as_bytes()), None, "{broken}");
    }
}

#[test]
fn of_two_mounts_of_a_device_at_one_place_one_is_told() {
    let line = "36 35 98:0 / /mnt rw - ext3 /dev/sda1 rw";
    let mut mounts = [line, line, "36 35 98:0 / /mnt rw - ext3 /dev/sdb1 rw"].map(mount).to_vec();
    keep_first_of_each(&mut mounts);
    assert_eq!(mounts.len(), 2);
}

#[test]
fn mounts_that_answer_from_memory_all_the_way_are_asked_without_a_thread_whatever_hangs_elsewhere() {
    let line = |point: &str, kind: &str| mount(&format!("36 35 98:0 / {point} rw - {kind} /dev/x rw"));
    let root = line("/", "ext4");
    let data = line("/srv/data", "xfs");
    let quick = |others: &[Mount]| {
        let mut asked = [root.clone(), data.clone()];
        let all = [&asked, others].concat();
        find_quick(&mut asked, &all);
        asked.map(|mount| mount.is_quick)
    };
    assert_eq!(quick(&[]), [true, true]);
    let elsewhere = [line("/run", "tmpfs"), line("/srv/database", "nfs4"), line("/proc/sys/x", "autofs")];
    assert_eq!(quick(&elsewhere), [true, true]);
    // Asked itself, on the way, and unknown; over the whole host.
    for (point, kind) in [("/srv/data", "nfs"), ("/srv", "fuse.sshfs"), ("/srv/data", "zfs")] {
        assert_eq!(quick(&[line(point, kind)]), [true, false], "{kind} at {point}");
    }
    assert_eq!(quick(&[line("/", "9p")]), [false, false]);
}

#[test]
fn used_free_and_reserved_add_up_to_all_blocks() {
    let space = Space {
        block_bytes: 4096,
        blocks: 100,
        free_blocks: 30,
        available_blocks: 25,
        inodes: 10,
        free_inodes: 4,
    };
    assert_eq!(
        (space.used(), space.free(), space.reserved(), space.used_inodes()),
        (70 * 4096, 25 * 4096, 5 * 4096, 6)
    );
    // What a broken filesystem tells ends nothing.
    let odd = Space {
        block_bytes: u64::MAX,
        blocks: 1,
        free_blocks: 2,
        available_blocks: 3,
        inodes: 0,
        free_inodes: 1,
    };
    assert_eq!((odd.used(), odd.free(), odd.reserved(), odd.used_inodes()), (0, u64::MAX, 0, 0));
}

#[test]
fn blocks_are_counted_in_the_unit_of_the_filesystem() {
    let told = rustix::fs::statvfs("/").unwrap();
    let space = super::space::ask("/").unwrap();
    assert_eq!(space.block_bytes, told.f_frsize);
    let all = space.used() + space.free() + space.reserved();
    assert_eq!(all, told.f_blocks * told.f_frsize);
}

/// A gate that `hangs*` mounts wait at until it is opened.
static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

fn ask_with_a_dead_server(path: &str) -> std::io::Result<Space> {
    if path.starts_with("hangs") {
        let mut is_open = GATE.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_open {
            is_open = GATE.1.wait(is_open).unwrap_or_else(PoisonError::into_inner);
        }
    }
    Ok(Space { blocks: 1, ..Space::default() })
}

fn paths(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn answers(asking: &mut Asking, names: &[&str]) -> Vec<String> {
    let told = asking.ask(paths(names));
    told.into_iter()
        .map(|answer| answer.map_or_else(|error| error.to_string(), |_| "ok".to_owned()))
        .collect()
}

#[test]
fn a_mount_that_hangs_is_given_up_and_the_others_are_told() {
    let patience = Duration::from_millis(50);
    let mut asking = Asking::new(ask_with_a_dead_server).with_patience(patience);
    let began = Instant::now();
    assert_eq!(answers(&mut asking, &["a", "hangs", "b"]), ["ok", "no answer within 50ms", "ok"]);
    // It is not waited for a second time.
    assert_eq!(answers(&mut asking, &["hangs", "a"]), ["it still does not answer", "ok"]);
    // No more threads than the limit are left behind, and the refusal names it.
    let many = ["hangs1", "hangs2", "hangs3", "hangs4", "c"];
    let told = answers(&mut asking, &many);
    let refused = format!("not asked: max_hanging ({MAX_HANGING}) mounts hang already");
    assert_eq!(told[3..], [refused.clone(), refused]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // Once the server is back they are asked again.
    *GATE.0.lock().unwrap() = true;
    GATE.1.notify_all();
    let until = Instant::now() + Duration::from_secs(20);
    while answers(&mut asking, &many) != ["ok"; 5] {
        assert!(Instant::now() < until, "threads that hung do not come back");
        std::thread::yield_now();
    }
}
