//! `etcdserverpb.Lease`: grants and revokes go through the log; renewals are answered by the leader alone.
//!
//! A follower passes renewals and questions on to the leader. The leader asks a majority whether it still leads before
//! it renews: a deposed leader must neither renew nor end a lease (etcd #15247).

use std::pin::pin;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::lease_server::Lease;
use balsa_proto::etcd::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use balsa_proto::store::command::Op;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use rand::RngExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::credentials::Credentials;
use super::gate::Gate;
use super::quota::Quota;
use super::{Shared, need_leader, wording};
use crate::apply::Reply;
use crate::auth::Permit;
use crate::error::Error;
use crate::host;
use crate::lease::{Lessor, NotPrimary};
use crate::limits::{LEASE_APPLIED_WAIT, MAX_LEASE_TTL_SECONDS, STREAM_BUFFER};
use crate::status::Identity;

/// What the leader answers about leases, to its clients and to the other members. Cheap to clone.
#[derive(Clone)]
pub struct LeaderLeases {
    pub identity: Identity,
    pub lessor: Lessor,
}

impl LeaderLeases {
    /// A lease that is gone is not an error: its time to live is 0.
    pub async fn keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, Error> {
        self.identity.consensus.confirm_leadership(LEASE_APPLIED_WAIT).await?;
        // Between an election and the word of it, or once cut off, nothing is known of the lease's end: ask again.
        let ttl = self.lessor.keep_alive(id).map_err(|NotPrimary| Error::NotLeader)?.unwrap_or(0);
        self.identity.mvcc.counts().lease_renewals.add(u64::from(ttl > 0));
        Ok(LeaseKeepAliveResponse { header: Some(self.identity.header()), id, ttl })
    }

    /// A lease that is gone is not an error: its time to live is -1.
    pub async fn time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Error> {
        self.identity.consensus.confirm_leadership(LEASE_APPLIED_WAIT).await?;
        let LeaseTimeToLiveRequest { id, keys } = request;
        let header = Some(self.identity.header());
        Ok(match self.lessor.time_to_live(id, keys) {
            None => LeaseTimeToLiveResponse { header, id, ttl: -1, granted_ttl: 0, keys: Vec::new() },
            Some(lease) => LeaseTimeToLiveResponse {
                header,
                id,
                ttl: lease.remaining_seconds,
                granted_ttl: lease.granted_seconds,
                keys: lease.keys,
            },
        })
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct LeaseService {
    identity: Identity,
    gate: Gate,
    quota: Quota,
    leases: LeaderLeases,
    election_timeout: Duration,
    shutdown: CancellationToken,
}

impl LeaseService {
    pub fn new(shared: &Shared) -> Self {
        let Shared { identity, gate, quota, leases, election_timeout, shutdown, .. } = shared.clone();
        LeaseService { identity, gate, quota, leases, election_timeout, shutdown }
    }

    /// Renewing somebody's lease keeps keys alive, so that it needs what writing them does.
    async fn admit_renewal(&self, credentials: &Credentials, id: i64) -> Result<(), Error> {
        let lessor = &self.leases.lessor;
        let caller = self.gate.admit(credentials, |permit| {
            permit.user()?;
            permit.lease_write(id, lessor)
        });
        caller.await.map(|_| ())
    }

    /// Tries until the request timeout: asking twice renews twice, which does no harm.
    async fn renew(&self, id: i64) -> Result<LeaseKeepAliveResponse, Error> {
        let attempts = async {
            loop {
                match self.try_renew(id).await {
                    Err(error) if error != Error::Stopped => self.wait_for_news().await?,
                    result => return result,
                }
            }
        };
        tokio::time::timeout(self.identity.consensus.request_timeout(), attempts)
            .await
            .unwrap_or(Err(Error::Timeout))
    }

    /// Here if this member leads, by the leader otherwise.
    async fn try_renew(&self, id: i64) -> Result<LeaseKeepAliveResponse, Error> {
        if self.identity.consensus.leadership().is_leader {
            return self.leases.keep_alive(id).await;
        }
        let mut client = self.identity.consensus.leader_client().ok_or(Error::NoLeader)?;
        let response = client.lease_keep_alive(LeaseKeepAliveRequest { id }).await;
        response
            .map(Response::into_inner)
            .map_err(|status| Error::from_status(&status).unwrap_or(Error::NoLeader))
    }

    async fn time_to_live(&self, request: LeaseTimeToLiveRequest) -> Result<LeaseTimeToLiveResponse, Error> {
        let attempts = async {
            loop {
                match self.try_time_to_live(request).await {
                    Err(error) if error != Error::Stopped => self.wait_for_news().await?,
                    result => return result,
                }
            }
        };
        tokio::time::timeout(self.identity.consensus.request_timeout(), attempts)
            .await
            .unwrap_or(Err(Error::Timeout))
    }

    async fn try_time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Error> {
        if self.identity.consensus.leadership().is_leader {
            return self.leases.time_to_live(request).await;
        }
        let mut client = self.identity.consensus.leader_client().ok_or(Error::NoLeader)?;
        let response = client.lease_time_to_live(request).await;
        response
            .map(Response::into_inner)
            .map_err(|status| Error::from_status(&status).unwrap_or(Error::NoLeader))
    }

    /// Until leadership changes, or for a moment.
    async fn wait_for_news(&self) -> Result<(), Error> {
        let mut leadership = self.identity.consensus.watch_leadership();
        leadership.mark_unchanged();
        Ok(leadership.changed_within(self.election_timeout / 10).await?)
    }

    /// Renews what the client asks for, in order, until it goes away or `lost` resolves.
    async fn serve_keep_alive(
        self,
        credentials: Credentials,
        mut requests: Streaming<LeaseKeepAliveRequest>,
        responses: mpsc::Sender<Result<LeaseKeepAliveResponse, Status>>,
        lost: impl Future<Output = ()>,
    ) {
        let serve = async {
            loop {
                let id = match requests.try_next().await {
                    Ok(Some(LeaseKeepAliveRequest { id })) => id,
                    Ok(None) => return,
                    Err(status) => {
                        return drop(responses.send(Err(wording::reworded_status(status))).await);
                    }
                };
                let response = match self.admit_renewal(&credentials, id).await {
                    Ok(()) => self.renew(id).await.map(|mut response| {
                        self.identity.fill(&mut response.header);
                        response
                    }),
                    Err(refused) => Err(refused),
                };
                let broken = response.is_err();
                if responses.send(response.map_err(Status::from)).await.is_err() || broken {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = serve => {}
            () = lost => drop(responses.send(Err(Error::NoLeader.into())).await),
            () = self.shutdown.cancelled() => drop(responses.send(Err(Error::Stopped.into())).await),
        }
    }
}

#[tonic::async_trait]
impl Lease for LeaseService {
    type LeaseKeepAliveStream = BoxStream<'static, Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        let credentials = Credentials::of(&request);
        let mut request = request.into_inner();
        if request.ttl > MAX_LEASE_TTL_SECONDS {
            return Err(Error::LeaseTtlTooLarge.into());
        }
        while request.id == 0 {
            request.id = host::chance().random::<i64>() & i64::MAX;
        }
        let grant = Op::LeaseGrant(request);
        self.quota.admit(&grant).await?;
        match self.gate.propose(&credentials, grant).await? {
            Reply::LeaseGrant(mut response) => {
                self.identity.fill(&mut response.header);
                Ok(Response::new(response))
            }
            other => panic!("apply answered a lease grant with {other:?}"),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let credentials = Credentials::of(&request);
        match self.gate.propose(&credentials, Op::LeaseRevoke(request.into_inner())).await? {
            Reply::LeaseRevoke(mut response) => {
                self.identity.fill(&mut response.header);
                Ok(Response::new(response))
            }
            other => panic!("apply answered a lease revoke with {other:?}"),
        }
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let wanted = need_leader::wants_leader(request.metadata().as_ref());
        let lost = need_leader::lost(wanted, self.identity.consensus.clone(), self.election_timeout);
        let (responses, stream) = mpsc::channel(STREAM_BUFFER);
        let (service, credentials) = (self.clone(), Credentials::of(&request));
        tokio::spawn(async move {
            let lost = pin!(lost);
            service.serve_keep_alive(credentials, request.into_inner(), responses, lost).await;
        });
        Ok(Response::new(ReceiverStream::new(stream).boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let credentials = Credentials::of(&request);
        self.gate.admit(&credentials, |permit| permit.user()).await?;
        let mut response = self.time_to_live(request.into_inner()).await?;
        // The keys in the answer are those to ask about: the leader may know of more than this member does.
        let readable = |permit: Permit<'_>| {
            permit
                .root()
                .or_else(|_| response.keys.iter().try_for_each(|key| permit.read(key, &Bytes::new())))
        };
        self.gate.admit(&credentials, readable).await?;
        self.identity.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.identity.consensus.read_barrier().await?;
        let lessor = &self.leases.lessor;
        let ids = lessor.leases();
        let readable = |permit: Permit<'_>| {
            permit.user()?;
            ids.iter().try_for_each(|id| permit.lease_read(*id, lessor))
        };
        self.gate.admit(&Credentials::of(&request), readable).await?;
        let leases = ids.into_iter().map(|id| LeaseStatus { id }).collect();
        Ok(Response::new(LeaseLeasesResponse { header: Some(self.identity.header()), leases }))
    }
}
