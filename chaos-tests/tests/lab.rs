//! The lab on itself: a short run of the real store under faults must end well, the same harness must find a planted
//! violation, and the disk that forgets must forget.
//!
//! Needs root (namespaces, mounts) and the `balsa` binary beside this test or in `BALSA_BIN_DIR`, as `./dev test` has it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use balsa_chaos_tests::disk::{ForgetfulDisk, Metadata, Survivors, Trouble};
use balsa_chaos_tests::history::{History, Outcome, Reply, Request};
use balsa_chaos_tests::lab::Target;
use balsa_chaos_tests::report::verdict::{Demands, Ending};
use balsa_chaos_tests::report::{self, Verdict};
use balsa_chaos_tests::scenario::run::{Options, run};
use balsa_chaos_tests::scenario::{Scenario, find};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// One run serves both: the second half is a lie told about the first.
#[test]
fn a_short_run_ends_well_and_a_planted_violation_is_found() {
    let runs = tempfile::tempdir().unwrap();
    let scenario = Scenario::parse(&find("smoke").unwrap()).unwrap();
    let mut history = run_once(&scenario, runs.path());
    let verdict = judge(&scenario, &history);
    assert_eq!(verdict.ending, Ending::Ok, "{}", verdict.text());
    assert!(verdict.operations.ok > 100, "too few operations to prove anything: {}", verdict.text());

    let told = make_a_read_stale(&mut history);
    let verdict = judge(&scenario, &history);
    assert_eq!(verdict.ending, Ending::Violated, "{}", verdict.text());
    let check = &verdict.checks["linearizable"];
    assert!(check.violations.iter().any(|violation| violation.text.contains(&told)), "{}", verdict.text());
}

#[test]
fn lists_leases_and_locks_survive_a_kill_a_jump_of_clocks_and_a_pause() {
    let verdict = ends_well("smoke-coordination");
    for (property, least) in
        [("append_lists", 100), ("lease_never_early", 20), ("lock_exclusive", 5), ("lock_fenced", 20)]
    {
        let looked_at = verdict.checks[property].looked_at;
        assert!(looked_at >= least, "{property} looked at {looked_at} only: {}", verdict.text());
    }
}

#[test]
fn certificates_are_renewed_and_a_member_is_replaced_while_clients_go_on() {
    let verdict = ends_well("smoke-renewal");
    assert!(verdict.operations.ok > 100, "too few operations to prove anything: {}", verdict.text());
}

fn ends_well(name: &str) -> Verdict {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let scenario =
        Scenario::parse(&find(name).expect("it is in the library")).expect("the library is understood");
    let history = run_once(&scenario, runs.path());
    let verdict = judge(&scenario, &history);
    assert_eq!(verdict.ending, Ending::Ok, "{}", verdict.text());
    let struck: std::collections::BTreeSet<_> = history.faults.iter().map(|fault| &fault.verb).collect();
    assert_eq!(struck.len(), scenario.faults.len(), "each fault struck: {:?}", history.faults);
    verdict
}

fn run_once(scenario: &Scenario, runs: &Path) -> History {
    let folder = report::make_folder(runs, &scenario.name, 1).expect("a folder in a fresh one");
    let options = Options {
        target: Target::Balsa,
        seed: 1,
        duration: None,
        folder,
        progress: |line| eprintln!("{line}"),
    };
    run(scenario, &options).expect("the run itself goes well")
}

fn judge(scenario: &Scenario, history: &History) -> Verdict {
    let properties = scenario.properties.clone();
    Verdict::judge(history, &Demands { properties, writes_resume_within: scenario.writes_resume_within })
}

/// The last linearizable read that saw something says that it saw nothing. Returns the key that it speaks of.
fn make_a_read_stale(history: &mut History) -> String {
    let read = history
        .operations
        .iter_mut()
        .rev()
        .find(|operation| {
            matches!(&operation.request, Request::Get { serializable: false, .. })
                && matches!(operation.reply(), Some(Reply::Range { kvs, .. }) if !kvs.is_empty())
        })
        .expect("a run of seconds has reads that see something");
    let Request::Get { key, .. } = read.request.clone() else { unreachable!("found by this shape") };
    let revision = read.revision().unwrap_or_default();
    read.outcome = Outcome::Ok { revision, reply: Reply::Range { kvs: Vec::new(), count: 0 } };
    key
}

/// Through the kernel, as a store would: what was synced is there after the power comes back, the rest is not.
#[test]
fn a_mounted_disk_forgets_what_was_not_synced() {
    let place =
        tempfile::Builder::new().prefix(&format!("balsa-{}-n-", std::process::id())).tempdir().unwrap();
    let dir = place.path().join("disk");
    let mut disk = ForgetfulDisk::mount(&dir, Metadata::Journaled).unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    let mut log = File::create(dir.join("sub/log")).unwrap();
    log.write_all(b"synced ").unwrap();
    log.sync_all().unwrap();
    log.write_all(b"not synced").unwrap();
    fs::write(dir.join("never"), "x").unwrap();
    fs::hard_link(dir.join("never"), dir.join("twice")).unwrap();
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["never", "sub", "twice"]);
    drop(log);
    disk.power_cut(Survivors::Nothing, &mut StdRng::seed_from_u64(1)).unwrap();
    assert_eq!(fs::read_to_string(dir.join("sub/log")).unwrap(), "synced ");
    assert!(!dir.join("never").exists());
    disk.set_trouble(Trouble { full: true, ..Trouble::default() });
    let refused = fs::write(dir.join("more"), "y").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
}
