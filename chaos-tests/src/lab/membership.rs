//! Members are removed and added, and leadership is handed on, by the store's own RPCs.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{
    MemberAddRequest, MemberListRequest, MemberRemoveRequest, MoveLeaderRequest,
};

use super::{Condition, StoreCluster, eventually};

/// A change waits for an election, and a stock etcd refuses it until all have been connected for five seconds.
const CHANGE_MAX: Duration = Duration::from_secs(20);
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

impl StoreCluster {
    /// Removes a member from the cluster; its process is not touched.
    pub fn remove_member(&self, number: usize) -> Result<()> {
        let name = self.members()[number].name().to_owned();
        self.change(number, &format!("{name} is removed"), move |mut client, _| {
            let name = name.clone();
            async move {
                let members = client.member_list(MemberListRequest::default()).await?.into_inner().members;
                // An earlier try may have done it, and its answer was lost.
                let Some(member) = members.into_iter().find(|member| member.name == name) else {
                    return Ok(());
                };
                client.member_remove(MemberRemoveRequest { id: member.id }).await.map(drop)
            }
        })
    }

    /// Adds a member that was removed, under the same address, with an identity of its own.
    pub fn add_member(&self, number: usize) -> Result<()> {
        let name = self.members()[number].name().to_owned();
        self.change(number, &format!("{name} is added"), |mut client, peer_url| async move {
            let members = client.member_list(MemberListRequest::default()).await?.into_inner().members;
            if members.iter().any(|member| member.peer_ur_ls.contains(&peer_url)) {
                return Ok(());
            }
            let add = MemberAddRequest { peer_ur_ls: vec![peer_url], ..MemberAddRequest::default() };
            client.member_add(add).await.map(drop)
        })
    }

    /// Hands leadership to a member, asked of the one who leads; nothing to do if it leads already.
    pub fn move_leader(&self, number: usize) -> Result<()> {
        let name = self.members()[number].name();
        eventually(&format!("leadership is handed to {name}"), CHANGE_MAX, || {
            let target_id = self.status(number)?.header.context("a status without a header")?.member_id;
            let leader = self.leader(ASK_TIMEOUT)?;
            if leader == number {
                return Ok(());
            }
            let endpoint = self.endpoints().swap_remove(leader);
            self.gateway().run(async move {
                let mut client = MaintenanceClient::new(endpoint.connect(ASK_TIMEOUT).await?);
                let request = client.move_leader(MoveLeaderRequest { target_id });
                let answer = tokio::time::timeout(ASK_TIMEOUT, request).await;
                answer.context("no answer")?.with_context(|| format!("ask {}", endpoint.name)).map(drop)
            })
        })
    }

    /// Asks the others, one after the other, until one has done it.
    fn change<F>(
        &self,
        number: usize,
        what: &str,
        ask: impl Fn(ClusterClient<tonic::transport::Channel>, String) -> F + Clone + Send + 'static,
    ) -> Result<()>
    where
        F: Future<Output = Result<(), tonic::Status>> + Send,
    {
        let peer_url = self.members()[number].peer_url();
        eventually(what, CHANGE_MAX, || {
            let mut refusal = None;
            for (other, endpoint) in self.endpoints().into_iter().enumerate() {
                if other == number || self.members()[other].condition() != Condition::Running {
                    continue;
                }
                let (ask, peer_url) = (ask.clone(), peer_url.clone());
                let asked = self.gateway().run(async move {
                    let client = ClusterClient::new(endpoint.connect(ASK_TIMEOUT).await?);
                    let answer = tokio::time::timeout(ASK_TIMEOUT, ask(client, peer_url)).await;
                    answer.context("no answer")?.with_context(|| format!("ask {}", endpoint.name))
                });
                match asked {
                    Ok(()) => return Ok(()),
                    Err(error) => refusal = Some(error),
                }
            }
            match refusal {
                Some(error) => Err(error),
                None => bail!("no other member runs"),
            }
        })
    }
}
