//! What each RPC needs before its service even sees it: one table, asked in one place.
//!
//! An RPC that is not in the table needs root, so that a new one is never open by oversight.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, Either};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::credentials::Credentials;
use super::gate::Gate;
use crate::auth::Permit;
use crate::error::Error;

/// While access control is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    User,
    Root,
    /// The service looks at the request: it depends on keys.
    Keys,
}

/// Source: etcd v3.6.14.
const NEEDS: &[(&str, &[(&str, Need)])] = &[
    (
        "etcdserverpb.KV",
        &[
            ("Range", Need::Keys),
            ("RangeStream", Need::Keys),
            ("Put", Need::Keys),
            ("DeleteRange", Need::Keys),
            ("Txn", Need::Keys),
            ("Compact", Need::Root),
        ],
    ),
    ("etcdserverpb.Watch", &[("Watch", Need::Keys)]),
    (
        "etcdserverpb.Lease",
        &[
            ("LeaseGrant", Need::User),
            ("LeaseRevoke", Need::Keys),
            ("LeaseKeepAlive", Need::Keys),
            ("LeaseTimeToLive", Need::Keys),
            ("LeaseLeases", Need::Keys),
        ],
    ),
    (
        "etcdserverpb.Cluster",
        &[
            ("MemberList", Need::User),
            ("MemberAdd", Need::Root),
            ("MemberRemove", Need::Root),
            ("MemberUpdate", Need::Root),
            ("MemberPromote", Need::Root),
        ],
    ),
    (
        "etcdserverpb.Maintenance",
        &[
            ("Status", Need::User),
            // To look at alarms; to change one the service asks for more.
            ("Alarm", Need::User),
            ("Defragment", Need::Root),
            ("Hash", Need::Root),
            ("HashKV", Need::Root),
            ("Snapshot", Need::Root),
            ("MoveLeader", Need::Root),
            ("Downgrade", Need::Root),
        ],
    ),
    (
        "etcdserverpb.Auth",
        &[
            ("Authenticate", Need::Nothing),
            ("AuthEnable", Need::Root),
            ("AuthDisable", Need::Root),
            ("AuthStatus", Need::Root),
            ("UserAdd", Need::Root),
            // One may look at oneself and at one's roles.
            ("UserGet", Need::Keys),
            ("UserList", Need::Root),
            ("UserDelete", Need::Root),
            ("UserChangePassword", Need::Root),
            ("UserGrantRole", Need::Root),
            ("UserRevokeRole", Need::Root),
            ("RoleAdd", Need::Root),
            ("RoleGet", Need::Keys),
            ("RoleList", Need::Root),
            ("RoleDelete", Need::Root),
            ("RoleGrantPermission", Need::Root),
            ("RoleRevokePermission", Need::Root),
        ],
    ),
    ("v3lockpb.Lock", &[("Lock", Need::Keys), ("Unlock", Need::Keys)]),
    (
        "v3electionpb.Election",
        &[
            ("Campaign", Need::Keys),
            ("Proclaim", Need::Keys),
            ("Leader", Need::Keys),
            ("Observe", Need::Keys),
            ("Resign", Need::Keys),
        ],
    ),
    ("grpc.health.v1.Health", &[("Check", Need::Nothing), ("Watch", Need::Nothing)]),
    // When a revision was made says nothing of any key; what it did is read with ranges and watches.
    ("balsa.store.v1.History", &[("CommitTimes", Need::User)]),
];

/// `path` is `/package.Service/Method`.
pub fn need_of(path: &str) -> Need {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return Need::Root;
    };
    let methods = NEEDS.iter().find(|(name, _)| *name == service).map_or(&[][..], |(_, methods)| methods);
    methods.iter().find(|(name, _)| *name == method).map_or(Need::Root, |(_, need)| *need)
}

/// Refuses what its sender may not do at all.
#[derive(Clone)]
pub struct Door {
    pub gate: Gate,
}

impl<S> Layer<S> for Door {
    type Service = Doored<S>;

    fn layer(&self, inner: S) -> Doored<S> {
        Doored { gate: self.gate.clone(), inner }
    }
}

#[derive(Clone)]
pub struct Doored<S> {
    gate: Gate,
    inner: S,
}

impl<S, B> Service<Request<B>> for Doored<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let need = need_of(request.uri().path());
        if self.gate.is_open() || matches!(need, Need::Nothing | Need::Keys) {
            return Either::Left(self.inner.call(request));
        }
        let gate = self.gate.clone();
        // The one that was polled ready serves this request.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Either::Right(Box::pin(async move {
            match pass(&gate, need, &Credentials::of_http(&request)).await {
                Ok(()) => inner.call(request).await,
                Err(error) => Ok(Status::from(error).into_http()),
            }
        }))
    }
}

async fn pass(gate: &Gate, need: Need, credentials: &Credentials) -> Result<(), Error> {
    let question = |permit: Permit<'_>| match need {
        Need::Nothing | Need::Keys => Ok(()),
        Need::User => permit.user(),
        Need::Root => permit.root(),
    };
    gate.admit(credentials, question).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_know_needs_root() {
        assert_eq!(need_of("/etcdserverpb.KV/Range"), Need::Keys);
        assert_eq!(need_of("/etcdserverpb.KV/Compact"), Need::Root);
        assert_eq!(need_of("/balsa.store.v1.History/CommitTimes"), Need::User);
        for path in ["/etcdserverpb.KV/Nope", "/nope.Nope/Range", "/", "", "/etcdserverpb.KV"] {
            assert_eq!(need_of(path), Need::Root, "{path}");
        }
    }
}
