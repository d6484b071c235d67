//! A leader that stands still while the others go on, and then wakes up and believes that it leads.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::eventually;

use crate::load;
use crate::members::Members;

const TAKE_OVER: Duration = Duration::from_secs(20);

/// 20418 and 21378: a linearizable read was stale.
#[test]
fn bug_20418_and_21378_a_leader_that_wakes_up_reads_nothing_old() {
    wakes_up_and_reads().expect("no stale read");
}

/// 15247 and 12528: a deposed leader revoked leases.
#[test]
fn bug_15247_and_12528_a_leader_that_wakes_up_revokes_nothing() {
    wakes_up_with_leases().expect("the lease that others keep alive stays");
}

fn wakes_up_and_reads() -> Result<()> {
    let mut members = Members::new(3)?;
    members.start_all()?;
    let (old, others) = leader_and_others(&members)?;
    load::put(&members.endpoint(old), "k", "old")?;
    members.pause(old)?;
    eventually("the others elect a leader", TAKE_OVER, || {
        load::put(&members.endpoint(others[0]), "k", "new")
    })?;
    // Asked while it stands still: the request is the first thing that it finds.
    let endpoint = members.endpoint(old);
    let asked = std::thread::spawn(move || load::get(&endpoint, "k"));
    members.wake(old)?;
    let answers = [asked.join().expect("the reader does not panic"), load::get(&members.endpoint(old), "k")];
    // An error is no stale read: the member may not have found the new leader yet.
    for value in answers.into_iter().flatten() {
        ensure!(value.as_deref() == Some("new"), "a linearizable read found {value:?}");
    }
    eventually("the member reads again", TAKE_OVER, || {
        let value = load::get(&members.endpoint(old), "k")?;
        ensure!(value.as_deref() == Some("new"), "a linearizable read found {value:?}");
        Ok(())
    })
}

fn wakes_up_with_leases() -> Result<()> {
    let mut members = Members::new(3)?;
    members.start_all()?;
    let (old, others) = leader_and_others(&members)?;
    // The shortest that there is: it has run out on the old leader's clock by the time that it wakes up.
    let lease = load::grant(&members.endpoint(others[0]), 2)?;
    load::put_leased(&members.endpoint(others[0]), "leased", lease)?;
    members.pause(old)?;
    eventually("the others keep the lease alive", TAKE_OVER, || {
        load::keep_alive(&members.endpoint(others[0]), lease)
    })?;
    // Past the old leader's idea of its end; each answer of the new leader renews it.
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        load::keep_alive(&members.endpoint(others[0]), lease)?;
    }
    members.wake(old)?;
    let woken = std::time::Instant::now();
    while woken.elapsed() < Duration::from_secs(2) {
        load::keep_alive(&members.endpoint(others[0]), lease)?;
        let value = load::get(&members.endpoint(others[1]), "leased")?;
        ensure!(value.is_some(), "the key went away with a lease that was kept alive");
    }
    Ok(())
}

fn leader_and_others(members: &Members) -> Result<(usize, Vec<usize>)> {
    let leader = members.leader().context("find the leader")?;
    Ok((leader, (0..3).filter(|member| *member != leader).collect()))
}
