//! A store of members alone as faults see it: each machine has one part, the member of the same number.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::membership::Membership;
use super::{Condition, Host, StoreCluster};
use crate::cluster::Role;
use crate::disk::{Survivors, Trouble};
use crate::faults::{Arena, Part, Struck};

impl Arena for StoreCluster {
    fn struck(&self) -> &Struck {
        &self.struck
    }

    fn struck_mut(&mut self) -> &mut Struck {
        &mut self.struck
    }

    fn parts(&self) -> Vec<Part> {
        let part = |(machine, member): (usize, &super::Member)| Part {
            name: member.name().to_owned(),
            machine,
            role: Role::Store,
            condition: member.condition(),
        };
        self.members().iter().enumerate().map(part).collect()
    }

    fn machine_names(&self) -> Vec<String> {
        self.members().iter().map(|member| member.name().to_owned()).collect()
    }

    fn host(&self, machine: usize) -> &Host {
        self.members()[machine].host()
    }

    fn membership(&self) -> Membership<'_> {
        StoreCluster::membership(self)
    }

    fn start(&mut self, part: usize) -> Result<()> {
        self.member(part).start()
    }

    fn kill(&mut self, part: usize) -> Result<()> {
        match self.members()[part].condition() {
            Condition::Stopped => Ok(()),
            Condition::Running | Condition::Paused => self.member(part).kill(),
        }
    }

    fn pause(&mut self, part: usize) -> Result<()> {
        match self.members()[part].condition() {
            Condition::Running => self.member(part).pause(),
            Condition::Stopped | Condition::Paused => Ok(()),
        }
    }

    fn resume(&mut self, part: usize) -> Result<()> {
        self.member(part).resume()
    }

    fn shift_clock(&mut self, part: usize, seconds: i32) -> Result<()> {
        self.member(part).shift_clock(seconds)
    }

    fn right_clock(&mut self, part: usize) -> Result<()> {
        self.member(part).right_clock()
    }

    fn power_off(&mut self, machine: usize) -> Result<()> {
        self.kill(machine)
    }

    fn has_disks(&self) -> bool {
        self.members().iter().all(|member| member.has_disk())
    }

    fn set_trouble(&mut self, member: usize, trouble: Trouble) -> Result<()> {
        self.member(member).disk()?.set_trouble(trouble);
        Ok(())
    }

    fn forget_unsynced(&mut self, member: usize, survivors: Survivors, seed: u64) -> Result<()> {
        self.member(member).disk()?.power_cut(survivors, &mut StdRng::seed_from_u64(seed))
    }

    fn data_dir(&self, member: usize) -> PathBuf {
        self.members()[member].data_dir().to_owned()
    }

    fn set_joining(&mut self, member: usize) {
        self.member(member).set_joining();
    }

    fn issue_certificates(&self, part: usize, valid: Duration) -> Result<()> {
        self.issue_certificate(part, valid)
    }

    fn deaths(&mut self) -> Vec<(usize, String)> {
        StoreCluster::deaths(self)
    }
}
