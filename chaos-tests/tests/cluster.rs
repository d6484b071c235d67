//! A cluster of several machines under faults: real processes, containerd, stock clients.
//!
//! Needs root, the packages that `./dev test` installs, and the binaries `balsa`, `balsactl` and `lab` beside this test or
//! in `BALSA_BIN_DIR`; what is missing is said by the part that misses it.

use std::collections::BTreeSet;

use balsa_chaos_tests::cluster::sabotage::Sabotage;
use balsa_chaos_tests::cluster::{self, ClusterScenario, Role};
use balsa_chaos_tests::history::History;
use balsa_chaos_tests::history::object::Facts;
use balsa_chaos_tests::lab::Target;
use balsa_chaos_tests::properties::OF_CLUSTERS;
use balsa_chaos_tests::report::verdict::{Demands, Ending};
use balsa_chaos_tests::report::{self, Verdict};
use balsa_chaos_tests::scenario::find;
use balsa_chaos_tests::scenario::run::Options;
use clap::ValueEnum;

#[test]
fn a_short_run_of_a_cluster_ends_well() {
    let scenario = ClusterScenario::parse(&find("cluster-smoke").unwrap()).unwrap();
    let history = run_once(&scenario);
    let verdict = Verdict::judge(&history, &Demands::default());
    assert_eq!(verdict.ending, Ending::Ok, "{}", verdict.text());
    for property in OF_CLUSTERS {
        assert!(
            verdict.checks.contains_key(property),
            "{property} had nothing to look at: {}",
            verdict.text()
        );
    }

    let apiservers =
        history.fixpoints.iter().flat_map(|fixpoint| &fixpoint.objects).find_map(|seen| match &seen.facts {
            Facts::Slice { service, ready } if service == "kubernetes" => Some(ready.clone()),
            Facts::Slice { .. } | Facts::Pod { .. } | Facts::Service { .. } | Facts::Value(_) => None,
        });
    let both = scenario.topology().addresses_of(Role::Apiserver);
    let both = both.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(apiservers, Some(both), "endpoints of the Service kubernetes");
}

/// All bugs at once, since each is known by what it breaks.
const SABOTAGED: &str = "
name: sabotaged
about: No fault, but a bug for each property.
topology: external
duration: 8s
settles_within: 1s
writes_resume_within: 3s
workloads:
  - {kind: kubernetes, clients: 3, watchers: 2, pause: 10ms}
  - {kind: pods, replicas: 2, ordinals: 1}
";

#[test]
fn every_property_of_clusters_notices_the_bug_that_is_made_for_it() {
    let every = Sabotage::value_variants();
    let noticed_by: BTreeSet<_> = every.iter().map(|sabotage| sabotage.caught_by().0).collect();
    let wanted: BTreeSet<_> = OF_CLUSTERS.into_iter().chain(["survives", "writes_resume"]).collect();
    assert_eq!(noticed_by, wanted, "each property has a bug, and each bug a property");

    let mut scenario = ClusterScenario::parse(SABOTAGED).unwrap();
    scenario.sabotage = every.to_vec();
    let demands = Demands { writes_resume_within: scenario.writes_resume_within, ..Demands::default() };
    let verdict = Verdict::judge(&run_once(&scenario), &demands);
    let unnoticed: Vec<_> = every.iter().filter(|sabotage| !sabotage.is_noticed(&verdict)).collect();
    assert!(unnoticed.is_empty(), "not noticed: {unnoticed:?}\n{}", verdict.text());
}

fn run_once(scenario: &ClusterScenario) -> History {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        target: Target::Balsa,
        seed: 1,
        duration: None,
        folder: report::make_folder(runs.path(), &scenario.name, 1).expect("a folder in a fresh one"),
        progress: |line| eprintln!("{line}"),
    };
    cluster::run::run(scenario, &options).expect("the run itself goes well")
}
