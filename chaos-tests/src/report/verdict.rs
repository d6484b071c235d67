//! The judgement over a history: each property's finding, and one word for all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::history::object::ObjectOutcome;
use super::super::history::{History, Outcome};
use super::super::properties::{Check, Property, resume};
use resume::Gap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Ok,
    /// A property does not hold.
    Violated,
    /// A property that was asked for could not be decided or had nothing to look at.
    Undecided,
}

#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub ending: Ending,
    pub operations: Counts,
    pub checks: BTreeMap<&'static str, Check>,
    /// How long no write was acknowledged around each fault.
    pub gaps: Vec<Gap>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    pub ok: usize,
    pub failed: usize,
    pub unknown: usize,
}

/// What is to be judged.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Empty: all that have something to say.
    pub properties: Vec<Property>,
    pub writes_resume_within: Option<Duration>,
}

impl Verdict {
    pub fn judge(history: &History, demands: &Demands) -> Self {
        let all = Property::all();
        let wanted = if demands.properties.is_empty() { &all } else { &demands.properties };
        let mut checks: BTreeMap<&'static str, Check> = wanted
            .iter()
            .map(|property| (property.name(), property.check(history)))
            .filter(|(_, check)| check.looked_at > 0 || !demands.properties.is_empty())
            .collect();
        for check in checks.values_mut().filter(|check| check.looked_at == 0) {
            check.undecided.push("the history holds nothing that it could look at".to_owned());
        }
        checks.insert("writes_resume", resume::check(history, demands.writes_resume_within));
        Self { ending: ending(&checks), operations: count(history), checks, gaps: resume::gaps(history) }
    }

    /// Takes what was found by other means than a look at the history.
    pub fn add(&mut self, property: &'static str, check: Check) {
        self.checks.insert(property, check);
        self.ending = ending(&self.checks);
    }

    /// For a terminal and for `verdict.txt`.
    pub fn text(&self) -> String {
        let word = match self.ending {
            Ending::Ok => "OK",
            Ending::Violated => "VIOLATED",
            Ending::Undecided => "UNDECIDED",
        };
        let counts = self.operations;
        let mut lines = vec![format!(
            "{word}: {} operations ok, {} failed, {} of unknown outcome",
            counts.ok, counts.failed, counts.unknown
        )];
        lines.extend(self.longest_gap());
        for (name, check) in &self.checks {
            let finding = match (check.violations.len(), check.undecided.len()) {
                (0, 0) => "holds".to_owned(),
                (0, _) => "undecided".to_owned(),
                (count, _) => format!("VIOLATED, {count} times"),
            };
            lines.push(format!("  {name}: {finding} (looked at {})", check.looked_at));
            lines.extend(check.notes.iter().map(|note| indent(note, "      ")));
            lines.extend(check.undecided.iter().map(|reason| indent(reason, "    ? ")));
            lines.extend(
                check.violations.iter().take(SHOWN).map(|violation| indent(&violation.text, "    ! ")),
            );
            if check.violations.len() > SHOWN {
                lines.push(format!("    ! … and {} more in verdict.json", check.violations.len() - SHOWN));
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// A line on the longest time without an acknowledged write; none in a run without faults.
    pub fn longest_gap(&self) -> Option<String> {
        let longest = self.gaps.iter().max_by(|one, two| one.gap_seconds.total_cmp(&two.gap_seconds))?;
        Some(format!(
            "longest gap without an acknowledged write: {:.2} s ({} at {:.1} s)",
            longest.gap_seconds, longest.fault, longest.at_seconds
        ))
    }

    /// 0: all hold. 1: one is violated. 2: not decided.
    pub fn exit_code(&self) -> u8 {
        match self.ending {
            Ending::Ok => 0,
            Ending::Violated => 1,
            Ending::Undecided => 2,
        }
    }
}

/// Violations of one property in the text.
const SHOWN: usize = 5;

fn indent(text: &str, first: &str) -> String {
    let rest = " ".repeat(first.chars().count());
    let lines = text
        .lines()
        .enumerate()
        .map(|(number, line)| if number == 0 { format!("{first}{line}") } else { format!("{rest}{line}") });
    lines.collect::<Vec<_>>().join("\n")
}

fn ending(checks: &BTreeMap<&'static str, Check>) -> Ending {
    if checks.values().any(|check| !check.violations.is_empty()) {
        return Ending::Violated;
    }
    if checks.values().any(|check| !check.undecided.is_empty()) {
        return Ending::Undecided;
    }
    Ending::Ok
}

fn count(history: &History) -> Counts {
    let mut counts = Counts::default();
    for operation in &history.operations {
        match operation.outcome {
            Outcome::Ok { .. } => counts.ok += 1,
            Outcome::Fail { .. } => counts.failed += 1,
            Outcome::Unknown { .. } => counts.unknown += 1,
        }
    }
    for operation in &history.object_operations {
        match operation.outcome {
            ObjectOutcome::Ok { .. } => counts.ok += 1,
            ObjectOutcome::Fail { .. } => counts.failed += 1,
            ObjectOutcome::Unknown { .. } => counts.unknown += 1,
        }
    }
    counts
}
