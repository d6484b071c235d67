//! The folder that the simulator leaves behind, with what the lab's has and from the same code.
//!
//! ```text
//!  chaos-runs/sim-seed<seed>-<n>/
//!    schedule.txt  run.json       what ran: faults, seed, commit, how many seeds, the command that plays it again
//!    history.jsonl                all that clients saw
//!    sightings.jsonl              what members told one another and wrote
//!    trace.txt                    every event of the run
//!    verdict.txt  verdict.json
//!    report.html                  all of it to look at, in one file
//! ```
//! Of a session of many seeds it shows the one that failed, and otherwise the first. History and sightings are all that
//! the verdict comes from, so that [`check()`] judges the folder again at any time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::report;
use super::run::{Options, run};
use super::sightings::Sightings;
use crate::history::History;
use crate::report::verdict::Demands;
use crate::report::{Heading, Verdict, make_folder, write_verdict};

const NAME: &str = "sim";
const RUN: &str = "run.json";
const SCHEDULE: &str = "schedule.txt";
const HISTORY: &str = "history.jsonl";
const SIGHTINGS: &str = "sightings.jsonl";
const ABOUT: &str = "The store's own code on a simulated clock, network and disk; times are simulated ones.";

/// How it went on the whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub commit: String,
    pub first_seed: u64,
    pub seeds: u64,
    pub operations: u64,
    pub seconds: f64,
    pub seeds_per_second: f64,
}

/// `run.json`.
#[derive(Serialize, Deserialize)]
struct Facts {
    scenario: String,
    seed: u64,
    members: usize,
    sabotage: Option<String>,
    replay: String,
    session: Session,
}

/// Plays the run of `options` once more, to have its trace, and writes all about it below `runs`.
pub fn write(runs: &Path, options: &Options, session: &Session) -> Result<PathBuf> {
    let options = Options { keep_trace: true, ..options.clone() };
    let outcome = run(&options)?;
    let folder = make_folder(runs, NAME, options.seed)?;
    let facts = Facts {
        scenario: NAME.to_owned(),
        seed: options.seed,
        members: options.members,
        sabotage: options.sabotage.map(|sabotage| sabotage.name()),
        replay: report::replay(&options),
        session: session.clone(),
    };
    let run = serde_json::to_string_pretty(&facts).context("write run.json")?;
    let schedule: String = outcome.schedule.iter().map(|timed| format!("{timed}\n")).collect();
    for (name, text) in [(RUN, &run), (SCHEDULE, &schedule), ("trace.txt", &outcome.trace)] {
        std::fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
    }
    outcome.history.save(&folder.join(HISTORY))?;
    outcome.sightings.save(&folder.join(SIGHTINGS))?;
    tell(&folder, &facts, &outcome.history, &outcome.sightings)?;
    Ok(folder)
}

/// Whether a folder is of the simulator.
pub fn is_one(folder: &Path) -> bool {
    folder.join(SCHEDULE).is_file()
}

/// Judges a folder again, and writes the verdict and the report anew.
pub fn check(folder: &Path) -> Result<Verdict> {
    let run = std::fs::read_to_string(folder.join(RUN)).context("read run.json")?;
    let facts: Facts = serde_json::from_str(&run).context("run.json is not understood")?;
    let history = History::load(&folder.join(HISTORY))?;
    let sightings = Sightings::load(&folder.join(SIGHTINGS))?;
    tell(folder, &facts, &history, &sightings)
}

fn tell(folder: &Path, facts: &Facts, history: &History, sightings: &Sightings) -> Result<Verdict> {
    let target = format!("balsa {}, {} members", facts.session.commit, facts.members);
    let heading = Heading { scenario: &facts.scenario, about: ABOUT, seed: facts.seed, target: &target };
    let verdict = verdict(history, sightings);
    write_verdict(folder, &heading, history, &verdict)?;
    Ok(verdict)
}

/// What clients saw, and what members showed to one another.
pub fn verdict(history: &History, sightings: &Sightings) -> Verdict {
    let mut verdict = Verdict::judge(history, &Demands::default());
    sightings.checks().into_iter().for_each(|(property, check)| verdict.add(property, check));
    verdict
}
