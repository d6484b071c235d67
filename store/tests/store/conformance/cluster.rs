//! `etcdserverpb.Cluster` and `MoveLeader`, row by row on a server of its own: changes of the membership outlive a script.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use std::time::Duration;

use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::Side;
use super::run::PATIENCE;

/// A learner that never starts.
const LEARNER: &str = "http://127.0.0.1:1";
const STRANGER: u64 = 77;

/// Stock's raft drops a change that comes while it has not yet marked the last as applied (one in some hundred here), and then
/// its server waits as long as its client does. After this long it is asked again, which is as if for the first time.
const DROPPED: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Who {
    Own,
    Learner,
    Stranger,
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Add(&'static str),
    AddLearner(&'static str),
    AddOwnUrl,
    Remove(Who),
    Update(Who, &'static str),
    UpdateToOwnUrl(Who),
    Promote(Who),
    MoveLeader(Who),
    List,
}

/// What is asked, and what every server answers. Members are shown as `name voter|learner`.
const ROWS: &[(Call, &str)] = &[
    (Call::List, "default voter"),
    (Call::Remove(Who::Own), "etcdserver: re-configuration failed due to not enough started members"),
    (Call::Add("nonsense"), "etcdserver: given member URLs are invalid"),
    (Call::Add("http://127.0.0.1"), "etcdserver: given member URLs are invalid"),
    (Call::Add("http://127.0.0.1:1/path"), "etcdserver: given member URLs are invalid"),
    (Call::AddOwnUrl, "etcdserver: Peer URLs already exists"),
    (Call::Update(Who::Stranger, LEARNER), "etcdserver: member not found"),
    (Call::Remove(Who::Stranger), "etcdserver: member not found"),
    (Call::Promote(Who::Stranger), "etcdserver: member not found"),
    (Call::Promote(Who::Own), "etcdserver: can only promote a learner member"),
    (Call::MoveLeader(Who::Stranger), "etcdserver: bad leader transferee"),
    (Call::AddLearner(LEARNER), "- learner, default voter"),
    (Call::AddLearner("http://127.0.0.1:2"), "etcdserver: too many learner members in cluster"),
    // With a second URL, since ids are made of the URLs and the second of the clock.
    (Call::Add("http://127.0.0.1:1,http://127.0.0.1:3"), "etcdserver: Peer URLs already exists"),
    (
        Call::Promote(Who::Learner),
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    (Call::UpdateToOwnUrl(Who::Learner), "etcdserver: Peer URLs already exists"),
    (Call::MoveLeader(Who::Learner), "etcdserver: bad leader transferee"),
    (Call::Remove(Who::Learner), "default voter"),
    (Call::Remove(Who::Learner), "etcdserver: member not found"),
    (Call::List, "default voter"),
];

/// The rows that the server answers otherwise. Ours is asked once.
pub async fn differences(side: Side, endpoint: &str) -> Vec<String> {
    let channel =
        Endpoint::from_shared(endpoint.to_owned()).expect("an address").timeout(PATIENCE).connect_lazy();
    let mut caller = Caller::new(channel).await;
    let mut differences = Vec::new();
    for (call, want) in ROWS {
        let have = match tokio::time::timeout(DROPPED, caller.call(*call)).await {
            Err(_) if side == Side::Stock => caller.call(*call).await,
            Err(_) => Err(Status::deadline_exceeded("no answer")),
            Ok(answer) => answer,
        };
        let have = have.unwrap_or_else(|status| status.message().to_owned());
        if have != *want {
            differences.push(format!("{call:?}\n  expected: {want}\n  actual:   {have}"));
        }
    }
    differences
}

struct Caller {
    cluster: ClusterClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
    own: pb::Member,
    learner: u64,
}

impl Caller {
    async fn new(channel: Channel) -> Caller {
        let mut cluster = ClusterClient::new(channel.clone());
        let list = cluster.member_list(pb::MemberListRequest { linearizable: true }).await;
        let own = list.expect("the server answers").into_inner().members.remove(0);
        Caller { cluster, maintenance: MaintenanceClient::new(channel), own, learner: STRANGER }
    }

    fn id(&self, who: Who) -> u64 {
        match who {
            Who::Own => self.own.id,
            Who::Learner => self.learner,
            Who::Stranger => STRANGER,
        }
    }

    async fn add(&mut self, url: &str, is_learner: bool) -> Result<String, Status> {
        let request =
            pb::MemberAddRequest { peer_ur_ls: url.split(',').map(ToOwned::to_owned).collect(), is_learner };
        let response = self.cluster.member_add(request).await?.into_inner();
        self.learner = response.member.expect("the added member").id;
        Ok(show(response.members))
    }

    async fn update(&mut self, who: Who, url: &str) -> Result<String, Status> {
        let request = pb::MemberUpdateRequest { id: self.id(who), peer_ur_ls: vec![url.to_owned()] };
        Ok(show(self.cluster.member_update(request).await?.into_inner().members))
    }

    async fn call(&mut self, call: Call) -> Result<String, Status> {
        let own_url = self.own.peer_ur_ls[0].clone();
        match call {
            Call::Add(url) => self.add(url, false).await,
            Call::AddLearner(url) => self.add(url, true).await,
            Call::AddOwnUrl => self.add(&own_url, false).await,
            Call::Update(who, url) => self.update(who, url).await,
            Call::UpdateToOwnUrl(who) => self.update(who, &own_url).await,
            Call::Remove(who) => {
                let request = pb::MemberRemoveRequest { id: self.id(who) };
                Ok(show(self.cluster.member_remove(request).await?.into_inner().members))
            }
            Call::Promote(who) => {
                let request = pb::MemberPromoteRequest { id: self.id(who) };
                Ok(show(self.cluster.member_promote(request).await?.into_inner().members))
            }
            Call::MoveLeader(who) => {
                let request = pb::MoveLeaderRequest { target_id: self.id(who) };
                self.maintenance.move_leader(request).await.map(|_| "moved".to_owned())
            }
            Call::List => {
                let list = self.cluster.member_list(pb::MemberListRequest { linearizable: true }).await?;
                Ok(show(list.into_inner().members))
            }
        }
    }
}

fn show(members: Vec<pb::Member>) -> String {
    let mut lines: Vec<String> = members
        .iter()
        .map(|member| {
            let name = if member.name.is_empty() { "-" } else { &member.name };
            format!("{name} {}", if member.is_learner { "learner" } else { "voter" })
        })
        .collect();
    lines.sort();
    lines.join(", ")
}
