//! How long no write is acknowledged, around each fault and in the whole run; a violation only if a scenario sets a bound.
//!
//! Measured from the acknowledgement before the gap to the one after it, or to the last write that was tried. What is said
//! of a fault is the longest gap in the time from its begin until a while after its end. Source: an availability aim of our
//! own; etcd promises nothing but "an election timeout".

use std::time::Duration;

use serde::Serialize;

use super::Check;
use crate::history::object::ObjectOperation;
use crate::history::{FaultRecord, History, Operation, Outcome};

/// After a fault's end the cluster may still be finding together.
const LOOK_ON_US: u64 = 5_000_000;

/// The longest silence around one fault.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    pub fault: String,
    pub at_seconds: f64,
    pub gap_seconds: f64,
}

/// Of each fault, in order of time; a fault without any acknowledged write around it has none.
pub fn gaps(history: &History) -> Vec<Gap> {
    let silences = silences(history);
    let mut faults: Vec<&FaultRecord> = history.faults.iter().collect();
    faults.sort_by_key(|fault| fault.from_us);
    let gap = |fault: &FaultRecord| {
        let around = silences.iter().filter(|silence| silence.is_around(fault));
        Some(Gap {
            fault: fault.what.clone(),
            at_seconds: fault.from_us as f64 / 1e6,
            gap_seconds: around.map(Silence::seconds).max_by(f64::total_cmp)?,
        })
    };
    faults.into_iter().filter_map(gap).collect()
}

/// No write was acknowledged between these two times.
#[derive(Clone, Copy, Debug)]
struct Silence {
    from_us: u64,
    until_us: u64,
}

impl Silence {
    fn seconds(&self) -> f64 {
        Duration::from_micros(self.until_us - self.from_us).as_secs_f64()
    }

    fn is_around(&self, fault: &FaultRecord) -> bool {
        self.until_us > fault.from_us && self.from_us < fault.until_us + LOOK_ON_US
    }
}

/// From each acknowledgement to the next one; from the last one to the last write that was tried in vain.
fn silences(history: &History) -> Vec<Silence> {
    let (mut acknowledged, mut tried) = (Vec::new(), 0);
    for (is_acknowledged, at_us) in in_store(history).chain(in_api(history)) {
        tried = at_us.max(tried);
        if is_acknowledged {
            acknowledged.push(at_us);
        }
    }
    acknowledged.sort_unstable();
    let last = acknowledged.last().copied();
    acknowledged.extend(last.filter(|last| *last < tried).map(|_| tried));
    acknowledged.windows(2).map(|pair| Silence { from_us: pair[0], until_us: pair[1] }).collect()
}

/// Writes, each with whether it was acknowledged and when it was answered or given up.
fn in_store(history: &History) -> impl Iterator<Item = (bool, u64)> {
    let writes = |operation: &&Operation| operation.request.writes() && operation.request.touches_keys();
    let told = |operation: &Operation| (matches!(operation.outcome, Outcome::Ok { .. }), operation.return_us);
    history.operations.iter().filter(writes).map(told)
}

fn in_api(history: &History) -> impl Iterator<Item = (bool, u64)> {
    let writes = history.object_operations.iter().filter(|operation| operation.writes());
    writes.map(|operation: &ObjectOperation| (operation.version().is_some(), operation.return_us))
}

pub fn check(history: &History, bound: Option<Duration>) -> Check {
    let mut check = Check::looked_at(history.faults.len());
    for Gap { fault, at_seconds, gap_seconds } in gaps(history) {
        let text = format!("{fault} at {at_seconds:.1} s: no write was acknowledged for {gap_seconds:.2} s");
        match bound.map(|bound| bound.as_secs_f64()) {
            Some(bound) if gap_seconds > bound => {
                check.violated(format!("{text}, the scenario allows {bound:.2} s"), Vec::new());
            }
            _ => check.notes.push(text),
        }
    }
    if let Some(bound) = bound {
        check_far_from_faults(history, bound, &mut check);
    }
    check
}

fn check_far_from_faults(history: &History, bound: Duration, check: &mut Check) {
    let faults = &history.faults;
    let far = |silence: &Silence| !faults.iter().any(|fault| silence.is_around(fault));
    for silence in silences(history).into_iter().filter(far) {
        let (at_seconds, seconds) = (silence.from_us as f64 / 1e6, silence.seconds());
        if seconds > bound.as_secs_f64() {
            let text = format!("no fault at {at_seconds:.1} s: no write was acknowledged for {seconds:.2} s");
            check.violated(format!("{text}, the scenario allows {:.2} s", bound.as_secs_f64()), Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    /// Acknowledged at 10 and at 910 ms; in between one that was not.
    fn around_a_fault(from_us: u64, until_us: u64) -> History {
        let mut history = history(vec![
            op(1, (0, 10), put("x", "a"), done(2)),
            op(1, (20, 30), put("x", "b"), unknown()),
            op(1, (900, 910), put("x", "c"), done(3)),
        ]);
        history.faults.push(FaultRecord {
            verb: "kill".to_owned(),
            what: "kill -9 m1".to_owned(),
            members: vec!["m1".to_owned()],
            from_us,
            until_us,
        });
        history
    }

    fn violations(history: &History, bound_ms: u64) -> Vec<String> {
        let check = check(history, Some(Duration::from_millis(bound_ms)));
        check.violations.into_iter().map(|violation| violation.text).collect()
    }

    #[test]
    fn the_longest_silence_around_a_fault_is_measured() {
        let history = around_a_fault(15_000, 500_000);
        let found = violations(&history, 800);
        assert!(found[0].contains("kill -9 m1 at 0.0 s: no write was acknowledged for 0.90 s"), "{found:?}");
        assert_eq!(violations(&history, 1000), Vec::<String>::new());
    }

    #[test]
    fn a_silence_that_no_fault_explains_counts_as_well() {
        let found = violations(&around_a_fault(2_000_000, 3_000_000), 800);
        assert!(found[0].contains("no fault at 0.0 s: no write was acknowledged for 0.90 s"), "{found:?}");
    }

    #[test]
    fn a_silence_need_not_end() {
        let mut history = around_a_fault(1_000_000, 2_000_000);
        history.operations.push(op(1, (920, 4000), put("x", "d"), unknown()));
        let found = violations(&history, 2000);
        assert!(found[0].contains("kill -9 m1 at 1.0 s: no write was acknowledged for 3.09 s"), "{found:?}");
    }
}
