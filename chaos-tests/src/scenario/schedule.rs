//! When which fault begins and ends: a list of times, made before the run.
//!
//! The same scenario, length and seed give the same list. Who is struck is decided at the time, as "the leader" is not
//! known before.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::Plan;

/// A step of a run. `fault` counts the faults of a run, `plan` is the line of the scenario that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: Duration,
    pub fault: usize,
    pub plan: usize,
    pub begins: bool,
}

/// Steps in order of time; every fault that begins also ends, by the run's end at the latest.
pub fn schedule(plans: &[Plan], length: Duration, random: &mut StdRng) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut fault = 0;
    for (number, plan) in plans.iter().enumerate() {
        for begin in beginnings(plan, length, random) {
            let end = (begin + plan.lasts).min(length);
            steps.push(Step { at: begin, fault, plan: number, begins: true });
            steps.push(Step { at: end, fault, plan: number, begins: false });
            fault += 1;
        }
    }
    steps.sort_by_key(|step| (step.at, step.begins));
    steps
}

/// A repeated fault begins up to a fifth of its distance early or late, so that it does not keep step with anything.
fn beginnings(plan: &Plan, length: Duration, random: &mut StdRng) -> Vec<Duration> {
    let times: Vec<Duration> = match (plan.at, plan.every) {
        (Some(at), _) => vec![at],
        (None, Some(every)) => {
            let count = (length.as_secs_f64() / every.as_secs_f64()) as u32;
            (1..=count)
                .map(|turn| every * turn)
                .map(|time| time - every.mul_f64(random.random_range(0.0..0.4)))
                .collect()
        }
        (None, None) => Vec::new(),
    };
    times.into_iter().filter(|time| *time < length).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::scenario::Scenario;

    fn steps(seed: u64) -> Vec<Step> {
        let text = "
name: s
about: s
duration: 20s
workloads: [{kind: register}]
faults:
  - {at: 3s, for: 2s, verb: kill}
  - {every: 6s, for: 30s, verb: pause, target: leader}
";
        let scenario = Scenario::parse(text).unwrap();
        schedule(&scenario.faults, scenario.duration, &mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn one_seed_gives_one_schedule() {
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
    }

    #[test]
    fn each_fault_begins_once_and_ends_after_it_within_the_run() {
        let steps = steps(7);
        assert_eq!(steps.iter().filter(|step| step.plan == 1 && step.begins).count(), 3);
        for begin in steps.iter().filter(|step| step.begins) {
            let end = steps.iter().find(|step| !step.begins && step.fault == begin.fault).unwrap();
            assert!(begin.at < end.at && end.at <= Duration::from_secs(20), "{begin:?} {end:?}");
        }
    }
}
