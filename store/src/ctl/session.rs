//! A lease that lives as long as this process wants it to.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::connect::{self, Connection};
use super::failure::Failure;
use super::flags::Flags;

pub struct Session {
    client: LeaseClient<Connection>,
    lease: i64,
    lost: watch::Receiver<bool>,
}

impl Session {
    pub async fn open(flags: &Flags, connection: Connection, ttl: i64) -> Result<Self, Failure> {
        let mut client = LeaseClient::new(connection);
        let request = pb::LeaseGrantRequest { ttl, id: 0 };
        let granted = connect::ask(flags, client.lease_grant(request)).await?;
        let (sender, lost) = watch::channel(false);
        let renewing = client.clone();
        tokio::spawn(async move {
            // It ends when the lease is gone or nobody answers: both mean that the session is lost.
            let _ = renew(renewing, granted.id, granted.ttl).await;
            // The session may be closed already, and then nobody listens.
            let _ = sender.send(true);
        });
        Ok(Self { client, lease: granted.id, lost })
    }

    pub fn lease(&self) -> i64 {
        self.lease
    }

    /// Resolves once the lease cannot be kept.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // The sender goes only after it has spoken.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Gives the lease back, and with it the keys that hang on it.
    pub async fn close(mut self, flags: &Flags) -> Result<(), Failure> {
        let request = pb::LeaseRevokeRequest { id: self.lease };
        connect::ask(flags, self.client.lease_revoke(request)).await.map(drop)
    }
}

/// Three times per time to live, for as long as the server says that the lease lives.
async fn renew(mut client: LeaseClient<Connection>, id: i64, ttl: i64) -> Result<(), tonic::Status> {
    let request = pb::LeaseKeepAliveRequest { id };
    let (requests, stream) = mpsc::channel(1);
    // The channel is empty and its reader is at hand.
    let _ = requests.send(request).await;
    let mut answers = client.lease_keep_alive(ReceiverStream::new(stream)).await?.into_inner();
    let patience = Duration::from_secs(ttl.max(1) as u64);
    while let Ok(Some(answer)) =
        tokio::time::timeout(patience, answers.message()).await.map_err(|_| tonic::Status::cancelled(""))?
    {
        if answer.ttl <= 0 {
            break;
        }
        tokio::time::sleep(patience / 3).await;
        let _ = requests.send(request).await;
    }
    Ok(())
}
