//! Ticks of an interval, each of which wakes the process once.
//!
//! The runtime's own timers lie in a wheel of several levels. One that is more than a few milliseconds away goes from level to level as its
//! time comes, and the process wakes for each of them; and when it is set, the runtime is told through the kernel not to sleep longer. Together
//! that costs more than many a scrape. A timer of the kernel's own is set once.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Where ticks come from. Those that are missed come as one, at once; the ones after it keep to their times.
pub(crate) enum Ticks {
    Kernel(AsyncFd<OwnedFd>),
    /// Where the runtime has a clock of its own, or the kernel no timer left.
    Runtime(Interval),
}

impl Ticks {
    /// The first one comes after `delay`, and one `every` so often after it.
    pub(crate) fn new(delay: Duration, every: Duration) -> Self {
        let kernel = if has_clock_of_the_machine() { kernel_timer(delay, every).ok() } else { None };
        kernel.map_or_else(
            || {
                let mut ticks = tokio::time::interval_at(Instant::now() + delay, every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                Self::Runtime(ticks)
            },
            Self::Kernel,
        )
    }

    /// Returns when the next one comes.
    pub(crate) async fn next(&mut self) {
        match self {
            Self::Kernel(timer) => poll_fn(|cx| poll_timer(timer, cx)).await,
            Self::Runtime(ticks) => drop(ticks.tick().await),
        }
    }
}

/// Whether the runtime's clock is that of the machine, and not one that a test has paused.
fn has_clock_of_the_machine() -> bool {
    let before = std::time::Instant::now();
    let now = Instant::now().into_std();
    (before..=std::time::Instant::now()).contains(&now)
}

#[expect(deprecated, reason = "what came instead is unsafe; an `OwnedFd` stays open and the same")]
fn kernel_timer(delay: Duration, every: Duration) -> io::Result<AsyncFd<OwnedFd>> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let time = |time: Duration| Timespec::try_from(time).map_err(io::Error::other);
    // Zero would be never.
    let first = delay.max(Duration::from_nanos(1));
    let times = Itimerspec { it_interval: time(every)?, it_value: time(first)? };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
    AsyncFd::with_interest(timer, Interest::READABLE)
}

fn poll_timer(timer: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        // Fails only where the runtime ends, and whoever waits here with it.
        let Ok(mut ready) = ready!(timer.poll_read_ready(cx)) else { return Poll::Pending };
        // How many have come since the last one.
        let mut n_ticks = [0; 8];
        let outcome = rustix::io::read(timer, &mut n_ticks);
        ready.clear_ready();
        if outcome.is_ok() {
            return Poll::Ready(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn ticks_come_from_the_kernel_and_those_that_are_missed_come_as_one() {
        let began = std::time::Instant::now();
        let mut ticks = Ticks::new(Duration::ZERO, EVERY);
        assert!(matches!(ticks, Ticks::Kernel(_)));
        ticks.next().await;
        ticks.next().await;
        assert!(began.elapsed() >= EVERY);
        // Nobody asks while two more come.
        while began.elapsed() < EVERY * 3 {
            std::thread::yield_now();
        }
        ticks.next().await;
        ticks.next().await;
        assert!(began.elapsed() >= EVERY * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_follow_a_clock_that_is_paused() {
        let mut ticks = Ticks::new(Duration::from_secs(1), Duration::from_secs(60));
        assert!(matches!(ticks, Ticks::Runtime(_)));
        let began = Instant::now();
        for seconds in [1, 61, 121] {
            ticks.next().await;
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
    }
}
