//! Connections to the other members, one per lane, and the stamp that says who is meant.
//!
//! Lanes keep traffic apart that would stall one another on a shared connection: a snapshot must not delay
//! heartbeats, nor a burst of forwarded writes the replication. Connections are made when first used, mend
//! themselves, and die when the other side stops answering pings.

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::store::peer_client::PeerClient;
use parking_lot::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use super::MemberNode;
use crate::error::Error;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, MAX_PEER_MESSAGE_BYTES, PEER_CONNECT_TIMEOUT, STREAM_WINDOW_BYTES,
};

pub const CLUSTER_ID_KEY: &str = "balsa-cluster-id";
pub const TARGET_KEY: &str = "balsa-target";

pub type Client = PeerClient<InterceptedService<Channel, Stamp>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    tls: Option<ClientTlsConfig>,
    /// A silent connection is given up after twice this.
    ping_interval: Duration,
    channels: Mutex<HashMap<(Lane, String), Channel>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the peer URL {url} is not usable: {reason}")]
pub struct BadUrl {
    url: String,
    reason: String,
}

impl Peers {
    pub fn new(cluster_id: u64, tls: Option<ClientTlsConfig>, ping_interval: Duration) -> Self {
        Peers { inner: Arc::new(Inner { cluster_id, tls, ping_interval, channels: Mutex::default() }) }
    }

    pub fn client(&self, lane: Lane, target: u64, node: &MemberNode) -> Result<Client, BadUrl> {
        let url = node.peer_urls.first().cloned().unwrap_or_default();
        let channel = self.channel(lane, url)?;
        let stamp = Stamp { cluster_id: self.inner.cluster_id.into(), target: target.into() };
        Ok(PeerClient::with_interceptor(channel, stamp)
            .max_decoding_message_size(MAX_PEER_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_PEER_MESSAGE_BYTES))
    }

    fn channel(&self, lane: Lane, url: String) -> Result<Channel, BadUrl> {
        let mut channels = self.inner.channels.lock();
        if let Some(channel) = channels.get(&(lane, url.clone())) {
            return Ok(channel.clone());
        }
        let channel = self.connect(&url)?;
        channels.insert((lane, url), channel.clone());
        Ok(channel)
    }

    fn connect(&self, url: &str) -> Result<Channel, BadUrl> {
        let bad = |error: tonic::transport::Error| BadUrl { url: url.to_owned(), reason: error.to_string() };
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(bad)?
            .connect_timeout(PEER_CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(self.inner.ping_interval)
            .keep_alive_timeout(self.inner.ping_interval)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if let Some(tls) = self.inner.tls.clone().filter(|_| url.starts_with("https://")) {
            endpoint = endpoint.tls_config(tls).map_err(bad)?;
        }
        Ok(endpoint.connect_lazy())
    }
}

/// Puts the cluster and the member that are meant on every call.
#[derive(Debug, Clone)]
pub struct Stamp {
    cluster_id: MetadataValue<Ascii>,
    target: MetadataValue<Ascii>,
}

impl Interceptor for Stamp {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(CLUSTER_ID_KEY, self.cluster_id.clone());
        request.metadata_mut().insert(TARGET_KEY, self.target.clone());
        Ok(request)
    }
}

/// Refuses calls that were meant for another cluster or another member.
#[derive(Debug, Clone, Copy)]
pub struct StampCheck {
    pub cluster_id: u64,
    pub member_id: u64,
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
        Ok(request)
    }
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
