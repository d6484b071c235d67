//! What a member serves: its peers and its pages early, its clients once it has found its place in the cluster.

use std::sync::Arc;

use balsa_proto::store::MemberAttributes;
use balsa_proto::store::command::Op;
use balsa_proto::store::peer_server::PeerServer;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tower::Layer;

use super::Member;
use crate::auth::Caller;
use crate::config::Config;
use crate::consensus::peer_traffic::Inbound;
use crate::consensus::peers::StampCheck;
use crate::consensus::raft_thread::RaftThread;
use crate::http::{Doors, GatewayLimits, NoGrpc, Pages, Port};
use crate::limits::{GRPC_OVERHEAD_BYTES, MAX_PEER_MESSAGE_BYTES};
use crate::run::StartError;
use crate::server;
use crate::server::client_version::ClientVersion;
use crate::server::corruption::CorruptionChecker;
use crate::server::door::{Door, Doored};
use crate::server::guard::{GuardLayer, Guarded};
use crate::server::inflate::{Inflate, InflateLayer};
use crate::server::learner::LearnerGuard;
use crate::server::need_leader::NeedLeader;
use crate::server::observe::{Observe, Observed};
use crate::server::ports::Ports;
use crate::status::Identity;

/// The services of the client port with all that stands before them.
pub type ClientServices = Observed<
    Inflate<Guarded<ClientVersion, Guarded<NeedLeader, Doored<Guarded<LearnerGuard, server::Services>>>>>,
>;

impl Member {
    /// What the other members may call.
    pub fn peer_routes(&self) -> Inbound<Routes> {
        let Identity { cluster_id, member_id, consensus, mvcc, .. } = self.shared.identity.clone();
        let service = self.started.peer_service(self.shared.leases.clone(), self.shared.members.clone());
        let server = PeerServer::new(service)
            .max_decoding_message_size(MAX_PEER_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_PEER_MESSAGE_BYTES);
        let check = StampCheck { cluster_id, member_id, table: mvcc.watch_members(), consensus };
        let inner = Routes::new(InterceptedService::new(server, check));
        Inbound { inner, peers: self.metrics.peers.clone() }
    }

    /// What must answer before the member serves clients: the other members need this one, and whoever looks at a member
    /// that does not get on must see why.
    pub fn serve_early(&self, ports: &mut Ports, raft_thread: &RaftThread) -> Vec<JoinHandle<()>> {
        let for_peers = Doors::new(self.peer_routes(), self.pages(Port::Peer));
        let for_metrics = Doors::new(NoGrpc, self.pages(Port::Metrics));
        let peers = std::mem::take(&mut ports.peers)
            .into_iter()
            .map(|listener| raft_thread.spawn(listener.serve(for_peers.clone(), self.core.clone())));
        let metrics = std::mem::take(&mut ports.metrics)
            .into_iter()
            .map(|listener| tokio::spawn(listener.serve(for_metrics.clone(), self.core.clone())));
        peers.chain(metrics).collect()
    }

    /// JSON for clients, where plain HTTP is served to them.
    fn with_gateway<G>(&self, config: &Config, doors: Doors<G>) -> Doors<G> {
        if !config.serving.gateway {
            return doors;
        }
        doors.with_gateway(GatewayLimits { max_body_bytes: json_bytes(config.max_request_bytes) })
    }

    fn pages(&self, port: Port) -> Arc<Pages> {
        let (identity, metrics) = (self.shared.identity.clone(), self.metrics.clone());
        Arc::new(Pages {
            port,
            identity,
            metrics,
            visitors: self.visitors.clone(),
            rpc_stats: self.rpc_stats.clone(),
            hub: self.shared.hub.clone(),
        })
    }

    /// What clients may call, once the member [has found its place](Self::publish).
    pub fn client_services(&self) -> ClientServices {
        let services = GuardLayer(LearnerGuard { identity: self.shared.identity.clone() })
            .layer(server::services(&self.shared));
        let guard = GuardLayer(NeedLeader { consensus: self.consensus().clone() });
        let observe = Observe { stats: self.rpc_stats.clone() };
        let door = Door { gate: self.shared.gate.clone() };
        let inflate =
            InflateLayer { max_bytes: self.shared.max_request_bytes.saturating_add(GRPC_OVERHEAD_BYTES) };
        let services = GuardLayer(ClientVersion).layer(guard.layer(door.layer(services)));
        observe.layer(inflate.layer(services))
    }

    /// Serves clients once the member has found its place in the cluster, until `shutdown`.
    pub async fn serve(
        &self,
        config: &Config,
        ports: Ports,
        ready: oneshot::Sender<()>,
        shutdown: &CancellationToken,
    ) -> Result<(), StartError> {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = self.consensus().stopped().cancelled() => return Err(StartError::RaftStopped),
            () = self.removed.cancelled() => {
                say_removed();
                return Ok(());
            }
            () = self.publish(config) => {}
        }
        if config.maintenance.initial_corrupt_check {
            CorruptionChecker { identity: self.shared.identity.clone() }.initial().await?;
        }
        let services = self.client_services();
        let port = if ports.http.is_empty() { Port::Client } else { Port::Grpc };
        let service = self.with_gateway(config, Doors::new(services.clone(), self.pages(port)));
        let clients = ports.clients.into_iter();
        let mut serving: Vec<_> = clients
            .map(|listener| tokio::spawn(listener.serve(service.clone(), self.clients.clone())))
            .collect();
        let pages = Doors::new(services, self.pages(Port::Client)).without_grpc();
        let pages = self.with_gateway(config, pages);
        let http = ports.http.into_iter();
        serving
            .extend(http.map(|listener| tokio::spawn(listener.serve(pages.clone(), self.clients.clone()))));
        announce(config);
        // Whoever started the member may not care.
        let _ = ready.send(());

        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            () = self.consensus().stopped().cancelled() => Err(StartError::RaftStopped),
            () = self.removed.cancelled() => {
                say_removed();
                Ok(())
            }
        };
        self.clients.cancel();
        for listener in serving {
            // A listener task ends with the token and cannot fail otherwise.
            drop(listener.await);
        }
        outcome
    }

    /// Tells the cluster this member's name and client URLs. That it succeeds also shows that there is a majority.
    pub async fn publish(&self, config: &Config) {
        let attributes = MemberAttributes {
            member_id: self.shared.identity.member_id,
            name: config.name.clone(),
            client_urls: config.advertise_client_urls.iter().map(ToString::to_string).collect(),
        };
        while let Err(error) =
            self.consensus().propose(Caller::Server, Op::MemberAttributes(attributes.clone())).await
        {
            tracing::info!(%error, "the member waits for its cluster");
            tokio::time::sleep(config.heartbeat_interval).await;
        }
    }

    pub async fn stop(self, config: &Config) {
        self.consensus().step_aside(config.election_timeout).await;
        self.consensus().shutdown().await;
        self.core.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Base64 makes four bytes of three; names and other fields come on top.
fn json_bytes(max_request_bytes: usize) -> usize {
    (max_request_bytes / 3).saturating_mul(4).saturating_add(GRPC_OVERHEAD_BYTES)
}

/// Not an error: a supervisor that restarts what failed must not do so.
fn say_removed() {
    tracing::warn!(
        "the member has been permanently removed from the cluster; its data directory must be removed before the \
         machine can join again as a new member"
    );
}

/// Stock test harnesses wait for this very line.
fn announce(config: &Config) {
    let urls: Vec<String> = config.listen_client_urls.iter().map(ToString::to_string).collect();
    tracing::info!(name = config.name, client_urls = urls.join(","), "ready to serve client requests");
}
