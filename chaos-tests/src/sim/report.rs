//! What a failing run says: where, which property, expected and seen, the faults, the last events with a column for each
//! member, and the command that plays it again.

use anyhow::Result;

use super::run::{Faults, Options, Outcome, run};
use super::trace::{CLIENTS, Event, WORLD};

/// Of one event.
const COLUMN_WIDTH: usize = 34;
const FINDINGS_SHOWN: usize = 3;

/// Plays the run once more if it was played without its trace.
pub fn failure(options: &Options, outcome: &Outcome, commit: &str) -> String {
    let mut lines = Vec::new();
    for finding in outcome.findings.iter().take(FINDINGS_SHOWN) {
        let Options { seed, members, .. } = options;
        lines.push(format!(
            "FAILED {}  phase={} seed={seed} members={members} commit={commit}",
            finding.property, finding.phase
        ));
        lines.extend(finding.text.lines().map(|line| format!("  {line}")));
    }
    if outcome.findings.len() > FINDINGS_SHOWN {
        lines.push(format!("  and {} more", outcome.findings.len() - FINDINGS_SHOWN));
    }
    lines.push("FAULTS".to_owned());
    lines.extend(outcome.schedule.iter().map(|timed| format!("  {timed}")));
    lines.push("LAST EVENTS".to_owned());
    lines.push(heading(options.members));
    match last_events(options, outcome) {
        Ok(events) => lines.extend(events.iter().map(|event| row(event, options.members))),
        Err(error) => lines.push(format!("  the run cannot be played once more: {error:#}")),
    }
    lines.push(format!("REPLAY {}", replay(options)));
    lines.join("\n")
}

fn last_events(options: &Options, outcome: &Outcome) -> Result<Vec<Event>> {
    if options.keep_trace {
        return Ok(outcome.last.clone());
    }
    Ok(run(&Options { keep_trace: true, ..options.clone() })?.last)
}

/// One command that plays the same run.
pub fn replay(options: &Options) -> String {
    let mut command = format!("./dev chaos sim --seed {} --members {}", options.seed, options.members);
    match &options.faults {
        Faults::All => {}
        Faults::Only(keep) => {
            let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
            let keep = if keep.is_empty() { "none".to_owned() } else { keep.join(",") };
            command += &format!(" --faults {keep}");
        }
        Faults::Given(_) => return "the test that made these faults".to_owned(),
    }
    if let Some(sabotage) = options.sabotage {
        command += &format!(" --sabotage {}", sabotage.name());
    }
    command
}

fn heading(members: usize) -> String {
    let names = (1..=members).map(|number| format!("m{number}"));
    let columns: Vec<String> = names.map(|name| format!("{name:<COLUMN_WIDTH$}")).collect();
    format!("  {:>8}  {}", "s", columns.join("  "))
}

/// What happened to no member stands across all columns.
fn row(event: &Event, members: usize) -> String {
    let time = format!("{}.{:03}", event.at_ms / 1000, event.at_ms % 1000);
    match event.place {
        WORLD => format!("  {time:>8}  -- {}", event.text),
        CLIENTS => format!("  {time:>8}  .. {}", event.text),
        place => {
            let text: String = event.text.chars().take(COLUMN_WIDTH).collect();
            let columns: Vec<String> = (0..members)
                .map(|column| format!("{:<COLUMN_WIDTH$}", if column == place { text.as_str() } else { "" }))
                .collect();
            format!("  {time:>8}  {}", columns.join("  ").trim_end())
        }
    }
}
