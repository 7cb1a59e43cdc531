//! What a receiver, a process or a host can do to remote write, with real processes: the ledger tells what was lost or sent twice.
//!
//! Time is scaled: targets are scraped every 200 ms, timeouts and waits are shortened alike. Nothing of it may be lost, and nothing
//! may arrive twice, unless a test names what may.

mod beside;
mod clock;
mod limits;
mod receiver;
mod scene;

use anyhow::{Result, ensure};

use crate::Case;
use crate::programs::{self, block_on};

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
