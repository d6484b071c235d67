//! A cluster of several machines under faults: real processes, containerd, stock clients.
//!
//! Needs root, the packages that `./dev test` installs, and the binaries `balsa`, `balsactl` and `lab` beside this test or
//! in `BALSA_BIN_DIR`; what is missing is said by the part that misses it.

use balsa_chaos_tests::cluster::{self, ClusterScenario, Role};
use balsa_chaos_tests::history::object::{Facts, ObjectSight, ObjectWatchRecord};
use balsa_chaos_tests::lab::Target;
use balsa_chaos_tests::properties::OF_CLUSTERS;
use balsa_chaos_tests::report::verdict::{Demands, Ending};
use balsa_chaos_tests::report::{self, Verdict};
use balsa_chaos_tests::scenario::find;
use balsa_chaos_tests::scenario::run::Options;

/// One run serves both: the second half is a lie told about the first.
#[test]
fn a_short_run_of_a_cluster_ends_well_and_a_planted_loss_is_found() {
    let runs = tempfile::tempdir().unwrap();
    let scenario = ClusterScenario::parse(&find("cluster-smoke").unwrap()).unwrap();
    let options = Options {
        target: Target::Balsa,
        seed: 1,
        duration: None,
        folder: report::make_folder(runs.path(), &scenario.name, 1).expect("a folder in a fresh one"),
        progress: |line| eprintln!("{line}"),
    };
    let mut history = cluster::run::run(&scenario, &options).expect("the run itself goes well");
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

    let fixpoint = history.fixpoints.last_mut().expect("the run has come to its end");
    let lost =
        fixpoint.objects.iter().position(|seen| seen.object.starts_with("ConfigMap chaos-traffic/object-"));
    let lost = fixpoint.objects.remove(lost.expect("the traffic leaves objects behind"));
    let told = |record: &ObjectWatchRecord| matches!(&record.sight, ObjectSight::Applied(seen) if seen.object == lost.object);
    assert!(history.object_watches.iter().any(told), "no watch was told of {}", lost.object);
    let verdict = Verdict::judge(&history, &Demands::default());
    assert_eq!(verdict.ending, Ending::Violated, "{}", verdict.text());
    let found = &verdict.checks["objects_kept"].violations;
    assert!(found.iter().any(|violation| violation.text.contains(&lost.object)), "{}", verdict.text());
}
