//! Members are asked, removed and added, and leadership is handed on, by the store's own RPCs.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{
    MemberAddRequest, MemberListRequest, MemberRemoveRequest, MoveLeaderRequest, StatusRequest,
    StatusResponse,
};

use super::{Condition, Gateway, eventually};
use crate::workloads::client::MemberEndpoint;

/// A change waits for an election, and a stock etcd refuses it until all have been connected for five seconds.
const CHANGE_MAX: Duration = Duration::from_secs(20);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// The members of a store, as they are reached by RPC.
pub struct Membership<'a> {
    pub gateway: &'a Gateway,
    pub members: Vec<Asked>,
}

/// One of them. Its endpoint has the name that it was started with.
pub struct Asked {
    /// What the lab calls it.
    pub part: usize,
    pub endpoint: MemberEndpoint,
    pub peer_url: String,
    pub condition: Condition,
}

impl Membership<'_> {
    /// The member that says of itself that it leads. During an election nobody may.
    pub fn leader(&self, timeout: Duration) -> Result<usize> {
        eventually("a leader of the store", timeout, || {
            let leads = |asked: &&Asked| {
                let status = self.status(asked);
                status
                    .is_ok_and(|status| status.header.is_some_and(|header| header.member_id == status.leader))
            };
            let leader = self.running().find(leads);
            leader.map(|asked| asked.part).context("no running member says that it leads")
        })
    }

    /// Removes a member from the store; its process is not touched.
    pub fn remove(&self, part: usize) -> Result<()> {
        let name = self.member(part)?.endpoint.name.clone();
        self.change(part, &format!("{name} is removed"), move |mut client| {
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
    pub fn add(&self, part: usize) -> Result<()> {
        let Asked { endpoint, peer_url, .. } = self.member(part)?;
        let peer_url = peer_url.clone();
        self.change(part, &format!("{} is added", endpoint.name), move |mut client| {
            let peer_url = peer_url.clone();
            async move {
                let members = client.member_list(MemberListRequest::default()).await?.into_inner().members;
                if members.iter().any(|member| member.peer_ur_ls.contains(&peer_url)) {
                    return Ok(());
                }
                let add = MemberAddRequest { peer_ur_ls: vec![peer_url], ..MemberAddRequest::default() };
                client.member_add(add).await.map(drop)
            }
        })
    }

    /// Hands leadership to a member, asked of the one who leads; nothing to do if it leads already.
    pub fn move_leader(&self, part: usize) -> Result<()> {
        let heir = self.member(part)?;
        eventually(&format!("leadership is handed to {}", heir.endpoint.name), CHANGE_MAX, || {
            let target_id = self.status(heir)?.header.context("a status without a header")?.member_id;
            let leader = self.leader(ASK_TIMEOUT)?;
            if leader == part {
                return Ok(());
            }
            let endpoint = self.member(leader)?.endpoint.clone();
            self.gateway.run(async move {
                let mut client = MaintenanceClient::new(endpoint.connect(ASK_TIMEOUT).await?);
                let request = client.move_leader(MoveLeaderRequest { target_id });
                let answer = tokio::time::timeout(ASK_TIMEOUT, request).await;
                answer.context("no answer")?.with_context(|| format!("ask {}", endpoint.name)).map(drop)
            })
        })
    }

    fn member(&self, part: usize) -> Result<&Asked> {
        self.members.iter().find(|asked| asked.part == part).context("it is no member of the store")
    }

    fn running(&self) -> impl Iterator<Item = &Asked> {
        self.members.iter().filter(|asked| asked.condition == Condition::Running)
    }

    fn status(&self, asked: &Asked) -> Result<StatusResponse> {
        let endpoint = asked.endpoint.clone();
        self.gateway.run(async move {
            let mut client = MaintenanceClient::new(endpoint.connect(ASK_TIMEOUT).await?);
            let answer = tokio::time::timeout(ASK_TIMEOUT, client.status(StatusRequest {}));
            Ok(answer.await.context("no answer")?.context("ask for the status")?.into_inner())
        })
    }

    /// Asks the others, one after the other, until one has done it.
    fn change<F>(
        &self,
        part: usize,
        what: &str,
        ask: impl Fn(ClusterClient<tonic::transport::Channel>) -> F + Clone + Send + 'static,
    ) -> Result<()>
    where
        F: Future<Output = Result<(), tonic::Status>> + Send,
    {
        eventually(what, CHANGE_MAX, || {
            let mut refusal = None;
            for other in self.running().filter(|other| other.part != part) {
                let (ask, endpoint) = (ask.clone(), other.endpoint.clone());
                let asked = self.gateway.run(async move {
                    let client = ClusterClient::new(endpoint.connect(ASK_TIMEOUT).await?);
                    let answer = tokio::time::timeout(ASK_TIMEOUT, ask(client)).await;
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
