//! Makes the schedule of a failing run smaller: faults are left out as long as the run still fails in the same way.

use anyhow::Result;

use super::run::{Options, Outcome, run, schedule_of};

/// The faults that are left, by their place in the whole schedule, and the run with these.
pub fn shrink(options: &Options, property: &str) -> Result<(Vec<usize>, Outcome)> {
    let mut kept: Vec<usize> = match &options.keep {
        Some(keep) => keep.clone(),
        None => (0..schedule_of(options).len()).collect(),
    };
    let mut best = run(options)?;
    let mut at = 0;
    while at < kept.len() {
        let mut fewer = kept.clone();
        fewer.remove(at);
        let outcome = run(&Options { keep: Some(fewer.clone()), ..options.clone() })?;
        if outcome.findings.iter().any(|finding| finding.property == property) {
            kept = fewer;
            best = outcome;
        } else {
            at += 1;
        }
    }
    Ok((kept, best))
}
