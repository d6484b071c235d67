//! The simulator itself: a seed decides everything, the store holds what it promises for a fixed budget of seeds, and each
//! bug that is made on purpose is noticed.

use balsa_chaos_tests::sim::report;
use balsa_chaos_tests::sim::run::{Finding, Options, run};
use balsa_chaos_tests::sim::sabotage::Sabotage;
use clap::ValueEnum;

/// Seeds of every test run; `./dev chaos sim` goes on with others.
const SEEDS: u64 = 24;
/// A bug that is made on purpose must show within so many seeds.
const SABOTAGE_SEEDS: u64 = 24;

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn options(seed: u64) -> Options {
    let members = 3 + 2 * usize::from(seed % 4 == 3);
    Options { seed, members, sabotage: None, keep: None, keep_trace: false, make: paused }
}

fn check(options: &Options) {
    let outcome = run(options).expect("plays");
    assert!(outcome.operations > 0, "seed {}: no client did anything", options.seed);
    assert!(outcome.on_the_wires > 0, "seed {}: nothing was looked at between members", options.seed);
    assert!(outcome.findings.is_empty(), "{}", report::failure(options, &outcome, "of this tree"));
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
    (0..SEEDS).for_each(|seed| check(&options(seed)));
}

#[test]
fn every_sabotage_is_noticed() {
    for sabotage in Sabotage::value_variants() {
        let is_wanted = |finding: &Finding| sabotage.caught_by().contains(&finding.property);
        let noticed = (0..SABOTAGE_SEEDS).find(|seed| {
            let outcome = run(&Options { sabotage: Some(*sabotage), ..options(*seed) }).expect("plays");
            outcome.findings.iter().any(is_wanted)
        });
        assert!(noticed.is_some(), "{}: not noticed in {SABOTAGE_SEEDS} seeds", sabotage.name());
    }
}
