//! What a receiver, a process or a host can do to remote write, with real processes: the ledger tells what was lost or sent twice.
//!
//! Time is scaled: targets are scraped every 200 ms, timeouts and waits are shortened alike. Nothing of it may be lost, and nothing
//! may arrive twice, unless a test names what may.

mod beside;
mod clock;
mod full_disk;
mod limits;
mod process;
mod receiver;
mod scene;

use anyhow::{Result, ensure};

use crate::Case;
use crate::programs::{self, block_on};

/// What a disk of one's own takes: programs, and the permission to mount.
const MOUNTS: &[&str] = &["unshare", "nsenter", "stat", crate::PERMISSION_TO_MOUNT];

pub(crate) const CASES: &[Case] = &[
    Case::new("a_receiver_that_refuses_connections_costs_nothing", || block_on(receiver::refused())),
    Case::new("a_receiver_that_swallows_packets_costs_nothing", || block_on(receiver::black_hole())),
    Case::new("connections_reset_in_the_middle_of_a_body_cost_nothing", || block_on(receiver::reset())),
    Case::new("a_receiver_that_never_answers_is_asked_once_a_timeout_and_costs_nothing", || {
        block_on(receiver::mute())
    }),
    Case::new("a_receiver_that_flaps_each_second_costs_nothing", || block_on(receiver::flapping())),
    Case::needing("a_clock_that_jumps_an_hour_ahead_in_an_outage_costs_nothing", &["cc"], || {
        block_on(clock::forward())
    }),
    Case::needing("a_clock_that_jumps_an_hour_back_in_an_outage_costs_nothing", &["cc"], || {
        block_on(clock::back())
    }),
    Case::needing("sixty_four_open_files_cost_nothing_of_what_was_scraped", &["prlimit"], || {
        block_on(limits::few_files())
    }),
    Case::new("a_slow_receiver_delays_neither_logs_nor_another_receiver", beside::slow_receiver),
    Case::new("kill_in_an_outage_costs_at_most_what_was_not_saved_yet_and_nothing_comes_twice", || {
        block_on(process::killed_in_an_outage())
    }),
    Case::new(
        "kill_at_work_costs_at_most_what_was_not_saved_yet_and_repeats_at_most_what_was_in_flight",
        || block_on(process::killed_at_work()),
    ),
    Case::new("an_end_in_an_outage_takes_less_than_ten_seconds_and_costs_nothing", || {
        block_on(process::ended_in_an_outage())
    }),
    Case::needing("a_disk_that_fills_up_costs_nothing_while_there_is_memory", MOUNTS, || {
        block_on(full_disk::fills_up())
    }),
    Case::needing("a_start_on_a_full_disk_works_and_sends_what_the_disk_has", MOUNTS, || {
        block_on(full_disk::starts_full())
    }),
    Case::needing(
        "a_real_prometheus_misses_nothing_and_has_nothing_twice_after_an_outage",
        &["prometheus"],
        soak,
    ),
];

/// `cargo xtask soak outage`, scaled down.
fn soak() -> Result<()> {
    let words = "soak outage --targets 20 --series 250 --interval 1 --before 3 --outage 8 --after 2";
    let words: Vec<&str> = words.split(' ').collect();
    let outcome = programs::run(&programs::built("muster-bench"), &words)?;
    ensure!(outcome.code == Some(0), "{}\n{}", outcome.stdout, outcome.stderr);
    ensure!(outcome.stdout.contains("0 scrapes missing, 0 twice, 0 samples uneven"), "{}", outcome.stdout);
    Ok(())
}
