//! JSON over HTTP beside gRPC: `POST /v3/kv/range` with a message as JSON is `etcdserverpb.KV/Range`.
//!
//! A path is a row in a table; everything else follows from the descriptors of the messages, so that no message has
//! code of its own here. A request becomes a gRPC request to this member's own services: it meets the same limits and the
//! same access control, with the header `Authorization` as its token. The certificate of the connection is *not* its
//! identity, as with stock etcd. Streams are lines, one JSON object each: `{"result":…}` or `{"error":…}`.
//! Source of the form: etcd 3.4's gateway (grpc-gateway v1): names as in the `.proto`, 64-bit numbers as strings, bytes as
//! base64, defaults left out.

pub mod call;
pub mod failure;
pub mod from_json;
pub mod schema;
pub mod serve;
pub mod to_json;
pub mod wire;

pub use serve::{is_gateway_path, serve};

/// Path below `/v3` or `/v3beta`, and the method that it stands for.
pub const PATHS: &[(&str, &str)] = &[
    ("/kv/range", "etcdserverpb.KV/Range"),
    ("/kv/put", "etcdserverpb.KV/Put"),
    ("/kv/deleterange", "etcdserverpb.KV/DeleteRange"),
    ("/kv/txn", "etcdserverpb.KV/Txn"),
    ("/kv/compaction", "etcdserverpb.KV/Compact"),
    ("/watch", "etcdserverpb.Watch/Watch"),
    ("/lease/grant", "etcdserverpb.Lease/LeaseGrant"),
    ("/lease/revoke", "etcdserverpb.Lease/LeaseRevoke"),
    ("/kv/lease/revoke", "etcdserverpb.Lease/LeaseRevoke"),
    ("/lease/keepalive", "etcdserverpb.Lease/LeaseKeepAlive"),
    ("/lease/timetolive", "etcdserverpb.Lease/LeaseTimeToLive"),
    ("/kv/lease/timetolive", "etcdserverpb.Lease/LeaseTimeToLive"),
    ("/lease/leases", "etcdserverpb.Lease/LeaseLeases"),
    ("/kv/lease/leases", "etcdserverpb.Lease/LeaseLeases"),
    ("/cluster/member/add", "etcdserverpb.Cluster/MemberAdd"),
    ("/cluster/member/remove", "etcdserverpb.Cluster/MemberRemove"),
    ("/cluster/member/update", "etcdserverpb.Cluster/MemberUpdate"),
    ("/cluster/member/list", "etcdserverpb.Cluster/MemberList"),
    ("/cluster/member/promote", "etcdserverpb.Cluster/MemberPromote"),
    ("/maintenance/alarm", "etcdserverpb.Maintenance/Alarm"),
    ("/maintenance/status", "etcdserverpb.Maintenance/Status"),
    ("/maintenance/defragment", "etcdserverpb.Maintenance/Defragment"),
    ("/maintenance/hash", "etcdserverpb.Maintenance/Hash"),
    ("/maintenance/hashkv", "etcdserverpb.Maintenance/HashKV"),
    ("/maintenance/snapshot", "etcdserverpb.Maintenance/Snapshot"),
    ("/maintenance/transfer-leadership", "etcdserverpb.Maintenance/MoveLeader"),
    ("/maintenance/downgrade", "etcdserverpb.Maintenance/Downgrade"),
    ("/auth/enable", "etcdserverpb.Auth/AuthEnable"),
    ("/auth/disable", "etcdserverpb.Auth/AuthDisable"),
    ("/auth/status", "etcdserverpb.Auth/AuthStatus"),
    ("/auth/authenticate", "etcdserverpb.Auth/Authenticate"),
    ("/auth/user/add", "etcdserverpb.Auth/UserAdd"),
    ("/auth/user/get", "etcdserverpb.Auth/UserGet"),
    ("/auth/user/list", "etcdserverpb.Auth/UserList"),
    ("/auth/user/delete", "etcdserverpb.Auth/UserDelete"),
    ("/auth/user/changepw", "etcdserverpb.Auth/UserChangePassword"),
    ("/auth/user/grant", "etcdserverpb.Auth/UserGrantRole"),
    ("/auth/user/revoke", "etcdserverpb.Auth/UserRevokeRole"),
    ("/auth/role/add", "etcdserverpb.Auth/RoleAdd"),
    ("/auth/role/get", "etcdserverpb.Auth/RoleGet"),
    ("/auth/role/list", "etcdserverpb.Auth/RoleList"),
    ("/auth/role/delete", "etcdserverpb.Auth/RoleDelete"),
    ("/auth/role/grant", "etcdserverpb.Auth/RoleGrantPermission"),
    ("/auth/role/revoke", "etcdserverpb.Auth/RoleRevokePermission"),
    ("/lock/lock", "v3lockpb.Lock/Lock"),
    ("/lock/unlock", "v3lockpb.Lock/Unlock"),
    ("/election/campaign", "v3electionpb.Election/Campaign"),
    ("/election/proclaim", "v3electionpb.Election/Proclaim"),
    ("/election/leader", "v3electionpb.Election/Leader"),
    ("/election/observe", "v3electionpb.Election/Observe"),
    ("/election/resign", "v3electionpb.Election/Resign"),
];
