//! What a run leaves behind: a folder with the scenario, the history, the members' logs and a verdict.
//!
//! ```text
//!  chaos-runs/<scenario>-seed<seed>-<n>/
//!    scenario.yaml  run.json      what ran: seed, target, versions
//!    history.jsonl                all that clients and the lab saw
//!    m1.log …                     each member's log, all its lives in one file
//!    verdict.txt  verdict.json
//!    report.html                  all of it to look at, in one file
//! ```

pub mod drawn;
pub mod page;
pub mod plot;
pub mod timeline;
pub mod verdict;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::history::History;
pub use page::Heading;
pub use verdict::{Ending, Verdict};

/// Makes the folder of a run below `runs`; a number tells runs of one scenario and seed apart.
pub fn make_folder(runs: &Path, scenario: &str, seed: u64) -> Result<PathBuf> {
    std::fs::create_dir_all(runs).with_context(|| format!("make {}", runs.display()))?;
    for number in 1..10_000 {
        let folder = runs.join(format!("{scenario}-seed{seed}-{number}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("make {}", folder.display())),
        }
    }
    anyhow::bail!("{} holds 10,000 runs of {scenario} with seed {seed}: remove some", runs.display())
}

/// Facts about a run that the history does not hold.
pub fn write_facts(folder: &Path, scenario_text: &str, facts: &serde_json::Value) -> Result<()> {
    write(&folder.join("scenario.yaml"), scenario_text)?;
    write(&folder.join("run.json"), &format!("{facts:#}\n"))
}

/// The verdict in its three forms.
pub fn write_verdict(folder: &Path, heading: &Heading, history: &History, verdict: &Verdict) -> Result<()> {
    write(&folder.join("verdict.txt"), &verdict.text())?;
    let json = serde_json::to_string_pretty(verdict).context("write the verdict as JSON")?;
    write(&folder.join("verdict.json"), &json)?;
    write(&folder.join("report.html"), &page::page(heading, history, verdict))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
