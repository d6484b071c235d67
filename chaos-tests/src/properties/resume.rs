//! How long no write is acknowledged around a fault; a violation only if a scenario sets a bound.
//!
//! Measured from the acknowledgement before the gap to the one after it, in the time from the fault's begin until a while
//! after its end. Source: an availability aim of our own; etcd promises nothing but "an election timeout".

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
    let mut acknowledged: Vec<u64> = in_store(history).chain(in_api(history)).collect();
    acknowledged.sort_unstable();
    let mut faults: Vec<&FaultRecord> = history.faults.iter().collect();
    faults.sort_by_key(|fault| fault.from_us);
    let gap = |fault: &FaultRecord| {
        Some(Gap {
            fault: fault.what.clone(),
            at_seconds: fault.from_us as f64 / 1e6,
            gap_seconds: longest_gap(&acknowledged, fault)?.as_secs_f64(),
        })
    };
    faults.into_iter().filter_map(gap).collect()
}

fn in_store(history: &History) -> impl Iterator<Item = u64> {
    let writes = |operation: &&Operation| operation.request.writes() && operation.request.touches_keys();
    let acknowledged = |operation: &&Operation| matches!(operation.outcome, Outcome::Ok { .. });
    history.operations.iter().filter(writes).filter(acknowledged).map(|operation| operation.return_us)
}

fn in_api(history: &History) -> impl Iterator<Item = u64> {
    let acknowledged = |operation: &&ObjectOperation| operation.writes() && operation.version().is_some();
    history.object_operations.iter().filter(acknowledged).map(|operation| operation.return_us)
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
    check
}

/// Between two acknowledgements of which one at least lies in the fault's time. None: there were none at all.
fn longest_gap(acknowledged: &[u64], fault: &FaultRecord) -> Option<Duration> {
    let until = fault.until_us + LOOK_ON_US;
    acknowledged
        .windows(2)
        .filter(|pair| pair[1] > fault.from_us && pair[0] < until)
        .map(|pair| Duration::from_micros(pair[1] - pair[0]))
        .max()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn the_longest_silence_around_a_fault_is_measured() {
        let mut history = history(vec![
            op(1, (0, 10), put("x", "a"), done(2)),
            op(1, (20, 30), put("x", "b"), unknown()),
            op(1, (900, 910), put("x", "c"), done(3)),
        ]);
        history.faults.push(FaultRecord {
            verb: "kill".to_owned(),
            what: "kill -9 m1".to_owned(),
            members: vec!["m1".to_owned()],
            from_us: 15_000,
            until_us: 500_000,
        });
        let check = check(&history, Some(Duration::from_millis(800)));
        assert!(check.violations[0].text.contains("no write was acknowledged for 0.90 s"), "{check:?}");
        assert!(super::check(&history, Some(Duration::from_secs(1))).violations.is_empty());
    }
}
