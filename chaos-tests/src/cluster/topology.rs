//! Which machines a cluster has and what runs on each: data, from three numbers.
//!
//! ```text
//!  stacked    m1 m2 m3 (store, apiserver, controllers, scheduler)             lb   w1 …
//!  external   m1 … m3 or m5 (store)   a1 a2 (apiserver, controllers, scheduler)   lb   w1 …
//!  store      m1 … (store)
//! ```

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::lab::Network;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Three masters with a store member each, a balancer, workers
    Stacked,
    /// A store on hosts of its own, two apiservers behind a balancer, workers
    External,
    /// A store alone
    Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    pub kind: Kind,
    /// Members of the store.
    pub members: u8,
    pub workers: u8,
}

/// A part of the cluster: one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Store,
    Apiserver,
    Controllers,
    Scheduler,
    Balancer,
    Nodeagent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePlan {
    pub name: String,
    /// The last byte of its address.
    pub number: u8,
    /// In the order of starting.
    pub roles: &'static [Role],
}

const MASTER: &[Role] = &[Role::Store, Role::Apiserver, Role::Controllers, Role::Scheduler];
const STORE: &[Role] = &[Role::Store];
const API: &[Role] = &[Role::Apiserver, Role::Controllers, Role::Scheduler];
const BALANCER: &[Role] = &[Role::Balancer];
const WORKER: &[Role] = &[Role::Nodeagent];

/// Last bytes of addresses; members are 1 to 5.
const APISERVERS_FROM: u8 = 10;
const BALANCER_NUMBER: u8 = 20;
const WORKERS_FROM: u8 = 30;
const WORKERS_MAX: u8 = 50;

impl Topology {
    pub fn check(&self) -> Result<()> {
        ensure!(matches!(self.members, 1 | 3 | 5), "{} members: a store has 1, 3 or 5", self.members);
        ensure!(self.workers <= WORKERS_MAX, "{} workers: at most {WORKERS_MAX}", self.workers);
        ensure!(self.kind != Kind::Store || self.workers == 0, "a store alone has no workers");
        Ok(())
    }

    /// Those that others need come first.
    pub fn machines(&self) -> Vec<MachinePlan> {
        let many = |letter: char, count: u8, from: u8, roles: &'static [Role]| {
            (1..=count).map(move |number| MachinePlan {
                name: format!("{letter}{number}"),
                number: from + number,
                roles,
            })
        };
        let members = |roles| many('m', self.members, 0, roles);
        let apiservers = many('a', 2, APISERVERS_FROM, API);
        let balancer = MachinePlan { name: "lb".to_owned(), number: BALANCER_NUMBER, roles: BALANCER };
        let workers = many('w', self.workers, WORKERS_FROM, WORKER);
        match self.kind {
            Kind::Stacked => members(MASTER).chain([balancer]).chain(workers).collect(),
            Kind::External => members(STORE).chain(apiservers).chain([balancer]).chain(workers).collect(),
            Kind::Store => members(STORE).collect(),
        }
    }

    pub fn has_kubernetes(&self) -> bool {
        self.kind != Kind::Store
    }

    /// Addresses of the machines that have `role`.
    pub fn addresses_of(&self, role: Role) -> Vec<Ipv4Addr> {
        let machines = self.machines();
        machines.iter().filter(|plan| plan.roles.contains(&role)).map(MachinePlan::address).collect()
    }

    /// Of the balancer: where clients and workers find the API.
    pub fn api_url(&self) -> String {
        format!("https://{}:6443", Network::address(BALANCER_NUMBER))
    }
}

impl MachinePlan {
    pub fn address(&self) -> Ipv4Addr {
        Network::address(self.number)
    }
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Store, Self::Apiserver, Self::Controllers, Self::Scheduler, Self::Balancer, Self::Nodeagent];

    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Apiserver => "apiserver",
            Self::Controllers => "controllers",
            Self::Scheduler => "scheduler",
            Self::Balancer => "balancer",
            Self::Nodeagent => "nodeagent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: Kind, members: u8, workers: u8) -> Vec<String> {
        let topology = Topology { kind, members, workers };
        topology.check().unwrap();
        topology.machines().into_iter().map(|plan| plan.name).collect()
    }

    #[test]
    fn each_topology_has_its_machines() {
        assert_eq!(names(Kind::Stacked, 3, 2), ["m1", "m2", "m3", "lb", "w1", "w2"]);
        assert_eq!(names(Kind::External, 5, 0), ["m1", "m2", "m3", "m4", "m5", "a1", "a2", "lb"]);
        assert_eq!(names(Kind::Store, 1, 0), ["m1"]);
        assert!(Topology { kind: Kind::Store, members: 3, workers: 1 }.check().is_err());
        assert!(Topology { kind: Kind::Stacked, members: 2, workers: 1 }.check().is_err());
    }

    #[test]
    fn no_two_machines_share_an_address() {
        let topology = Topology { kind: Kind::External, members: 5, workers: WORKERS_MAX };
        let mut addresses: Vec<_> = topology.machines().iter().map(MachinePlan::address).collect();
        let count = addresses.len();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), count);
    }
}
