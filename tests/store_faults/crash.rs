//! A store member ends at every step between append, sync, apply, purge, compaction and snapshot; nothing acknowledged is
//! lost, nothing happens twice, and no revision is skipped or given again.
//!
//! Each row arms one point of `store/src/failpoint.rs`. Tests are named by the etcd issues that they are about.

use std::time::Duration;

use anyhow::{Result, ensure};
use balsa_chaos_tests::lab::eventually;
use balsa_store::failpoint::Point;

use crate::load::{self, Acknowledged, Load};
use crate::members::Members;

/// Point, and the pass through it that ends the process: some work is done by then.
const ALONE: [(Point, u64); 10] = [
    (Point::LogBeforeSync, 40),
    (Point::LogAfterSync, 40),
    (Point::ApplyBeforeWrite, 40),
    (Point::ApplyAfterWrite, 40),
    (Point::StateBeforeSync, 2),
    (Point::StateAfterSync, 2),
    (Point::LogAfterPurge, 2),
    (Point::CompactionBeforeFirstStep, 2),
    (Point::CompactionAfterStep, 1),
    (Point::CompactionAfterLastStep, 2),
];

/// While it defragments, and so often: the second column family is the one with the keys.
const DEFRAGMENTING: [(Point, u64); 3] =
    [(Point::DefragmentAfterFlush, 1), (Point::DefragmentAfterFlush, 2), (Point::DefragmentAfterColumn, 2)];

/// On the member that catches up.
const RECEIVING: [Point; 3] =
    [Point::InstallBeforeMove, Point::InstallBeforePointer, Point::InstallAfterPointer];

const DEATH: Duration = Duration::from_secs(30);
const CATCH_UP: Duration = Duration::from_secs(30);
/// Writes until there is something to defragment.
const SOME: u64 = 50;
/// After so many writes the log no longer has what a member lacks that was there at the first: a batch is one entry, and
/// holds at most one write of each writer.
const PURGED_BEHIND: u64 = 2000;

/// 13766: the applied index and the data were written apart, so that entries were applied twice, or not at all. 18799: half of a
/// transaction. 17780, 16693 and 6633: the revision went back after a crash in a compaction.
#[test]
fn bug_13766_17780_16693_6633_18799_a_lone_member_that_ends_anywhere_loses_nothing() {
    let failures = rows(&ALONE, |(point, number)| alone(*point, *number, |_, _| Ok(())));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// 14685: a crash during a defragmentation left an applied index that was older than the data.
#[test]
fn bug_14685_a_member_that_ends_while_it_defragments_loses_nothing() {
    let failures = rows(&DEFRAGMENTING, |(point, number)| alone(*point, *number, defragment));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// 20271: a crash in the middle of taking a snapshot over left a database that did not open.
#[test]
fn bug_20271_a_member_that_ends_while_it_catches_up_catches_up() {
    let failures = rows(&RECEIVING, |point| receiving(*point));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_leader_that_ends_while_it_sends_a_snapshot_loses_nothing() {
    sending().expect("the row holds");
}

fn rows<T: std::fmt::Debug>(rows: &[T], run: impl Fn(&T) -> Result<()>) -> Vec<String> {
    let failed = |row: &T| run(row).err().map(|error| format!("{row:?}: {error:#}"));
    rows.iter().filter_map(failed).collect()
}

/// `also` happens while clients write.
fn alone(point: Point, number: u64, also: fn(&Load, &str) -> Result<()>) -> Result<()> {
    let mut members = Members::new(1)?;
    members.start(0, Some((point, number)))?;
    let load = Load::start(members.endpoint(0));
    also(&load, &members.endpoint(0))?;
    members.wait_for_death(0, point, DEATH)?;
    let acknowledged = load.stop();
    members.start(0, None)?;
    judge(&members, 0, &acknowledged)
}

fn defragment(load: &Load, endpoint: &str) -> Result<()> {
    load.wait_for(SOME, DEATH)?;
    // The member ends under it.
    let answer = load::defragment(endpoint);
    ensure!(answer.is_err(), "the defragmentation came to its end");
    Ok(())
}

fn receiving(point: Point) -> Result<()> {
    let mut members = Members::new(3)?;
    for member in 0..3 {
        members.spawn(member, None)?;
    }
    for member in 0..3 {
        members.wait_until_serving(member)?;
    }
    members.kill(2)?;
    let load = Load::start(members.endpoint(0));
    load.wait_for(PURGED_BEHIND, DEATH)?;
    members.spawn(2, Some((point, 1)))?;
    members.wait_for_death(2, point, DEATH)?;
    let acknowledged = load.stop();
    members.start(2, None)?;
    caught_up(&members, 2, &acknowledged)?;
    judge(&members, 0, &acknowledged)
}

fn sending() -> Result<()> {
    let mut members = Members::new(3)?;
    for member in 0..3 {
        members.spawn(member, Some((Point::CheckpointAfterMake, 1)))?;
    }
    for member in 0..3 {
        members.wait_until_serving(member)?;
    }
    let behind = members.follower()?;
    members.kill(behind)?;
    let others: Vec<usize> = (0..3).filter(|member| *member != behind).collect();
    let load = Load::start(members.endpoint(others[0]));
    // Once the log is purged beyond the member that is gone, the leader makes a checkpoint for it.
    let dead = members.wait_for_any_death(&others, Point::CheckpointAfterMake, DEATH)?;
    let acknowledged = load.stop();
    // The other one is armed as well, and would end at its turn to lead.
    members.kill(if dead == others[0] { others[1] } else { others[0] })?;
    for member in 0..3 {
        members.spawn(member, None)?;
    }
    for member in 0..3 {
        caught_up(&members, member, &acknowledged)?;
    }
    judge(&members, dead, &acknowledged)
}

/// The member's own state, without asking the others, holds what was acknowledged.
fn caught_up(members: &Members, member: usize, acknowledged: &Acknowledged) -> Result<()> {
    eventually("the member has everything", CATCH_UP, || {
        let found = load::read_all(&members.endpoint(member), true)?;
        acknowledged.check(&found)
    })
}

pub fn judge(members: &Members, member: usize, acknowledged: &Acknowledged) -> Result<()> {
    ensure!(acknowledged.revision > 0, "nothing was acknowledged before the end: the row tests nothing");
    let endpoint = members.endpoint(member);
    let found = load::read_all(&endpoint, false)?;
    acknowledged.check(&found)?;
    load::check_history(&endpoint, found.revision)?;
    let next = load::put(&endpoint, "after", "1")?;
    ensure!(next > acknowledged.revision, "revision {next} was given before: {}", acknowledged.revision);
    Ok(())
}
