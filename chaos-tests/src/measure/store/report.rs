//! The table, on the terminal while it grows and in a file once it is whole.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::load::VALUE_BYTES;
use super::sample::Sample;
use crate::measure::machine;
use crate::measure::spread::Spread;

const HEAD: &str = "\
| per second, median (least to most) | balsa | stock etcd | ratio | aim | p50 ms | p99 ms | p99 ratio | aim | longest ms | members' CPU, µs each |
|---|---|---|---|---|---|---|---|---|---|---|";

pub struct Row {
    pub name: &'static str,
    /// Of the ratio of operations per second, and of the ratio of the 99th percentile.
    pub aim: &'static str,
    pub p99_aim: &'static str,
    pub ours: Vec<Sample>,
    pub theirs: Vec<Sample>,
}

pub struct Report {
    head: String,
    rows: Vec<String>,
    figures: Vec<String>,
}

impl Report {
    pub fn new(rounds: usize, round: Duration, stock: String, tls: bool) -> Self {
        let wire = if tls { "TLS everywhere" } else { "no TLS" };
        let head = format!(
            "Machine: {}. Stock: {stock}. Three members each, all members and the clients on this one machine, {wire}, fsync on,\n\
             {VALUE_BYTES} B values, {rounds} rounds of {} s in turns.",
            machine::describe(),
            round.as_secs_f64(),
        );
        Self { head, rows: Vec::new(), figures: Vec::new() }
    }

    pub fn begin(&self) {
        println!("{}\n\n{HEAD}", self.head);
    }

    pub fn row(&mut self, row: Row) {
        let line = render(&row);
        println!("{line}");
        self.rows.push(line);
    }

    /// A figure that is not a rate; less is better.
    pub fn figure(&mut self, name: &str, aim: &str, ours: Spread, theirs: Spread) {
        let ratio = ours.median() / theirs.median();
        let line = format!("| {name} | {ours} | {theirs} | {ratio:.2} | {aim} |");
        println!("{line}");
        self.figures.push(line);
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::from(
            "# Benchmarks of the store\n\nMade by `./dev bench store`, which rewrites this page. Ratios are ours to stock in the same run.\n\n",
        );
        let _ = writeln!(text, "{}\n\n{HEAD}\n{}", self.head, self.rows.join("\n"));
        if !self.figures.is_empty() {
            let head = "| less is better | balsa | stock etcd | ratio | aim |\n|---|---|---|---|---|";
            let _ = writeln!(text, "\n{head}\n{}", self.figures.join("\n"));
        }
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}

fn render(row: &Row) -> String {
    let of = |samples: &[Sample], figure: fn(&Sample) -> f64| samples.iter().map(figure).collect::<Spread>();
    let pair =
        |figure: fn(&Sample) -> f64| (of(&row.ours, figure).median(), of(&row.theirs, figure).median());
    let (ours, theirs) = (of(&row.ours, |s| s.per_second), of(&row.theirs, |s| s.per_second));
    let (p50, p99, cpu) = (pair(|s| s.p50_ms), pair(|s| s.p99_ms), pair(|s| s.cpu_us));
    let longest = pair(|s| s.longest_ms);
    // Nobody looks at the processors while a large state is busy.
    let cpu = if cpu.0 > 0.0 { format!("{:.0} : {:.0}", cpu.0, cpu.1) } else { String::new() };
    format!(
        "| {} | {ours} | {theirs} | {:.2} | {} | {:.2} : {:.2} | {:.2} : {:.2} | {:.2} | {} | {:.0} : {:.0} | {cpu} |",
        row.name,
        ours.median() / theirs.median(),
        row.aim,
        p50.0,
        p50.1,
        p99.0,
        p99.1,
        p99.0 / p99.1,
        row.p99_aim,
        longest.0,
        longest.1,
    )
}
