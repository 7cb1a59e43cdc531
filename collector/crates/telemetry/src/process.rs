//! Metrics of this process, by the names of the OpenTelemetry Collector.
//!
//! Read from `/proc/self` when somebody asks; on systems without it only the uptime is there.

use std::time::Instant;

use crate::Registry;

/// Ticks of `/proc/self/stat` in a second: `USER_HZ`, which Linux fixes at 100 for everything that programs
/// can see.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn register(registry: &Registry) {
    let started = Instant::now();
    registry.observe_counter(
        "otelcol_process_cpu_seconds",
        "CPU time of this process, user and system, in seconds",
        &[],
        || cpu_seconds(&std::fs::read_to_string("/proc/self/stat").ok()?),
    );
    registry.observe_gauge(
        "otelcol_process_memory_rss",
        "Memory of this process that is resident, in bytes",
        &[],
        || resident_bytes(&std::fs::read_to_string("/proc/self/status").ok()?),
    );
    registry.observe_counter(
        "otelcol_process_uptime",
        "Time since the start of this process, in seconds",
        &[],
        move || Some(started.elapsed().as_secs_f64()),
    );
}

/// Fields 14 and 15 (`utime`, `stime`), counted after the name, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 10 20 30 40 250 50 0 0 20 0 1 0 100 200 300";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("42 (a)"), None);
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
