//! Makes the schedule of a failing run smaller: faults are left out as long as the run still fails in the same way.

use anyhow::{Result, bail};

use super::run::{Faults, Options, Outcome, run, schedule_of};

/// The faults that are left, by their place in the whole schedule, and the run with these.
pub fn shrink(options: &Options, property: &str) -> Result<(Vec<usize>, Outcome)> {
    let mut kept: Vec<usize> = match &options.faults {
        Faults::Only(keep) => keep.clone(),
        Faults::All => (0..schedule_of(options).len()).collect(),
        Faults::Given(_) => bail!("only the faults of a seed can be left out by their numbers"),
    };
    let mut best = run(options)?;
    let mut at = 0;
    while at < kept.len() {
        let mut fewer = kept.clone();
        fewer.remove(at);
        let outcome = run(&Options { faults: Faults::Only(fewer.clone()), ..options.clone() })?;
        if outcome.findings.iter().any(|finding| finding.property == property) {
            kept = fewer;
            best = outcome;
        } else {
            at += 1;
        }
    }
    Ok((kept, best))
}
