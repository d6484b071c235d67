//! `./dev chaos sim`: plays runs of the simulator, one seed after the other, and says in its exit code what came of it.
//!
//! 0: every property held in every run. 1: one was violated (with `--sabotage`, too: then this is what is wanted). 2: a
//! run itself failed. An example and no binary, because only examples and tests are built with tokio's paused clock, which
//! has no business in a program that serves.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use balsa_chaos_tests::sim::folder::{self, Session};
use balsa_chaos_tests::sim::report;
use balsa_chaos_tests::sim::run::{Faults, Options, Outcome, run};
use balsa_chaos_tests::sim::sabotage::Sabotage;
use balsa_chaos_tests::sim::shrink::shrink;
use clap::Parser;

/// As in `balsa`: a run makes and drops many small things.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Between two lines of progress where there is no terminal to write over the last one.
const LINE_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const SECONDS_PER_MINUTE: f64 = 60.0;

#[derive(Parser, Clone)]
#[command(name = "chaos sim", about = "Plays a cluster on a simulated clock, network and disk, from a seed")]
struct Arguments {
    /// Play this one; without --seeds and --minutes, only this one
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds, counted from --seed or from the clock
    #[arg(long)]
    seeds: Option<u64>,
    /// Go on for so long
    #[arg(long, conflicts_with = "seeds")]
    minutes: Option<f64>,
    /// 3 or 5; by turns if not given
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(["3", "5"]))]
    members: Option<String>,
    /// Of the faults of the seed, only these: their numbers in its list, or none
    #[arg(long, requires = "seed")]
    faults: Option<String>,
    /// Leave faults out of a failing run for as long as it still fails
    #[arg(long)]
    shrink: bool,
    /// Put a bug into the surroundings that the properties must notice
    #[arg(long, value_enum)]
    sabotage: Option<Sabotage>,
    /// Print every event of the run
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Runs at a time
    #[arg(long)]
    jobs: Option<usize>,
    /// Folder for the folder of this run
    #[arg(long, default_value = "chaos-runs")]
    out: PathBuf,
}

/// What the threads share.
struct Progress {
    next: AtomicU64,
    played: AtomicU64,
    operations: AtomicU64,
    stop: AtomicBool,
    failure: Mutex<Option<(Options, Outcome)>>,
    error: Mutex<Option<anyhow::Error>>,
}

fn main() -> ExitCode {
    match play(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("chaos sim: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True if nothing was violated.
fn play(arguments: &Arguments) -> Result<bool> {
    let first = match arguments.seed {
        Some(seed) => seed,
        None => std::time::UNIX_EPOCH.elapsed().context("read the clock")?.as_secs() * 1_000,
    };
    let one = arguments.seed.is_some() && arguments.minutes.is_none();
    let seeds = arguments.seeds.unwrap_or(if one { 1 } else { u64::MAX });
    let minutes = arguments.minutes.unwrap_or(if arguments.seeds.is_some() || one { f64::MAX } else { 1.0 });
    let progress = Progress {
        next: AtomicU64::new(0),
        played: AtomicU64::new(0),
        operations: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        failure: Mutex::new(None),
        error: Mutex::new(None),
    };
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(usize::try_from(seeds).unwrap_or(usize::MAX)) {
            scope.spawn(|| work(arguments, first, seeds, &progress));
        }
        let is_over =
            || progress.stop.load(Ordering::Relaxed) || progress.played.load(Ordering::Relaxed) >= seeds;
        let mut told = began;
        while !is_over() {
            std::thread::park_timeout(LOOK_EVERY);
            let is_terminal = std::io::stderr().is_terminal();
            if is_terminal || told.elapsed() >= LINE_EVERY {
                told = Instant::now();
                tell(&progress, began, !is_terminal);
            }
            if began.elapsed().as_secs_f64() > minutes * SECONDS_PER_MINUTE {
                progress.stop.store(true, Ordering::Relaxed);
            }
        }
    });
    tell(&progress, began, true);
    let session = session(&progress, first, began);
    if let Some(error) = progress.error.into_inner().expect("no thread panics with it") {
        return Err(error);
    }
    let failure = progress.failure.into_inner().expect("no thread panics with it");
    let well = failure.is_none();
    let shown = match failure {
        Some((options, outcome)) => explain(arguments, options, outcome, &session.commit)?,
        None => {
            println!("every property held");
            options(arguments, first)?
        }
    };
    let folder = folder::write(&arguments.out, &shown, &session)?;
    println!("folder {}", folder.display());
    Ok(well)
}

fn session(progress: &Progress, first_seed: u64, began: Instant) -> Session {
    let (seeds, seconds) = (progress.played.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
    let operations = progress.operations.load(Ordering::Relaxed);
    let seeds_per_second = seeds as f64 / seconds.max(f64::EPSILON);
    Session { commit: commit(), first_seed, seeds, operations, seconds, seeds_per_second }
}

/// Takes one seed after the other until one fails.
fn work(arguments: &Arguments, first: u64, seeds: u64, progress: &Progress) {
    while !progress.stop.load(Ordering::Relaxed) {
        let number = progress.next.fetch_add(1, Ordering::Relaxed);
        if number >= seeds {
            return;
        }
        let played = options(arguments, first.wrapping_add(number)).and_then(|options| {
            let outcome = run(&options)?;
            Ok((options, outcome))
        });
        match played {
            Ok((options, outcome)) => {
                progress.operations.fetch_add(outcome.history.operations.len() as u64, Ordering::Relaxed);
                if arguments.trace {
                    print!("{}", outcome.trace);
                }
                if !outcome.findings.is_empty() {
                    progress
                        .failure
                        .lock()
                        .expect("no thread panics with it")
                        .get_or_insert((options, outcome));
                    progress.stop.store(true, Ordering::Relaxed);
                }
            }
            Err(error) => {
                progress.error.lock().expect("no thread panics with it").get_or_insert(error);
                progress.stop.store(true, Ordering::Relaxed);
            }
        }
        progress.played.fetch_add(1, Ordering::Relaxed);
    }
}

fn options(arguments: &Arguments, seed: u64) -> Result<Options> {
    let members = match &arguments.members {
        Some(members) => members.parse().context("--members")?,
        None => 3 + 2 * usize::from(seed % 4 == 3),
    };
    let faults = match arguments.faults.as_deref() {
        None => Faults::All,
        Some("none") => Faults::Only(Vec::new()),
        Some(list) => {
            Faults::Only(list.split(',').map(str::parse).collect::<Result<_, _>>().context("--faults")?)
        }
    };
    if matches!(faults, Faults::Only(_)) && arguments.seeds.is_some_and(|seeds| seeds > 1) {
        bail!("--faults speaks of one seed: leave --seeds out");
    }
    let (sabotage, keep_trace) = (arguments.sabotage, arguments.trace);
    Ok(Options { seed, members, sabotage, faults, keep_trace, make: paused })
}

/// Returns the run to leave behind.
fn explain(arguments: &Arguments, options: Options, outcome: Outcome, commit: &str) -> Result<Options> {
    if !arguments.shrink {
        println!("{}", report::failure(&options, &outcome, commit));
        return Ok(options);
    }
    let property = outcome.findings[0].property;
    eprintln!("seed {} violates {property}; leaving faults out", options.seed);
    let (keep, outcome) = shrink(&options, property)?;
    let options = Options { faults: Faults::Only(keep), ..options };
    println!("{}", report::failure(&options, &outcome, commit));
    Ok(options)
}

/// A line that the next one writes over, unless it is to stay.
fn tell(progress: &Progress, began: Instant, stays: bool) {
    let (seconds, played) = (began.elapsed().as_secs_f64(), progress.played.load(Ordering::Relaxed));
    let operations = progress.operations.load(Ordering::Relaxed);
    let rate = played as f64 / seconds.max(f64::EPSILON);
    let mut out = std::io::stderr().lock();
    // A terminal that is gone does not need the line.
    let _ = write!(out, "\r{seconds:>7.1} s  {played} seeds  {operations} operations  {rate:.1} seeds/s ");
    let _ = if stays { writeln!(out) } else { out.flush() };
}

fn commit() -> String {
    let git = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let text = git.ok().filter(|git| git.status.success()).map(|git| git.stdout);
    text.map_or("unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the machine")
}
