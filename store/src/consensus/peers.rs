//! Connections to the other members, one per lane, and the stamp that says who calls and who is meant.
//!
//! Lanes keep traffic apart that would stall one another on a shared connection: a snapshot must not delay
//! heartbeats, nor a burst of forwarded writes the replication. Connections are made when first used, mend
//! themselves, and die when the other side stops answering pings.
//!
//! A member is called where the table of members says that it is; raft's own note of its address serves only while the
//! table does not know it. The stamp makes a wrong address harmless: who is not meant refuses.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::store::peer_client::PeerClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::peer_traffic::Outbound;
use super::{ConsensusHandle, MemberNode};
use crate::config::parse_urls;
use crate::error::Error;
use crate::host::watch;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, MAX_PEER_MESSAGE_BYTES, PEER_CONNECT_TIMEOUT, STREAM_WINDOW_BYTES,
};
use crate::membership::MemberTable;
use crate::metrics::PeerMetrics;
use crate::metrics::peers::PeerCounts;
use crate::server::connect::Connector;

pub use super::peer_channel::{Dialer, PeerChannel};

pub const CLUSTER_ID_KEY: &str = "balsa-cluster-id";
pub const TARGET_KEY: &str = "balsa-target";
pub const FROM_KEY: &str = "balsa-from";

/// What a removed member is told; etcd's text.
pub const REMOVED: &str = "the member has been permanently removed from the cluster";

pub type Client = PeerClient<InterceptedService<Outbound<PeerChannel>, Stamp>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Votes, entries, heartbeats.
    Raft,
    Snapshot,
    /// What clients of this member want from the leader.
    Forward,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    cluster_id: u64,
    own_id: u64,
    table: watch::Receiver<Arc<MemberTable>>,
    dialer: Dialer,
    /// A silent connection is given up after twice this.
    ping_interval: Duration,
    channels: Mutex<BTreeMap<(Lane, String), PeerChannel>>,
    metrics: PeerMetrics,
}

#[derive(Debug, thiserror::Error)]
#[error("the peer URL {url} is not usable: {reason}")]
pub struct BadUrl {
    url: String,
    reason: String,
}

impl Peers {
    pub fn new(
        (cluster_id, own_id): (u64, u64),
        table: watch::Receiver<Arc<MemberTable>>,
        dialer: Dialer,
        ping_interval: Duration,
        metrics: PeerMetrics,
    ) -> Self {
        let channels = Mutex::default();
        let inner = Inner { cluster_id, own_id, table, dialer, ping_interval, channels, metrics };
        Peers { inner: Arc::new(inner) }
    }

    /// What this member has to do with another one, counted.
    pub fn counts(&self, id: u64) -> Arc<PeerCounts> {
        self.inner.metrics.of(id)
    }

    pub fn client(&self, lane: Lane, target: u64, node: &MemberNode) -> Result<Client, BadUrl> {
        let inner = self.channel(lane, self.url(target, node))?;
        let channel = Outbound { inner, peer: self.counts(target) };
        let Inner { cluster_id, own_id, .. } = *self.inner;
        let stamp = Stamp { cluster_id: cluster_id.into(), target: target.into(), from: own_id.into() };
        Ok(PeerClient::with_interceptor(channel, stamp)
            .max_decoding_message_size(MAX_PEER_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_PEER_MESSAGE_BYTES))
    }

    fn url(&self, target: u64, node: &MemberNode) -> String {
        let table = self.inner.table.borrow();
        let urls = table.get(target).map_or(&node.peer_urls, |member| &member.peer_urls);
        urls.first().cloned().unwrap_or_default()
    }

    fn channel(&self, lane: Lane, url: String) -> Result<PeerChannel, BadUrl> {
        let mut channels = self.inner.channels.lock();
        if let Some(channel) = channels.get(&(lane, url.clone())) {
            return Ok(channel.clone());
        }
        let channel = match &self.inner.dialer {
            Dialer::Machine(connector) => PeerChannel::Machine(self.connect(&url, connector)?),
            Dialer::Simulated(dial) => PeerChannel::Simulated(dial(&url)),
        };
        channels.insert((lane, url), channel.clone());
        Ok(channel)
    }

    fn connect(&self, url: &str, connector: &Connector) -> Result<Channel, BadUrl> {
        let bad = |reason: String| BadUrl { url: url.to_owned(), reason };
        let target = parse_urls("peer-urls", url).map_err(|error| bad(error.to_string()))?.remove(0);
        // Sockets and TLS are the connector's matter, which reads certificates anew; to the HTTP layer every URL is plain.
        let endpoint = Endpoint::from_shared(format!("http://{}", target.authority()))
            .map_err(|error| bad(error.to_string()))?
            .connect_timeout(PEER_CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(self.inner.ping_interval)
            .keep_alive_timeout(self.inner.ping_interval)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let connector = connector.clone();
        Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let (connector, target) = (connector.clone(), target.clone());
            async move { connector.connect(&target).await.map(TokioIo::new) }
        })))
    }
}

/// Puts the cluster and the member that are meant, and who calls, on every call.
#[derive(Debug, Clone)]
pub struct Stamp {
    cluster_id: MetadataValue<Ascii>,
    target: MetadataValue<Ascii>,
    from: MetadataValue<Ascii>,
}

impl Interceptor for Stamp {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(CLUSTER_ID_KEY, self.cluster_id.clone());
        request.metadata_mut().insert(TARGET_KEY, self.target.clone());
        request.metadata_mut().insert(FROM_KEY, self.from.clone());
        Ok(request)
    }
}

/// Refuses calls that were meant for another cluster or another member, and those of members that were removed.
#[derive(Clone)]
pub struct StampCheck {
    pub cluster_id: u64,
    pub member_id: u64,
    pub table: watch::Receiver<Arc<MemberTable>>,
    pub consensus: ConsensusHandle,
}

impl StampCheck {
    /// Raft may still need the vote of a member that the table has removed already.
    fn is_removed(&self, from: u64) -> bool {
        self.table.borrow().is_removed(from)
            && !self.consensus.members().iter().any(|member| member.id == from)
    }
}

impl Interceptor for StampCheck {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let number = |key: &str| request.metadata().get(key)?.to_str().ok()?.parse::<u64>().ok();
        if number(CLUSTER_ID_KEY) != Some(self.cluster_id) {
            return Err(Error::ClusterIdMismatch.into());
        }
        if number(TARGET_KEY) != Some(self.member_id) {
            return Err(Error::MemberNotFound.into());
        }
        if number(FROM_KEY).is_some_and(|from| self.is_removed(from)) {
            return Err(Status::permission_denied(REMOVED));
        }
        Ok(request)
    }
}

/// True when the other side says that this member does not belong to the cluster any more.
pub fn says_removed(status: &Status) -> bool {
    status.code() == Code::PermissionDenied && status.message() == REMOVED
}

/// True when the call cannot have reached the other side, so that a retry cannot do anything twice.
pub fn never_sent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return matches!(io.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable);
        }
        cause = error.source();
    }
    false
}
