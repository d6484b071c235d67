//! The simulator itself: a seed decides everything, the store holds what it promises for a fixed budget of seeds, and each
//! property notices the bug that is made on purpose for it.

use std::collections::BTreeSet;

use balsa_chaos_tests::history::Outcome as Answer;
use balsa_chaos_tests::properties::{OF_CLUSTERS, Property};
use balsa_chaos_tests::sim::folder::{self, Session};
use balsa_chaos_tests::sim::report;
use balsa_chaos_tests::sim::run::{Faults, Options, Outcome, run};
use balsa_chaos_tests::sim::sabotage::Sabotage;
use balsa_chaos_tests::sim::schedule::{Fault, Target, Timed};
use balsa_chaos_tests::sim::sightings;
use clap::ValueEnum;

/// Seeds of every test run; `./dev chaos sim` goes on with others.
const SEEDS: u64 = 28;
/// A bug that is made on purpose must show within so many seeds.
const SABOTAGE_SEEDS: u64 = 24;

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn options(seed: u64) -> Options {
    let members = 3 + 2 * usize::from(seed % 4 == 3);
    Options { seed, members, sabotage: None, faults: Faults::All, keep_trace: false, make: paused }
}

fn check(options: &Options) -> Outcome {
    let outcome = run(options).expect("plays");
    assert!(!outcome.history.operations.is_empty(), "seed {}: no client did anything", options.seed);
    assert!(outcome.findings.is_empty(), "{}", report::failure(options, &outcome, "of this tree"));
    outcome
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 3] {
        let played = || run(&Options { keep_trace: true, ..options(seed) }).expect("plays").trace;
        let (first, second) = (played(), played());
        let differ = first.lines().zip(second.lines()).enumerate().find(|(_, (one, two))| one != two);
        assert_eq!(differ, None, "seed {seed}: the first event that differs");
        assert_eq!(first, second, "seed {seed}: one trace is longer");
        assert!(first.lines().count() > 1_000, "seed {seed}: hardly anything happened");
    }
}

#[test]
fn every_property_holds() {
    let mut looked_at = BTreeSet::new();
    for seed in 0..SEEDS {
        let outcome = check(&options(seed));
        let checks = folder::verdict(&outcome.history, &outcome.sightings).checks;
        looked_at.extend(checks.into_iter().filter(|(_, check)| check.looked_at > 0).map(|(name, _)| name));
    }
    for property in judged_here() {
        assert!(looked_at.contains(property), "{property} had nothing to look at in {SEEDS} seeds");
    }
}

#[test]
fn every_property_notices_the_bug_that_is_made_for_it() {
    let proven: BTreeSet<_> =
        Sabotage::value_variants().iter().flat_map(|bug| bug.caught_by()).copied().collect();
    let unproven: Vec<_> = judged_here().filter(|property| !proven.contains(property)).collect();
    assert!(unproven.is_empty(), "no bug is made for {unproven:?}");
    for sabotage in Sabotage::value_variants() {
        let mut missing: BTreeSet<_> = sabotage.caught_by().iter().copied().collect();
        for seed in 0..SABOTAGE_SEEDS {
            let outcome = run(&Options { sabotage: Some(*sabotage), ..options(seed) }).expect("plays");
            outcome.findings.iter().for_each(|finding| {
                missing.remove(finding.property);
            });
            if missing.is_empty() {
                break;
            }
        }
        assert!(
            missing.is_empty(),
            "{}: not noticed in {SABOTAGE_SEEDS} seeds by {missing:?}",
            sabotage.name()
        );
    }
}

/// Those of clusters are judged by `tests/cluster.rs`.
fn judged_here() -> impl Iterator<Item = &'static str> {
    let of_histories = Property::all().into_iter().map(Property::name);
    of_histories.filter(|name| !OF_CLUSTERS.contains(name)).chain(sightings::PROPERTIES)
}

/// Raft does not wait for the leader's own disk, so that its heartbeats alone would let it lead for ever.
#[test]
fn a_leader_whose_disk_hangs_gives_leadership_away() {
    let hang = Timed { at_ms: 5_000, for_ms: 4_000, fault: Fault::HangingDisk(Target::Leader) };
    for seed in 0..4 {
        let faults = Faults::Given(vec![hang.clone()]);
        let outcome = check(&Options { faults, keep_trace: true, members: 3, ..options(seed) });
        let fault = &outcome.history.faults[0];
        let led_before = leaders(&outcome.trace).take_while(|(at_ms, _)| *at_ms <= hang.at_ms).last();
        let (_, hung) = led_before.expect("somebody led");
        assert_eq!(fault.members.as_slice(), std::slice::from_ref(&hung), "seed {seed}");
        let next = leaders(&outcome.trace).find(|(at_ms, _)| *at_ms > hang.at_ms);
        let (at_ms, heir) = next.expect("another member leads");
        assert_ne!(heir, hung, "seed {seed}");
        let took_ms = at_ms - hang.at_ms;
        assert!(took_ms <= TAKE_OVER_MAX_MS, "seed {seed}: {heir} leads after {took_ms} ms");
        let written = outcome.history.operations.iter().filter(|operation| {
            let while_it_hung = operation.call_us > at_ms * 1_000 && operation.return_us < fault.until_us;
            while_it_hung && operation.request.writes() && matches!(operation.outcome, Answer::Ok { .. })
        });
        let written = written.count();
        assert!(written > WRITTEN_MIN, "seed {seed}: {written} writes while the disk hangs");
    }
}

/// Two members of three and their clients go on to write for three seconds and more.
const WRITTEN_MIN: usize = 50;

/// Time in ms and name of everyone who begins to lead.
fn leaders(trace: &str) -> impl Iterator<Item = (u64, String)> {
    trace.lines().filter(|line| line.contains("leads in term")).map(|line| {
        let mut words = line.split_whitespace();
        let (time, name) = (words.next().expect("a time"), words.next().expect("a name"));
        (time.replace('.', "").parse().expect("seconds with three decimals"), name.to_owned())
    })
}

/// One election timeout, 300 ms here, until it is plain that the disk hangs, and two for an election.
const TAKE_OVER_MAX_MS: u64 = 900;

#[test]
fn a_violation_leaves_a_folder_and_the_command_that_plays_it_again() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let options = Options { sabotage: Some(Sabotage::EventLost), ..options(2) };
    let session = Session {
        commit: "of this tree".to_owned(),
        first_seed: 2,
        seeds: 1,
        operations: 1,
        seconds: 1.0,
        seeds_per_second: 1.0,
    };
    let folder = folder::write(runs.path(), &options, &session).expect("it is written");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
    assert!(read("run.json").contains("./dev chaos sim --seed 2 --members 3 --sabotage event-lost"));
    assert!(read("verdict.txt").starts_with("VIOLATED"), "{}", read("verdict.txt"));
    let verdict: serde_json::Value = serde_json::from_str(&read("verdict.json")).expect("JSON");
    assert_eq!(verdict["ending"], "violated");
    assert!(read("report.html").contains("</svg>"));
    let told = read("verdict.json");
    std::fs::remove_file(folder.join("verdict.json")).expect("it was there");
    assert!(folder::is_one(&folder));
    assert_eq!(folder::check(&folder).expect("it is judged again").exit_code(), 1);
    assert_eq!(read("verdict.json"), told);
    assert!(!read("trace.txt").is_empty() && !read("schedule.txt").is_empty());
}
