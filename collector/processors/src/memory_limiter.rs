//! `memory_limiter`: refuses data while memory is short.
//!
//! As the collector's `processor/memorylimiterprocessor`, except: what is measured is what the kernel kills for, the
//! resident memory of the process (upstream measures the live heap and is killed below its own limit); there is no
//! garbage collector to force, so the keys that pace one are accepted and do nothing.
//!
//! ```yaml
//! memory_limiter:
//!   check_interval: 1s
//!   limit_percentage: 80
//!   spike_limit_percentage: 25
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use config::{Problem, Timeout};
use model::{Batch, Signals};
use pipeline::{Component, Life, Refused, Site, Transform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

const MIB: u64 = 1 << 20;

/// Refuses data while memory is short.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// How often memory is looked at. Must be set.
    #[serde(default = "config::timeout_secs::<0>")]
    pub check_interval: Timeout,
    /// Memory that the process may use, in MiB; wins over the percentage.
    #[serde(default)]
    pub limit_mib: u64,
    /// Room below the limit at which refusing begins, in MiB; a fifth of the limit where absent.
    #[serde(default)]
    pub spike_limit_mib: u64,
    /// Memory that the process may use, in percent of what the machine or its control group has.
    #[serde(default)]
    pub limit_percentage: u64,
    /// Room below the limit at which refusing begins, in percent of the same.
    #[serde(default)]
    pub spike_limit_percentage: u64,
    /// Accepted for compatibility; there is no garbage collector here.
    #[serde(default)]
    pub min_gc_interval_when_soft_limited: Option<Timeout>,
    /// Accepted for compatibility; there is no garbage collector here.
    #[serde(default)]
    pub min_gc_interval_when_hard_limited: Option<Timeout>,
    /// Accepted for compatibility; there is no garbage collector here.
    #[serde(default)]
    pub max_gc_interval_when_soft_limited: Option<Timeout>,
    /// Accepted for compatibility; there is no garbage collector here.
    #[serde(default)]
    pub max_gc_interval_when_hard_limited: Option<Timeout>,
}

/// Where refusing begins, in bytes of resident memory.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    soft: u64,
    hard: u64,
}

/// The running processor.
#[derive(Debug)]
pub struct MemoryLimiter {
    every: Duration,
    config: Config,
    is_short: AtomicBool,
}

impl Component for MemoryLimiter {
    const TYPE: &'static str = "memory_limiter";
    const SIGNALS: Signals = Signals::ALL;
    type Config = Config;

    fn build(config: Config, _site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if config.check_interval.as_duration().is_none() {
            problems.push(Problem::at("check_interval", "must be greater than zero, for example 1s"));
        }
        if config.limit_mib == 0 && config.limit_percentage == 0 {
            problems
                .push(Problem::at("limit_mib", "limit_mib or limit_percentage must be greater than zero"));
        }
        for (key, percent) in [
            ("limit_percentage", config.limit_percentage),
            ("spike_limit_percentage", config.spike_limit_percentage),
        ] {
            if percent > 100 {
                problems.push(Problem::at(key, format!("{percent} is more than 100 percent")));
            }
        }
        if config.limit_mib > 0 && config.spike_limit_mib >= config.limit_mib {
            problems.push(Problem::at("spike_limit_mib", "must be smaller than limit_mib"));
        }
        if config.limit_mib == 0
            && config.limit_percentage > 0
            && config.spike_limit_percentage >= config.limit_percentage
        {
            problems.push(Problem::at("spike_limit_percentage", "must be smaller than limit_percentage"));
        }
        match config.check_interval.as_duration() {
            Some(every) if problems.is_empty() => {
                Ok(Self { every, config, is_short: AtomicBool::new(false) })
            }
            _ => Err(problems),
        }
    }
}

impl Transform for MemoryLimiter {
    fn apply(&self, _batch: &mut Batch) -> Result<(), Refused> {
        if self.is_short.load(Ordering::Relaxed) {
            return Err(Refused::Memory {
                limit: "memory_limiter: data refused due to high memory usage".to_owned(),
            });
        }
        Ok(())
    }

    async fn attend(&self, life: Life) {
        let Some(limits) = limits(&self.config, total_memory()) else {
            warn!(processor = %life.id(), "the machine does not say how much memory it has: limit_percentage has no effect");
            return;
        };
        while life.sleep(self.every).await {
            let Some(used) = resident_memory() else { continue };
            let is_short = used >= limits.soft;
            let was_short = self.is_short.swap(is_short, Ordering::Relaxed);
            let (used_mib, soft_mib, hard_mib) = (used / MIB, limits.soft / MIB, limits.hard / MIB);
            if is_short && !was_short {
                warn!(processor = %life.id(), used_mib, soft_mib, hard_mib, "Memory usage is above soft limit. Refusing data.");
            } else if was_short && !is_short {
                info!(processor = %life.id(), used_mib, soft_mib, "Memory usage back within limits. Resuming normal operation.");
            }
        }
    }
}

fn limits(config: &Config, total: Option<u64>) -> Option<Limits> {
    let (hard, spike) = if config.limit_mib > 0 {
        (config.limit_mib * MIB, config.spike_limit_mib * MIB)
    } else {
        let total = total?;
        (total / 100 * config.limit_percentage, total / 100 * config.spike_limit_percentage)
    };
    let spike = if spike == 0 { hard / 5 } else { spike };
    Some(Limits { soft: hard.saturating_sub(spike), hard })
}

/// Resident memory of this process, in bytes.
fn resident_memory() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Memory that this process can have: the limit of its control group, or the machine's.
fn total_memory() -> Option<u64> {
    let machine = kilobytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = files.iter().find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    Some(group.map_or(machine, |group| group.min(machine)))
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Config {
        config::read(&config::parse(yaml, "test.yaml").unwrap().root, "processors::memory_limiter").unwrap()
    }

    #[test]
    fn the_soft_limit_stands_a_spike_below_the_hard_one() {
        let by_size = config("{check_interval: 1s, limit_mib: 100, spike_limit_mib: 30}");
        assert_eq!(limits(&by_size, None), Some(Limits { soft: 70 * MIB, hard: 100 * MIB }));
        let by_share = config("{check_interval: 1s, limit_percentage: 50}");
        assert_eq!(limits(&by_share, Some(1000 * MIB)), Some(Limits { soft: 400 * MIB, hard: 500 * MIB }));
        assert_eq!(limits(&by_share, None), None);
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        assert!(resident_memory().is_some_and(|bytes| bytes > MIB));
        assert!(total_memory().is_some_and(|bytes| bytes > MIB));
    }

    #[test]
    fn every_missing_limit_is_named() {
        let problems =
            MemoryLimiter::build(config("{}"), &Site::for_test("memory_limiter", None)).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["check_interval", "limit_mib"]);
    }
}
