//! Aiming, overlapping and writing down of faults, on machines that are only told what would be done to them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Arena, Fault, Part, Struck, Verb, heal, strike, undo};
use crate::cluster::Role;
use crate::disk::{Survivors, Trouble};
use crate::lab::membership::Membership;
use crate::lab::{Condition, Gateway, Host};

/// `m1` with a member and an apiserver, `m2` with a member, `w1`.
struct Told {
    parts: Vec<Part>,
    has_disks: bool,
    struck: Struck,
    gateway: Gateway,
    done: Vec<String>,
}

impl Told {
    fn new() -> Self {
        let part = |name: &str, machine, role| Part {
            name: name.to_owned(),
            machine,
            role,
            condition: Condition::Running,
        };
        let parts = vec![
            part("m1/store", 0, Role::Store),
            part("m1/apiserver", 0, Role::Apiserver),
            part("m2/store", 1, Role::Store),
            part("w1/nodeagent", 2, Role::Nodeagent),
        ];
        let gateway = Gateway::here().unwrap();
        Self { parts, has_disks: true, struck: Struck::default(), gateway, done: Vec::new() }
    }

    /// A verb as a line of a scenario says it.
    fn aim(&self, line: &str) -> Result<Fault> {
        let verb: Verb = serde_saphyr::from_str(line).unwrap();
        verb.aim(self, &mut StdRng::seed_from_u64(1))
    }

    fn strike(&mut self, line: &str) -> u64 {
        let fault = self.aim(line).unwrap();
        strike(self, fault).unwrap()
    }

    fn done(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }

    fn note(&mut self, what: &str, part: usize) -> Result<()> {
        self.done.push(format!("{what} {}", self.parts[part].name));
        Ok(())
    }

    fn set(&mut self, part: usize, condition: Condition) {
        self.parts[part].condition = condition;
    }
}

impl Arena for Told {
    fn struck(&self) -> &Struck {
        &self.struck
    }

    fn struck_mut(&mut self) -> &mut Struck {
        &mut self.struck
    }

    fn parts(&self) -> Vec<Part> {
        self.parts.clone()
    }

    fn machine_names(&self) -> Vec<String> {
        ["m1", "m2", "w1"].map(str::to_owned).to_vec()
    }

    fn host(&self, _: usize) -> &Host {
        unreachable!("no packet is dropped here")
    }

    fn membership(&self) -> Membership<'_> {
        Membership { gateway: &self.gateway, members: Vec::new() }
    }

    fn start(&mut self, part: usize) -> Result<()> {
        self.set(part, Condition::Running);
        self.note("start", part)
    }

    fn kill(&mut self, part: usize) -> Result<()> {
        self.set(part, Condition::Stopped);
        self.note("kill", part)
    }

    fn pause(&mut self, part: usize) -> Result<()> {
        self.note("pause", part)
    }

    fn resume(&mut self, part: usize) -> Result<()> {
        self.note("resume", part)
    }

    fn shift_clock(&mut self, part: usize, seconds: i32) -> Result<()> {
        self.note(&format!("{seconds} s"), part)
    }

    fn right_clock(&mut self, part: usize) -> Result<()> {
        self.note("right", part)
    }

    fn power_off(&mut self, machine: usize) -> Result<()> {
        for part in 0..self.parts.len() {
            if self.parts[part].machine == machine {
                self.set(part, Condition::Stopped);
            }
        }
        self.done.push(format!("off {}", self.machine_names()[machine]));
        Ok(())
    }

    fn has_disks(&self) -> bool {
        self.has_disks
    }

    fn set_trouble(&mut self, member: usize, trouble: Trouble) -> Result<()> {
        self.note(if trouble == Trouble::default() { "well" } else { "trouble" }, member)
    }

    fn forget_unsynced(&mut self, member: usize, _: Survivors, _: u64) -> Result<()> {
        self.note("forget", member)
    }

    fn data_dir(&self, member: usize) -> PathBuf {
        unreachable!("no file of part {member} is touched here")
    }

    fn set_joining(&mut self, _: usize) {}

    fn issue_certificates(&self, _: usize, _: Duration) -> Result<()> {
        Ok(())
    }

    fn deaths(&mut self) -> Vec<(usize, String)> {
        Vec::new()
    }
}

#[test]
fn a_power_cut_ends_machines_and_forgets_what_their_members_had_not_synced() {
    let mut told = Told::new();
    let number = told.strike("{verb: power_cut, target: \"m1, w1\"}");
    assert_eq!(told.done(), ["off m1", "off w1", "forget m1/store"]);
    undo(&mut told, number).unwrap();
    assert_eq!(told.done(), ["start m1/store", "start m1/apiserver", "start w1/nodeagent"]);
}

#[test]
fn a_part_stays_down_until_the_last_fault_that_keeps_it_down_is_undone() {
    let mut told = Told::new();
    let kill = told.strike("{verb: kill, target: m1}");
    let cut = told.strike("{verb: power_cut, target: m1}");
    let full = told.strike("{verb: full_disk, target: m1}");
    told.done();
    undo(&mut told, kill).unwrap();
    undo(&mut told, full).unwrap();
    assert_eq!(told.done(), ["well m1/store"]);
    undo(&mut told, cut).unwrap();
    assert_eq!(told.done(), ["start m1/store", "start m1/apiserver"]);
    undo(&mut told, cut).unwrap();
    assert!(told.done().is_empty(), "what was undone is undone once");
}

#[test]
fn healing_undoes_the_last_fault_first_and_leaves_none() {
    let mut told = Told::new();
    told.strike("{verb: clock_step, target: w1, seconds: -5}");
    told.strike("{verb: pause, target: m2}");
    told.strike("{verb: slow_disk, target: m2, sync_delay: 1s}");
    assert_eq!(told.done(), ["-5 s w1/nodeagent", "pause m2/store", "trouble m2/store"]);
    heal(&mut told).unwrap();
    assert_eq!(told.done(), ["well m2/store", "resume m2/store", "right w1/nodeagent"]);
    assert_eq!(told.struck, Struck::default());
}

#[test]
fn what_a_target_has_not_got_is_refused_in_one_sentence() {
    let mut told = Told::new();
    for (line, expected) in [
        ("{verb: power_cut, target: w1}", "power_cut: no member of the store is there"),
        ("{verb: corrupt, target: m1/apiserver}", "corrupt: no member of the store is there"),
        ("{verb: certificate_expiry, target: w1}", "certificate_expiry: neither a member"),
        ("{verb: kill, target: m3}", "there is no machine m3"),
        ("{verb: kill, target: m2/apiserver}", "there is no m2/apiserver"),
    ] {
        let refused = told.aim(line).unwrap_err().to_string();
        assert!(refused.contains(expected), "{line}: {refused}");
    }
    told.has_disks = false;
    let refused = told.aim("{verb: full_disk, target: m1}").unwrap_err().to_string();
    assert!(refused.contains("./dev lab up --disk forgetful"), "{refused}");
}

#[test]
fn targets_are_aimed_at_the_parts_that_a_verb_is_for() {
    let told = Told::new();
    for (line, expected) in [
        ("{verb: restart_all}", "kill -9 everything"),
        ("{verb: kill, target: apiserver}", "kill -9 m1/apiserver"),
        ("{verb: power_off, target: worker}", "power off w1"),
        ("{verb: move_leader, target: \"m2, m1\"}", "leadership is handed to m2/store"),
        ("{verb: certificate_expiry, target: all}", "certificates of m1, m2/store expire"),
        ("{verb: member_replace, target: m1}", "m1/store is removed, wiped, and later added anew"),
        ("{verb: partition, target: \"m1, w1\", shape: deaf}", "m1, w1 does not hear the others"),
        ("{verb: failing_sync, target: all}", "syncs fail at m1/store, m2/store"),
    ] {
        assert_eq!(told.aim(line).unwrap().what(&told), expected, "{line}");
    }
}

#[test]
fn what_goes_on_can_be_written_down_and_undone_by_another() {
    let mut told = Told::new();
    told.strike("{verb: power_cut, target: m1, survivors: some}");
    told.strike("{verb: slow_disk, target: m2, sync_delay: 1500ms}");
    told.strike("{verb: clock_step, target: w1, seconds: 60}");
    let text = serde_json::to_string(&told.struck).unwrap();
    assert_eq!(serde_json::from_str::<Struck>(&text).unwrap(), told.struck, "{text}");
}
