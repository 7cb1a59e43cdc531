//! The command line.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;

use crate::headless::Script;
use crate::say;
use crate::stage::Plan;

/// A fleet, an allocator, scrapers, a verifying sink, and a page that shows who scrapes what.
#[derive(Debug, Parser)]
#[command(name = "muster-demo")]
pub(crate) struct Args {
    /// How many targets there are.
    #[arg(long, default_value_t = 120)]
    targets: usize,
    /// How often each is scraped, such as 5s or 500ms.
    #[arg(long, default_value = "5s", value_parser = duration)]
    interval: Duration,
    /// How many scrapers there are at first.
    #[arg(long, default_value_t = 3)]
    scrapers: usize,
    /// Where the page is [default: 127.0.0.1:7357, or another port if that is taken].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// Leave Prometheus out even where it is installed.
    #[arg(long)]
    no_prometheus: bool,
    /// Run for this long without a reader, print the result and end; 25s for each number of --scale where --scale, --json or
    /// --kill-allocator is given without it.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    run_for: Option<Duration>,
    /// Without a reader: numbers of scrapers, one after the other, each for an equal share of the time.
    #[arg(long, value_delimiter = ',', value_name = "N,N,..")]
    scale: Vec<usize>,
    /// Without a reader: kill -9 the allocator once while each number of scrapers lasts, so long after it was ordered; without a
    /// value at moments that --seed decides.
    #[arg(long, num_args = 0..=1, value_name = "DURATION", value_parser = duration)]
    kill_allocator: Option<Option<Duration>>,
    /// With --kill-allocator: the same number gives the same moments [default: another one each time; it is printed].
    #[arg(long, requires = "kill_allocator")]
    seed: Option<u64>,
    /// Without a reader: print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Beyond this the page is no longer readable.
pub(crate) const MAX_SCRAPERS: usize = 12;
const MAX_TARGETS: usize = 1000;
/// Scrapers need this long to come and go.
const MIN_STEP: Duration = Duration::from_secs(6);
/// How long a number of scrapers lasts where nothing is said: until others have taken over, and a while longer.
const USUAL_STEP: Duration = Duration::from_secs(25);

impl Args {
    /// What is to be built.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let scrapers = self.scale.first().copied().unwrap_or(self.scrapers);
        if !(6..=MAX_TARGETS).contains(&self.targets) {
            bail!("--targets {}: between 6 and {MAX_TARGETS} are possible", self.targets);
        }
        for number in self.scale.iter().chain([&scrapers]) {
            if !(1..=MAX_SCRAPERS).contains(number) {
                bail!("{number} scrapers: between 1 and {MAX_SCRAPERS} are possible");
            }
        }
        if self.interval < Duration::from_secs(1) {
            bail!(
                "--interval {:?}: scrapers ask for their targets once a second, so 1s is the least",
                self.interval
            );
        }
        Ok(Plan { targets: self.targets, interval: self.interval, scrapers, prometheus: !self.no_prometheus })
    }

    /// What is to happen without a reader, if anything.
    pub(crate) fn script(&self, plan: &Plan) -> Result<Option<Script>> {
        let has_reader = self.scale.is_empty() && !self.json && self.kill_allocator.is_none();
        if self.run_for.is_none() && has_reader {
            return Ok(None);
        }
        let scale = if self.scale.is_empty() { vec![plan.scrapers] } else { self.scale.clone() };
        let least = (plan.interval * 3).max(MIN_STEP);
        let run_for = self.run_for.unwrap_or(least.max(USUAL_STEP) * scale.len() as u32);
        let step = run_for / scale.len() as u32;
        if step < least {
            let steps = scale.len();
            bail!("--for {run_for:?} gives each of {steps} steps {step:?}; {least:?} are the least");
        }
        let kills = match self.kill_allocator {
            None => vec![None; scale.len()],
            Some(Some(after)) => vec![Some(after); scale.len()],
            Some(None) => {
                let seed = self.seed.unwrap_or_else(|| world::now_ms().unsigned_abs());
                say(&format!("moments of kill -9: --seed {seed}"));
                moments(seed, step).map(Some).take(scale.len()).collect()
            }
        };
        if let Some(late) = kills.iter().flatten().find(|after| **after >= step) {
            bail!("--kill-allocator {late:?}: each step lasts {step:?}");
        }
        Ok(Some(Script { step, scale, kills, json: self.json }))
    }
}

/// Moments within a step, one after the other: SplitMix64 from a seed.
fn moments(seed: u64, step: Duration) -> impl Iterator<Item = Duration> {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    (1..).map(move |n: u64| {
        let mut z = seed.wrapping_add(GAMMA.wrapping_mul(n));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        step.mul_f64((z ^ (z >> 31)) as f64 / 2f64.powi(64) * 0.999)
    })
}

/// A number with a unit: ms, s, m or h.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let seconds = match &text[split..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a number and a unit (ms, s, m, h) are expected, such as 60s".to_owned()),
    };
    let number = text[..split].parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(line: &str) -> Result<Option<Script>, String> {
        let args = Args::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        let plan = args.plan().map_err(|error| error.to_string())?;
        args.script(&plan).map_err(|error| error.to_string())
    }

    #[test]
    fn steps_share_the_time_evenly() {
        let script = script("demo --for 60s --scale 3,5,3 --json").unwrap().unwrap();
        assert_eq!((script.step, script.scale, script.json), (Duration::from_secs(20), vec![3, 5, 3], true));
    }

    #[test]
    fn who_asks_for_a_result_needs_no_reader() {
        assert!(script("demo --interval 2s").unwrap().is_none());
        let step = |line: &str| script(line).unwrap().unwrap().step;
        assert_eq!(step("demo --scale 3,5,3 --json"), Duration::from_secs(25));
        assert_eq!(step("demo --interval 20s --kill-allocator"), Duration::from_secs(60));
    }

    #[test]
    fn steps_too_short_to_judge_are_refused_with_the_reason() {
        let error = script("demo --for 30s --scale 3,5,3").unwrap_err();
        assert_eq!(error, "--for 30s gives each of 3 steps 10s; 15s are the least");
    }

    #[test]
    fn moments_are_within_the_step_and_the_same_for_the_same_seed() {
        let step = Duration::from_secs(25);
        let some = |seed| moments(seed, step).take(100).collect::<Vec<_>>();
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
        assert!(some(7).iter().all(|moment| *moment < step));
        assert!(some(7).iter().any(|moment| *moment < step / 5));
        assert!(some(7).iter().any(|moment| *moment > step / 5 * 4));
    }

    #[test]
    fn the_allocator_is_killed_once_a_step() {
        let line = "demo --for 75s --scale 3,5,3 --kill-allocator";
        assert_eq!(script("demo --for 75s --scale 3,5,3").unwrap().unwrap().kills, [None; 3]);
        let at_three = script(&format!("{line} 3s")).unwrap().unwrap();
        assert_eq!(at_three.kills, [Some(Duration::from_secs(3)); 3]);
        let by_seed = |seed| script(&format!("{line} --seed {seed}")).unwrap().unwrap().kills;
        assert!(by_seed(1) == by_seed(1) && by_seed(1) != by_seed(2));
        assert_eq!(script(&format!("{line} 25s")).unwrap_err(), "--kill-allocator 25s: each step lasts 25s");
        assert!(script("demo --for 75s --seed 1").is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("60").is_err() && duration("s").is_err() && duration("-1s").is_err());
    }
}
