//! A cluster as faults see it: its machines, and the parts that run there.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::flags::{peer_url, store_url};
use super::kube_cluster::KubeCluster;
use super::topology::Role;
use super::unit::Unit;
use crate::disk::server::Order;
use crate::disk::{Survivors, Trouble};
use crate::faults::{Arena, Part, Struck};
use crate::lab::clock::ShiftedClock;
use crate::lab::membership::{Asked, Membership};
use crate::lab::{Condition, Host};
use crate::workloads::client::MemberEndpoint;

impl Arena for KubeCluster {
    fn struck(&self) -> &Struck {
        &self.struck
    }

    fn struck_mut(&mut self) -> &mut Struck {
        &mut self.struck
    }

    fn parts(&self) -> Vec<Part> {
        let part = |unit: &Unit| Part {
            name: unit.name.clone(),
            machine: unit.machine,
            role: unit.role,
            condition: unit.condition(),
        };
        self.units().iter().map(part).collect()
    }

    fn machine_names(&self) -> Vec<String> {
        self.plans().iter().map(|plan| plan.name.clone()).collect()
    }

    fn host(&self, machine: usize) -> &Host {
        self.machines()[machine].host()
    }

    fn membership(&self) -> Membership<'_> {
        let members = self.units().iter().enumerate().filter(|(_, unit)| unit.role == Role::Store);
        let asked = members.map(|(part, unit)| {
            let plan = &self.plans()[unit.machine];
            let url = store_url(plan.address());
            Asked {
                part,
                endpoint: MemberEndpoint {
                    name: plan.name.clone(),
                    url,
                    tls: Some(self.store_client().clone()),
                },
                peer_url: peer_url(plan.address()),
                condition: unit.condition(),
            }
        });
        Membership { gateway: self.gateway(), members: asked.collect() }
    }

    fn start(&mut self, part: usize) -> Result<()> {
        self.switch_on(self.units()[part].machine)?;
        self.start_unit(part)
    }

    fn kill(&mut self, part: usize) -> Result<()> {
        self.kill_unit(part)
    }

    fn pause(&mut self, part: usize) -> Result<()> {
        self.pause_unit(part)
    }

    fn resume(&mut self, part: usize) -> Result<()> {
        self.resume_unit(part)
    }

    fn shift_clock(&mut self, part: usize, seconds: i32) -> Result<()> {
        self.right_clock(part)?;
        let unit = &self.units()[part];
        let life = unit.life().with_context(|| format!("{} does not run", unit.name))?;
        let paused = unit.condition() == Condition::Paused;
        let clock = ShiftedClock::shift_running(life.pid().unsigned_abs(), paused, seconds)?;
        self.unit_mut(part).clock = Some(clock);
        Ok(())
    }

    fn right_clock(&mut self, part: usize) -> Result<()> {
        let unit = self.unit_mut(part);
        match unit.clock.take() {
            Some(clock) if unit.life().is_some_and(|life| life.is_alive()) => {
                clock.undo_running(unit.condition() == Condition::Paused)
            }
            _ => Ok(()),
        }
    }

    fn power_off(&mut self, machine: usize) -> Result<()> {
        KubeCluster::power_off(self, machine)
    }

    fn has_disks(&self) -> bool {
        self.setup().disk.forgetful().is_some()
    }

    fn set_trouble(&mut self, member: usize, trouble: Trouble) -> Result<()> {
        self.machines()[self.units()[member].machine].order_disk(Order::Trouble(trouble))
    }

    fn forget_unsynced(&mut self, member: usize, survivors: Survivors, seed: u64) -> Result<()> {
        self.machines()[self.units()[member].machine].order_disk(Order::PowerCut { survivors, seed })
    }

    fn data_dir(&self, member: usize) -> PathBuf {
        self.store_data_of(self.units()[member].machine)
    }

    fn set_joining(&mut self, member: usize) {
        self.unit_mut(member).joins = true;
    }

    fn issue_certificates(&self, part: usize, valid: Duration) -> Result<()> {
        let Part { name, machine, role, .. } = self.parts().swap_remove(part);
        let issued = self.authorities().issue(role, &self.plans()[machine], &self.pki_of(machine), valid)?;
        ensure!(issued > 0, "{name} shows no certificate");
        Ok(())
    }

    fn deaths(&mut self) -> Vec<(usize, String)> {
        KubeCluster::deaths(self)
    }
}
