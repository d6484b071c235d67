//! `./dev chaos`: runs scenarios against a store, judges what was seen, and says so in its exit code.
//!
//! 0: every property holds. 1: one is violated. 2: undecided, or the run itself failed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::cluster::sabotage::Sabotage;
use balsa_chaos_tests::cluster::{self, ClusterScenario};
use balsa_chaos_tests::history::History;
use balsa_chaos_tests::lab::Target;
use balsa_chaos_tests::report::verdict::Demands;
use balsa_chaos_tests::report::{self, Heading, Verdict};
use balsa_chaos_tests::scenario::run::{INTERRUPTED, Options, run, version};
use balsa_chaos_tests::scenario::{Scenario, duration, find, library};
use balsa_chaos_tests::sim::folder as simulated;
use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Parser)]
#[command(name = "chaos", about = "Breaks a store on purpose, with a verdict")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run scenarios on hosts of network namespaces (needs root)
    Lab(Lab),
    /// The scenarios of the library
    List,
    /// Judge an old run of the lab or the simulator again, from its folder
    Check {
        /// Folder of the run
        folder: PathBuf,
    },
}

#[derive(clap::Args)]
struct Lab {
    /// Files, or names from `chaos list`
    #[arg(required = true)]
    scenarios: Vec<String>,
    #[arg(long, value_enum, default_value_t = Kind::Balsa)]
    target: Kind,
    /// The stock etcd of --target etcd
    #[arg(long, default_value = "etcd")]
    etcd_binary: PathBuf,
    /// Of all random choices; taken from the clock if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Length of a run instead of the scenario's own, such as 60s
    #[arg(long, value_parser = duration::parse)]
    time: Option<Duration>,
    /// Run each scenario this many times, with a new seed each time
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Make a bug on purpose around a cluster, to see it noticed; `chaos sim` has those around a store
    #[arg(long, value_enum)]
    sabotage: Vec<Sabotage>,
    /// Folder for the folders of runs
    #[arg(long, default_value = "chaos-runs")]
    out: PathBuf,
}

/// `run.json`.
#[derive(Serialize, Deserialize)]
struct Facts {
    scenario: String,
    seed: u64,
    /// What the program under test says of its version.
    target: String,
}

/// A scenario of either kind.
enum Any {
    Store(Scenario),
    Cluster(ClusterScenario),
}

impl Any {
    fn parse(text: &str) -> Result<Self> {
        if ClusterScenario::is_one(text) {
            ClusterScenario::parse(text).map(Self::Cluster)
        } else {
            Scenario::parse(text).map(Self::Store)
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Store(scenario) => &scenario.name,
            Self::Cluster(scenario) => &scenario.name,
        }
    }

    fn about(&self) -> &str {
        match self {
            Self::Store(scenario) => &scenario.about,
            Self::Cluster(scenario) => &scenario.about,
        }
    }

    fn duration(&self) -> Duration {
        match self {
            Self::Store(scenario) => scenario.duration,
            Self::Cluster(scenario) => scenario.duration,
        }
    }

    /// Adds bugs that are made on purpose.
    fn sabotage(&mut self, bugs: &[Sabotage]) -> Result<()> {
        match self {
            Self::Store(scenario) => ensure!(
                bugs.is_empty(),
                "--sabotage: {} is for a store, whose bugs are made by ./dev chaos sim --sabotage",
                scenario.name
            ),
            Self::Cluster(scenario) => scenario.sabotage.extend(bugs),
        }
        Ok(())
    }

    fn bugs(&self) -> &[Sabotage] {
        match self {
            Self::Store(_) => &[],
            Self::Cluster(scenario) => &scenario.sabotage,
        }
    }

    fn demands(&self) -> Demands {
        match self {
            Self::Store(scenario) => Demands {
                properties: scenario.properties.clone(),
                writes_resume_within: scenario.writes_resume_within,
            },
            Self::Cluster(scenario) => Demands {
                properties: scenario.properties.clone(),
                writes_resume_within: scenario.writes_resume_within,
            },
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Balsa,
    Etcd,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Lab(lab) => run_all(&lab),
        Verb::List => list(),
        Verb::Check { folder } => check(&folder),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The worst exit code of all runs: a violation is worse than a doubt.
fn run_all(lab: &Lab) -> Result<u8> {
    watch_for_interruption()?;
    let first_seed = match lab.seed {
        Some(seed) => seed,
        None => seed_from_clock()?,
    };
    let mut codes = Vec::new();
    for name in &lab.scenarios {
        let text = find(name)?;
        let mut scenario = Any::parse(&text).with_context(|| name.clone())?;
        scenario.sabotage(&lab.sabotage)?;
        for turn in 0..lab.runs {
            if !INTERRUPTED.load(Ordering::Relaxed) {
                codes.push(run_one(lab, name, &scenario, &text, first_seed + turn)?);
            }
        }
    }
    Ok([1, 2].into_iter().find(|code| codes.contains(code)).unwrap_or(0))
}

/// `name` is what the command line calls the scenario.
fn run_one(lab: &Lab, name: &str, scenario: &Any, text: &str, seed: u64) -> Result<u8> {
    let folder = report::make_folder(&lab.out, scenario.name(), seed)?;
    let target = match lab.target {
        Kind::Balsa => Target::Balsa,
        Kind::Etcd => Target::Etcd(lab.etcd_binary.clone()),
    };
    println!("{}: {}", scenario.name(), scenario.about().trim());
    println!("seed {seed}, folder {}", folder.display());
    let facts = Facts { scenario: scenario.name().to_owned(), seed, target: version(&target)? };
    report::write_facts(&folder, text, &serde_json::to_value(&facts).context("write the facts")?)?;
    let options = Options {
        target,
        seed,
        duration: lab.time,
        folder: folder.clone(),
        progress: |line| eprintln!("  {line}"),
    };
    let history = match scenario {
        Any::Store(scenario) => run(scenario, &options)?,
        Any::Cluster(scenario) => cluster::run::run(scenario, &options)?,
    };
    let verdict = judge(scenario, &history, &facts, &folder)?;
    for bug in scenario.bugs() {
        let seen = if bug.is_noticed(&verdict) { "noticed" } else { "NOT NOTICED" };
        println!("sabotage {}: {seen} by {}", bug.name(), bug.caught_by().0);
    }
    if verdict.exit_code() != 0 {
        println!("AGAIN {}\nJUDGE ./dev chaos check {}", again(lab, name, seed), folder.display());
    }
    Ok(verdict.exit_code())
}

/// The command that makes the same run again.
fn again(lab: &Lab, name: &str, seed: u64) -> String {
    let mut command = format!("./dev chaos lab {name} --seed {seed}");
    if lab.target == Kind::Etcd {
        command += &format!(" --target etcd --etcd-binary {}", lab.etcd_binary.display());
    }
    if let Some(time) = lab.time {
        command += &format!(" --time {}ms", time.as_millis());
    }
    for bug in &lab.sabotage {
        command += &format!(" --sabotage {}", bug.name());
    }
    command
}

/// Judges, prints, and writes the report.
fn judge(scenario: &Any, history: &History, facts: &Facts, folder: &Path) -> Result<Verdict> {
    let demands = scenario.demands();
    let verdict = Verdict::judge(history, &demands);
    let heading = Heading {
        scenario: &facts.scenario,
        about: scenario.about(),
        seed: facts.seed,
        target: &facts.target,
    };
    report::write_verdict(folder, &heading, history, &verdict)?;
    println!("{}", verdict.text());
    Ok(verdict)
}

fn check(folder: &Path) -> Result<u8> {
    if simulated::is_one(folder) {
        let verdict = simulated::check(folder)?;
        println!("{}", verdict.text());
        return Ok(verdict.exit_code());
    }
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name))
            .with_context(|| format!("{} is not the folder of a run", folder.display()))
    };
    let facts: Facts = serde_json::from_str(&read("run.json")?).context("run.json is not understood")?;
    let scenario = Any::parse(&read("scenario.yaml")?)?;
    let history = History::load(&folder.join("history.jsonl"))?;
    Ok(judge(&scenario, &history, &facts, folder)?.exit_code())
}

fn list() -> Result<u8> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(library())
        .context("list the library")?
        .map(|entry| Ok(entry.context("list the library")?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let scenario = Any::parse(&text).with_context(|| path.display().to_string())?;
        let (name, seconds) = (scenario.name(), scenario.duration().as_secs());
        println!("{name:<26} {seconds:>4} s  {}", scenario.about().trim());
    }
    Ok(0)
}

/// The first Ctrl-C ends the run and heals; whoever cannot wait presses it again.
fn watch_for_interruption() -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if INTERRUPTED.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
                eprintln!("healing and judging what there is; Ctrl-C again to leave at once");
            }
        });
    });
    Ok(())
}

fn seed_from_clock() -> Result<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("read the clock")?;
    Ok(now.as_secs())
}
