//! A store of real processes, one per host, and the lab's way to them.
//!
//! Everything that a fault changes belongs to it: rules live in its namespaces, pauses in its processes, disks in its
//! mounts. So dropping it, also while a panic unwinds, undoes every fault.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use serde::{Deserialize, Serialize};

use super::member::{Member, Plan, peer_url};
use super::membership::{Asked, Membership};
use super::{Authority, Gateway, Host, Network, authority, eventually, sweep};
use crate::disk::Metadata;
use crate::faults::Struck;
use crate::workloads::client::MemberEndpoint;
use crate::workloads::wire;

/// For one answer to the lab's own questions.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the members of the store run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    #[default]
    Balsa,
    /// A stock etcd's binary.
    Etcd(PathBuf),
}

/// How a cluster is to be.
pub struct Setup<'a> {
    pub members: u8,
    pub target: &'a Target,
    /// Members store below it.
    pub data: &'a Path,
    /// And log below it.
    pub logs: &'a Path,
    pub forgetful: Option<Metadata>,
    /// Clients and peers speak TLS.
    pub tls: bool,
}

pub struct StoreCluster {
    // Dropped in this order: clients, members with their hosts, then the bridge.
    gateway: Gateway,
    members: Vec<Member>,
    clients: Host,
    target: Target,
    authority: Option<Authority>,
    pub(super) struck: Struck,
    network: Network,
}

impl StoreCluster {
    /// Makes hosts and starts members. They may not serve yet.
    pub fn start(setup: &Setup) -> Result<Self> {
        sweep::sweep()?;
        let network = Network::create()?;
        let clients = network.clients_host()?;
        let gateway = Gateway::on(&clients)?;
        let target = setup.target.clone();
        let authority = setup.tls.then(|| Authority::create(&setup.data.join("certificates"))).transpose()?;
        let struck = Struck::default();
        let mut cluster = Self { gateway, members: Vec::new(), clients, target, authority, struck, network };
        let initial: Vec<_> = (1..=setup.members)
            .map(|number| format!("m{number}={}", peer_url(Network::address(number), setup.tls)))
            .collect();
        let plan = Plan {
            target: setup.target,
            initial_cluster: &initial.join(","),
            data: setup.data,
            logs: setup.logs,
            forgetful: setup.forgetful,
            authority: cluster.authority.as_ref(),
        };
        for number in 1..=setup.members {
            let name = format!("m{number}");
            let host = cluster.network.host(&name, number)?;
            cluster.members.push(Member::new(name, host, &plan)?);
        }
        for number in 0..cluster.members.len() {
            cluster.issue_certificate(number, authority::LONG)?;
        }
        for member in &mut cluster.members {
            member.start()?;
        }
        Ok(cluster)
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    pub fn member(&mut self, number: usize) -> &mut Member {
        &mut self.members[number]
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub fn clients_host(&self) -> &Host {
        &self.clients
    }

    pub fn endpoints(&self) -> Vec<MemberEndpoint> {
        (0..self.members.len()).map(|number| self.endpoint(number)).collect()
    }

    fn endpoint(&self, number: usize) -> MemberEndpoint {
        let member = &self.members[number];
        let tls = self.authority.as_ref().map(|authority| authority.client().clone());
        MemberEndpoint { name: member.name().to_owned(), url: member.client_url(), tls }
    }

    /// Replaces the certificate of a member, which may run; nothing to do without TLS.
    pub fn issue_certificate(&self, number: usize, valid: Duration) -> Result<()> {
        let member = &self.members[number];
        self.authority
            .as_ref()
            .map_or(Ok(()), |authority| authority.issue(member.name(), member.address(), valid))
    }

    /// Waits until every member answers a linearizable read.
    pub fn wait_serving(&mut self, timeout: Duration) -> Result<()> {
        for number in 0..self.members.len() {
            let endpoint = self.endpoint(number);
            let name = self.members[number].name().to_owned();
            eventually(&format!("{name} serves"), timeout, || {
                // A process that is gone will not serve later.
                if let Some(died) = self.members[number].died() {
                    return Ok(Err(died));
                }
                let endpoint = endpoint.clone();
                self.gateway.run(async move {
                    let mut client = KvClient::new(endpoint.connect(ASK_TIMEOUT).await?);
                    let read = tokio::time::timeout(ASK_TIMEOUT, client.range(wire::get("ready", false)));
                    read.await.context("no answer")?.map(|_| Ok(())).context("read")
                })
            })?
            .map_err(|died| anyhow::anyhow!(died))?;
        }
        Ok(())
    }

    pub fn membership(&self) -> Membership<'_> {
        let asked = |(part, member): (usize, &Member)| Asked {
            part,
            endpoint: self.endpoint(part),
            peer_url: member.peer_url(),
            condition: member.condition(),
        };
        Membership { gateway: &self.gateway, members: self.members.iter().enumerate().map(asked).collect() }
    }

    /// Members that ended although nothing stopped them, and their last words.
    pub fn deaths(&mut self) -> Vec<(usize, String)> {
        let died = |(number, member): (usize, &mut Member)| Some((number, member.died()?));
        self.members.iter_mut().enumerate().filter_map(died).collect()
    }
}
