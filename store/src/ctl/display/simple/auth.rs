//! Users, roles and permissions for people.

use balsa_proto::etcd::authpb::Permission;
use balsa_proto::etcd::authpb::permission::Type;
use balsa_proto::etcd::etcdserverpb as pb;

use super::super::text;
use crate::mvcc::prefix_end;

pub(super) fn status(response: &pb::AuthStatusResponse) -> String {
    format!("Authentication Status: {}\nAuthRevision: {}\n", response.enabled, response.auth_revision)
}

pub(super) fn user(user: &str, response: &pb::AuthUserGetResponse) -> String {
    let roles: String = response.roles.iter().map(|role| format!(" {role}")).collect();
    format!("User: {user}\nRoles:{roles}\n")
}

pub(super) fn role(role: &str, response: &pb::AuthRoleGetResponse) -> String {
    let ranges = |may: fn(Type) -> bool| -> String {
        let granted = response.perm.iter().filter(|permission| may(permission.perm_type()));
        granted.map(|permission| format!("\t{}\n", range(permission))).collect()
    };
    let read = ranges(|kind| matches!(kind, Type::Read | Type::Readwrite));
    let write = ranges(|kind| matches!(kind, Type::Write | Type::Readwrite));
    format!("Role {role}\nKV Read:\n{read}KV Write:\n{write}")
}

fn range(permission: &Permission) -> String {
    let (key, end) = (&permission.key[..], &permission.range_end[..]);
    match end {
        [] => text(key),
        end => {
            let prefix = if end == prefix_end(key) && end != [0] {
                format!(" (prefix {})", text(key))
            } else {
                String::new()
            };
            format!("{}{prefix}", interval(key, end))
        }
    }
}

/// `[a, b)`, or without an end.
pub fn interval(key: &[u8], end: &[u8]) -> String {
    match end {
        [0] => format!("[{}, <open ended>", text(key)),
        end => format!("[{}, {})", text(key), text(end)),
    }
}
