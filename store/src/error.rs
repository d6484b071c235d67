//! Errors that clients see, and the one table from error to gRPC code and exact text.
//!
//! Stock clients match on the text, byte for byte, so the texts are facts and not prose.
//! Source: etcd v3.6 `api/v3rpc/rpctypes/error.go`.

use tonic::{Code, Status};

use crate::host::watch::Closed;

/// Declares the enum and its table in one place: a variant cannot lack a code or a text.
macro_rules! client_errors {
    ($($variant:ident $code:ident $text:literal),+ $(,)?) => {
        /// What an RPC of the store can answer instead of a reply.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Error {
            $(#[error("{}", $text)] $variant,)+
        }

        impl Error {
            /// Every error, for tables and tests.
            pub const ALL: &'static [Error] = &[$(Error::$variant),+];

            pub const fn code(self) -> Code {
                match self { $(Error::$variant => Code::$code,)+ }
            }

            /// The exact text on the wire.
            pub const fn text(self) -> &'static str {
                match self { $(Error::$variant => $text,)+ }
            }
        }
    };
}

client_errors! {
    EmptyKey InvalidArgument "etcdserver: key is not provided",
    KeyNotFound InvalidArgument "etcdserver: key not found",
    ValueProvided InvalidArgument "etcdserver: value is provided",
    LeaseProvided InvalidArgument "etcdserver: lease is provided",
    TooManyOps InvalidArgument "etcdserver: too many operations in txn request",
    DuplicateKey InvalidArgument "etcdserver: duplicate key given in txn request",
    InvalidClientApiVersion InvalidArgument "etcdserver: invalid client api version",
    InvalidSortOption InvalidArgument "etcdserver: invalid sort option",
    MemberBadUrls InvalidArgument "etcdserver: given member URLs are invalid",
    RequestTooLarge InvalidArgument "etcdserver: request is too large",
    UserEmpty InvalidArgument "etcdserver: user name is empty",
    RoleEmpty InvalidArgument "etcdserver: role name is empty",
    AuthFailed InvalidArgument "etcdserver: authentication failed, invalid user ID or password",
    PermissionNotGiven InvalidArgument "etcdserver: permission not given",
    InvalidAuthMgmt InvalidArgument "etcdserver: invalid auth management",
    AuthOldRevision InvalidArgument "etcdserver: revision of auth store is old",
    WrongDowngradeVersionFormat InvalidArgument "etcdserver: wrong downgrade target version format",
    InvalidDowngradeTargetVersion InvalidArgument "etcdserver: invalid downgrade target version",

    Compacted OutOfRange "etcdserver: mvcc: required revision has been compacted",
    FutureRev OutOfRange "etcdserver: mvcc: required revision is a future revision",
    LeaseTtlTooLarge OutOfRange "etcdserver: too large lease TTL",

    NoSpace ResourceExhausted "etcdserver: mvcc: database space exceeded",
    TooManyRequests ResourceExhausted "etcdserver: too many requests",

    LeaseNotFound NotFound "etcdserver: requested lease not found",
    MemberNotFound NotFound "etcdserver: member not found",

    LeaseExist FailedPrecondition "etcdserver: lease already exists",
    MemberExist FailedPrecondition "etcdserver: member ID already exist",
    PeerUrlExist FailedPrecondition "etcdserver: Peer URLs already exists",
    MemberNotEnoughStarted FailedPrecondition "etcdserver: re-configuration failed due to not enough started members",
    MemberNotLearner FailedPrecondition "etcdserver: can only promote a learner member",
    LearnerNotReady FailedPrecondition "etcdserver: can only promote a learner member which is in sync with leader",
    TooManyLearners FailedPrecondition "etcdserver: too many learner members in cluster",
    ClusterIdMismatch FailedPrecondition "etcdserver: cluster ID mismatch",
    RootUserNotExist FailedPrecondition "etcdserver: root user does not exist",
    RootRoleNotExist FailedPrecondition "etcdserver: root user does not have root role",
    UserAlreadyExist FailedPrecondition "etcdserver: user name already exists",
    UserNotFound FailedPrecondition "etcdserver: user name not found",
    RoleAlreadyExist FailedPrecondition "etcdserver: role name already exists",
    RoleNotFound FailedPrecondition "etcdserver: role name not found",
    RoleNotGranted FailedPrecondition "etcdserver: role is not granted to the user",
    PermissionNotGranted FailedPrecondition "etcdserver: permission is not granted to the role",
    AuthNotEnabled FailedPrecondition "etcdserver: authentication is not enabled",
    NotLeader FailedPrecondition "etcdserver: not leader",
    NotCapable FailedPrecondition "etcdserver: not capable",
    NotSupportedForLearner FailedPrecondition "etcdserver: rpc not supported for learner",
    BadLeaderTransferee FailedPrecondition "etcdserver: bad leader transferee",
    ClusterVersionUnavailable FailedPrecondition "etcdserver: cluster version not found during downgrade",
    DowngradeInProcess FailedPrecondition "etcdserver: cluster has a downgrade job in progress",
    NoInflightDowngrade FailedPrecondition "etcdserver: no inflight downgrade job",

    WatchCanceled Cancelled "etcdserver: watch canceled",
    Canceled Cancelled "etcdserver: request canceled",

    PermissionDenied PermissionDenied "etcdserver: permission denied",

    InvalidAuthToken Unauthenticated "etcdserver: invalid auth token",

    NoLeader Unavailable "etcdserver: no leader",
    LeaderChanged Unavailable "etcdserver: leader changed",
    Stopped Unavailable "etcdserver: server stopped",
    Timeout Unavailable "etcdserver: request timed out",
    TimeoutDueToLeaderFail Unavailable "etcdserver: request timed out, possibly due to previous leader failure",
    TimeoutDueToConnectionLost Unavailable "etcdserver: request timed out, possibly due to connection lost",
    TimeoutWaitAppliedIndex Unavailable "etcdserver: request timed out, waiting for the applied index took too long",
    Unhealthy Unavailable "etcdserver: unhealthy cluster",

    Corrupt DataLoss "etcdserver: corrupt cluster",

    DeadlineExceeded DeadlineExceeded "etcdserver: context deadline exceeded",
}

impl Error {
    /// The error behind a status of another member, if the status is one of ours.
    pub fn from_status(status: &Status) -> Option<Error> {
        Self::ALL
            .iter()
            .copied()
            .find(|error| error.code() == status.code() && error.text() == status.message())
    }
}

/// The task that tells of changes ends with its member.
impl From<Closed> for Error {
    fn from(_: Closed) -> Self {
        Error::Stopped
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        Status::new(error.code(), error.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_the_prefix_and_no_two_are_equal() {
        let mut seen = std::collections::BTreeSet::new();
        for error in Error::ALL {
            assert!(error.text().starts_with("etcdserver: "), "{error:?}");
            assert!(seen.insert(error.text()), "{error:?}");
        }
    }

    #[test]
    fn a_status_finds_its_error_again() {
        for error in Error::ALL {
            assert_eq!(Error::from_status(&Status::from(*error)), Some(*error));
        }
    }
}
