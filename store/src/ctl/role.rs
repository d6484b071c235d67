//! `role add | delete | get | list | grant-permission | revoke-permission`.

use balsa_proto::etcd::authpb::Permission;
use balsa_proto::etcd::authpb::permission::Type;
use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use clap::Subcommand;

use super::display::simple::interval;
use super::failure::Failure;
use super::flags::Flags;
use super::{Answer, connect, print};
use crate::mvcc::prefix_end;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Adds a new role
    Add {
        #[arg(value_name = "ROLE")]
        words: Vec<String>,
    },
    /// Deletes a role
    Delete {
        #[arg(value_name = "ROLE")]
        words: Vec<String>,
    },
    /// Gets detailed information of a role
    Get {
        #[arg(value_name = "ROLE")]
        words: Vec<String>,
    },
    /// Lists all roles
    List {
        #[arg(hide = true)]
        words: Vec<String>,
    },
    /// Grants a key to a role
    GrantPermission {
        /// The role, `read`, `write` or `readwrite`, and the keys
        #[arg(value_name = "ROLE TYPE KEY [ENDKEY]")]
        words: Vec<String>,
        #[command(flatten)]
        spread: Spread,
    },
    /// Revokes a key from a role
    RevokePermission {
        #[arg(value_name = "ROLE KEY [ENDKEY]")]
        words: Vec<String>,
        #[command(flatten)]
        spread: Spread,
    },
}

/// How far a key without an end reaches.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Spread {
    /// A permission of all keys with this prefix
    #[arg(long)]
    prefix: bool,
    /// A permission of keys that are greater than or equal to the given key using byte compare
    #[arg(long)]
    from_key: bool,
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add { words } => {
            let name = one(&words, "add")?;
            let request = pb::AuthRoleAddRequest { name: name.clone() };
            let header = connect::ask(flags, client(flags).await?.role_add(request)).await?.header;
            print(flags, &Answer::Done { text: format!("Role {name} created"), header })
        }
        Verb::Delete { words } => {
            let role = one(&words, "delete")?;
            let request = pb::AuthRoleDeleteRequest { role: role.clone() };
            let header = connect::ask(flags, client(flags).await?.role_delete(request)).await?.header;
            print(flags, &Answer::Done { text: format!("Role {role} deleted"), header })
        }
        Verb::Get { words } => {
            let role = one(&words, "get")?;
            let response = get(flags, &role).await?;
            print(flags, &Answer::RoleGet { role, response })
        }
        Verb::List { words } if !words.is_empty() => {
            Err(Failure::bad_args("role list command requires no arguments"))
        }
        Verb::List { .. } => {
            let request = pb::AuthRoleListRequest {};
            let response = connect::ask(flags, client(flags).await?.role_list(request)).await?;
            print(flags, &Answer::RoleList(response))
        }
        Verb::GrantPermission { words, spread } => grant(flags, &words, spread).await,
        Verb::RevokePermission { words, spread } => revoke(flags, &words, spread).await,
    }
}

pub async fn get(flags: &Flags, role: &str) -> Result<pb::AuthRoleGetResponse, Failure> {
    let request = pb::AuthRoleGetRequest { role: role.to_owned() };
    connect::ask(flags, client(flags).await?.role_get(request)).await
}

async fn client(flags: &Flags) -> Result<AuthClient<connect::Connection>, Failure> {
    Ok(AuthClient::new(connect::any(flags).await?))
}

fn one(words: &[String], verb: &str) -> Result<String, Failure> {
    match words {
        [role] => Ok(role.clone()),
        _ => Err(Failure::bad_args(format!("role {verb} command requires role name as its argument"))),
    }
}

async fn grant(flags: &Flags, words: &[String], spread: Spread) -> Result<(), Failure> {
    let [role, kind, keys @ ..] = words else { return Err(grant_usage()) };
    if keys.is_empty() {
        return Err(grant_usage());
    }
    let kind = match kind.to_lowercase().as_str() {
        "read" => Type::Read,
        "write" => Type::Write,
        "readwrite" => Type::Readwrite,
        _ => return Err(Failure::bad_args(format!("invalid permission type: {kind}"))),
    };
    let (key, range_end) = range(keys, spread)?;
    let perm = Permission { perm_type: kind as i32, key: key.into(), range_end: range_end.into() };
    let request = pb::AuthRoleGrantPermissionRequest { name: role.clone(), perm: Some(perm) };
    let header = connect::ask(flags, client(flags).await?.role_grant_permission(request)).await?.header;
    print(flags, &Answer::Done { text: format!("Role {role} updated"), header })
}

fn grant_usage() -> Failure {
    Failure::bad_args(
        "role grant command requires role name, permission type, and key [endkey] as its argument",
    )
}

async fn revoke(flags: &Flags, words: &[String], spread: Spread) -> Result<(), Failure> {
    let [role, keys @ ..] = words else { return Err(revoke_usage()) };
    if keys.is_empty() {
        return Err(revoke_usage());
    }
    let (key, range_end) = range(keys, spread)?;
    let text = match &range_end[..] {
        [] => format!("Permission of key {} is revoked from role {role}", String::from_utf8_lossy(&key)),
        end => format!("Permission of range {} is revoked from role {role}", interval(&key, end)),
    };
    let request = pb::AuthRoleRevokePermissionRequest {
        role: role.clone(),
        key: key.into(),
        range_end: range_end.into(),
    };
    let header = connect::ask(flags, client(flags).await?.role_revoke_permission(request)).await?.header;
    print(flags, &Answer::Done { text, header })
}

fn revoke_usage() -> Failure {
    Failure::bad_args("role revoke-permission command requires role name and key [endkey] as its argument")
}

/// Key and end on the wire.
fn range(words: &[String], spread: Spread) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let Spread { prefix, from_key } = spread;
    if prefix && from_key {
        return Err(Failure::bad_args("--from-key and --prefix flags are mutually exclusive"));
    }
    match words {
        [_, _, ..] if prefix => Err(Failure::bad_args("unexpected endkey argument with --prefix flag")),
        [_, _, ..] if from_key => Err(Failure::bad_args("unexpected endkey argument with --from-key flag")),
        [key, end, ..] => Ok((key.clone().into_bytes(), end.clone().into_bytes())),
        // The empty key is not a key: everything begins at the smallest one.
        [key] if key.is_empty() && (prefix || from_key) => Ok((vec![0], vec![0])),
        [key] if prefix => Ok((key.clone().into_bytes(), prefix_end(key.as_bytes()))),
        [key] if from_key => Ok((key.clone().into_bytes(), vec![0])),
        [key] => Ok((key.clone().into_bytes(), Vec::new())),
        [] => Err(grant_usage()),
    }
}
