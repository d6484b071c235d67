//! What an administrator does while faults go on: leadership is moved, a member is removed and added again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{
    MemberAddRequest, MemberListRequest, MemberRemoveRequest, MoveLeaderRequest,
};
use parking_lot::Mutex;

use super::clients::Desk;
use super::member::peer_url;
use super::trace::{CLIENTS, Place, name};

const TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_millis(250);
const REMOVE_TRIES: usize = 4;

/// What the world has to do about a member.
pub enum Order {
    Removed(Place),
    /// With its new id.
    Added(Place, u64),
}

#[derive(Clone, Default)]
pub struct Orders(Arc<Mutex<VecDeque<Order>>>);

impl Orders {
    pub fn give(&self, order: Order) {
        self.0.lock().push_back(order);
    }

    pub fn take(&self) -> Option<Order> {
        self.0.lock().pop_front()
    }
}

/// Tried once: a cluster in trouble may refuse.
pub async fn move_leader(desk: Desk, leader: Place, target_id: u64) {
    let mut client = MaintenanceClient::new(desk.channel(leader));
    let moved = tokio::time::timeout(TIMEOUT, client.move_leader(MoveLeaderRequest { target_id })).await;
    desk.trace.event(CLIENTS, || format!("move leader: {}", said(moved.map(|moved| moved.map(drop)))));
}

pub async fn remove(desk: Desk, place: Place, id: u64, orders: Orders) {
    for at in others(&desk, place).cycle().take(REMOVE_TRIES) {
        let mut client = ClusterClient::new(desk.channel(at));
        let removed = tokio::time::timeout(TIMEOUT, client.member_remove(MemberRemoveRequest { id })).await;
        let is_removed = matches!(removed, Ok(Ok(_)));
        desk.trace
            .event(CLIENTS, || format!("remove {}: {}", name(place), said(removed.map(|r| r.map(drop)))));
        if is_removed {
            return orders.give(Order::Removed(place));
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Goes on until it is done: the cluster must come to take it.
pub async fn add(desk: Desk, place: Place, orders: Orders) {
    for at in others(&desk, place).cycle() {
        if let Some(id) = add_at(&desk, place, at).await {
            return orders.give(Order::Added(place, id));
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// An earlier try may have succeeded without an answer: the list of members says so.
async fn add_at(desk: &Desk, place: Place, at: Place) -> Option<u64> {
    let url = peer_url(place).to_string();
    let mut client = ClusterClient::new(desk.channel(at));
    let request = MemberAddRequest { peer_ur_ls: vec![url.clone()], is_learner: false };
    let added = tokio::time::timeout(TIMEOUT, client.member_add(request)).await;
    if let Ok(Ok(added)) = added {
        return added.into_inner().member.map(|member| member.id);
    }
    desk.trace
        .event(CLIENTS, || format!("add {}: {}", name(place), said(added.map(|added| added.map(drop)))));
    let list = client.member_list(MemberListRequest { linearizable: true });
    let members = tokio::time::timeout(TIMEOUT, list).await.ok()?.ok()?.into_inner().members;
    members.into_iter().find(|member| member.peer_ur_ls.contains(&url)).map(|member| member.id)
}

fn others(desk: &Desk, place: Place) -> impl Iterator<Item = Place> + Clone + use<> {
    desk.places.clone().into_iter().filter(move |other| *other != place)
}

fn said(answer: Result<Result<(), tonic::Status>, tokio::time::error::Elapsed>) -> String {
    match answer {
        Ok(Ok(())) => "done".to_owned(),
        Ok(Err(status)) => status.message().to_owned(),
        Err(_) => "no answer".to_owned(),
    }
}
