//! `./dev bench store`: three members of ours beside three of stock etcd, row by row in turns, over one load generator.
//!
//! All six members and the clients share this machine, fsync is on, and every request goes to the leader. A row is
//! repeated in turns (ours, stock, ours, …), so that a machine whose speed drifts does not favour one; what is told is the
//! median with its ends. Beside speed stands the processor time that all three members took per operation, which does
//! not depend on what else the machine does.

pub mod fan_out;
pub mod group;
pub mod huge;
pub mod keep_alive;
pub mod large;
pub mod line;
pub mod load;
pub mod report;
pub mod sample;
pub mod socket;
pub mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use self::group::{Group, Program, Setup};
use self::load::Operation;
use self::report::{Report, Row};
use self::sample::Sample;

const MEMBERS: usize = 3;

/// What to measure, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Short rounds, and nothing that needs a large state: under three minutes.
    pub quick: bool,
    /// Only rows whose name holds this.
    pub only: Option<String>,
    /// Where the report goes; it is printed in any case.
    pub write_to: Option<PathBuf>,
    /// The etcd to measure beside; the one on the path unless it is given.
    pub stock: Option<PathBuf>,
    /// Members and clients talk over TLS, with certificates that the members make.
    pub tls: bool,
}

impl Options {
    fn ours(&self) -> Setup {
        Setup { program: Program::Balsa, tls: self.tls }
    }

    fn stock(&self) -> Setup {
        Setup { program: Program::Stock(self.stock.clone().unwrap_or_else(|| "etcd".into())), tls: self.tls }
    }
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Requests { operation: Operation, clients: usize },
    FanOut { watchers: usize, streams: usize, events: usize },
    KeepAlive { streams: usize },
}

struct Line {
    name: &'static str,
    work: Work,
    aim: &'static str,
    p99_aim: &'static str,
}

const fn requests(name: &'static str, operation: Operation, clients: usize, aims: [&'static str; 2]) -> Line {
    Line { name, work: Work::Requests { operation, clients }, aim: aims[0], p99_aim: aims[1] }
}

const LINES: [Line; 12] = [
    requests("put, 1 client", Operation::Put, 1, ["≥ 1", ""]),
    requests("put, 64 clients", Operation::Put, 64, ["≥ 4", "≤ 0.5"]),
    requests("put, 512 clients", Operation::Put, 512, ["≥ 4", "≤ 0.5"]),
    requests("read, then compare and set, 64 clients", Operation::Update, 64, ["", ""]),
    requests("get, 64 clients", Operation::Get, 64, ["≥ 3", ""]),
    requests("serializable get, 64 clients", Operation::SerializableGet, 64, ["≥ 3", ""]),
    requests("list of 10,000 keys, 8 clients", Operation::List, 8, ["≥ 4", ""]),
    requests("page of 500 of 10,000 keys, 8 clients", Operation::Page, 8, ["≥ 8", ""]),
    requests("count of 10,000 keys, 8 clients", Operation::Count, 8, ["≥ 20", ""]),
    Line {
        name: "deliveries, 200 watchers × 500 events",
        work: Work::FanOut { watchers: 200, streams: 200, events: 500 },
        aim: "≥ 4",
        p99_aim: "≤ 0.3",
    },
    Line {
        name: "deliveries, 5,000 watchers × 40 events",
        work: Work::FanOut { watchers: 5_000, streams: 100, events: 40 },
        aim: "≥ 4",
        p99_aim: "≤ 0.3",
    },
    Line {
        name: "lease keep-alive, 64 streams",
        work: Work::KeepAlive { streams: 64 },
        aim: "",
        p99_aim: "",
    },
];

struct Plan {
    rounds: usize,
    round: Duration,
}

pub fn run(options: &Options) -> Result<()> {
    let plan = if options.quick {
        Plan { rounds: 3, round: Duration::from_millis(1200) }
    } else {
        Plan { rounds: 5, round: Duration::from_secs(2) }
    };
    // On a disk, not in memory: fsync is what is measured.
    let dir = tempfile::Builder::new()
        .prefix("balsa-bench-")
        .tempdir_in("/var/tmp")
        .context("make a data directory")?;
    let runtime = Runtime::new().context("start a runtime")?;
    let mut report = Report::new(plan.rounds, plan.round, options.stock().program.version()?, options.tls);
    report.begin();
    small_state(options, &plan, dir.path(), &runtime, &mut report)?;
    if !options.quick {
        large::run(options, dir.path(), &runtime, &mut report)?;
        huge::run(options, dir.path(), &runtime, &mut report)?;
    }
    match &options.write_to {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}

fn small_state(
    options: &Options,
    plan: &Plan,
    dir: &Path,
    runtime: &Runtime,
    report: &mut Report,
) -> Result<()> {
    let wanted = |line: &&Line| options.only.as_ref().is_none_or(|part| line.name.contains(part.as_str()));
    let lines: Vec<&Line> = LINES.iter().filter(wanted).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let balsa = Group::start(&options.ours(), MEMBERS, &dir.join("small"), runtime)?;
    let etcd = Group::start(&options.stock(), MEMBERS, &dir.join("small"), runtime)?;
    for group in [&balsa, &etcd] {
        runtime.block_on(load::fill(&group.leader_endpoint(runtime)?, "list/", load::LIST_KEYS))?;
    }
    for line in lines {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            ours.push(measure(&balsa, line.work, plan.round, runtime)?);
            theirs.push(measure(&etcd, line.work, plan.round, runtime)?);
        }
        report.row(Row { name: line.name, aim: line.aim, p99_aim: line.p99_aim, ours, theirs });
    }
    report.figure("memory per member after this, MiB", "", balsa.resident_mib(), etcd.resident_mib());
    Ok(())
}

fn measure(group: &Group, work: Work, round: Duration, runtime: &Runtime) -> Result<Sample> {
    let endpoint = group.leader_endpoint(runtime)?;
    let before = group.cpu_seconds();
    let mut sample = runtime.block_on(async {
        match work {
            Work::Requests { operation, clients } => load::run(&endpoint, operation, clients, round).await,
            Work::FanOut { watchers, streams, events } => {
                fan_out::run(&endpoint, watchers, streams, events).await
            }
            Work::KeepAlive { streams } => keep_alive::run(&endpoint, streams, round).await,
        }
    })?;
    sample.cpu_us = (group.cpu_seconds() - before) * 1e6 / sample.operations.max(1) as f64;
    Ok(sample)
}
