//! The folder that the simulator leaves behind, with what the lab's has and from the same code.
//!
//! ```text
//!  chaos-runs/sim-seed<seed>-<n>/
//!    schedule.txt  run.json       what ran: faults, seed, commit, how many seeds, the command that plays it again
//!    history.jsonl                all that clients saw
//!    trace.txt                    every event of the run
//!    verdict.txt  verdict.json
//!    report.html                  all of it to look at, in one file
//! ```
//! Of a session of many seeds it shows the one that failed, and otherwise the first.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::report;
use super::run::{Options, Outcome, run};
use crate::properties::Check;
use crate::report::verdict::Demands;
use crate::report::{Heading, Verdict, make_folder, write_verdict};

const NAME: &str = "sim";
const ABOUT: &str = "The store's own code on a simulated clock, network and disk; times are simulated ones.";

/// How it went on the whole.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    pub commit: String,
    pub first_seed: u64,
    pub seeds: u64,
    pub operations: u64,
    pub seconds: f64,
    pub seeds_per_second: f64,
}

/// `run.json`.
#[derive(Serialize)]
struct Facts<'a> {
    scenario: &'a str,
    seed: u64,
    members: usize,
    sabotage: Option<String>,
    replay: String,
    session: &'a Session,
}

/// Plays the run of `options` once more, to have its trace, and writes all about it below `runs`.
pub fn write(runs: &Path, options: &Options, session: &Session) -> Result<PathBuf> {
    let options = Options { keep_trace: true, ..options.clone() };
    let outcome = run(&options)?;
    let folder = make_folder(runs, NAME, options.seed)?;
    let facts = Facts {
        scenario: NAME,
        seed: options.seed,
        members: options.members,
        sabotage: options.sabotage.map(|sabotage| sabotage.name()),
        replay: report::replay(&options),
        session,
    };
    let facts = serde_json::to_string_pretty(&facts).context("write run.json")?;
    let schedule: String = outcome.schedule.iter().map(|timed| format!("{timed}\n")).collect();
    for (name, text) in [("run.json", &facts), ("schedule.txt", &schedule), ("trace.txt", &outcome.trace)] {
        std::fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
    }
    outcome.history.save(&folder.join("history.jsonl"))?;
    let target = format!("balsa {}, {} members", session.commit, options.members);
    let heading = Heading { scenario: NAME, about: ABOUT, seed: options.seed, target: &target };
    write_verdict(&folder, &heading, &outcome.history, &verdict(&outcome))?;
    Ok(folder)
}

/// What the history tells, and what was seen elsewhere: on the wires between members, and in their states.
pub fn verdict(outcome: &Outcome) -> Verdict {
    let mut verdict = Verdict::judge(&outcome.history, &Demands::default());
    for property in WIRE_PROPERTIES {
        let mut check = Check::looked_at(outcome.on_the_wires);
        let found = outcome.findings.iter().filter(|finding| finding.property == property);
        found.for_each(|finding| check.violated(finding.text.clone(), Vec::new()));
        verdict.add(property, check);
    }
    verdict
}

/// Judged while the run goes on, and not from the history.
pub const WIRE_PROPERTIES: [&str; 3] = ["election_safety", "log_matching", "state_machine_safety"];
