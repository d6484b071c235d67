//! Users and roles in the backend: records of the column family `meta`.
//!
//! | key | value |
//! |---|---|
//! | `auth/enabled` | one byte, 0 or 1 |
//! | `auth/revision` | eight bytes |
//! | `auth/user/<name>` | `authpb.User` |
//! | `auth/role/<name>` | `authpb.Role` |

use std::collections::BTreeMap;

use balsa_proto::etcd::authpb;
use bytes::Bytes;
use prost::Message;

use super::state::{AuthState, FRESH_REVISION, PasswordHash, Role, Touched, User};
use crate::backend::{BackendError, Column, View, WriteBatch};
use crate::mvcc::read::corrupt;
use crate::mvcc::{codec, prefix_end};

pub(crate) const ENABLED: &[u8] = b"auth/enabled";
pub(crate) const REVISION: &[u8] = b"auth/revision";
pub(crate) const USER_PREFIX: &[u8] = b"auth/user/";
pub(crate) const ROLE_PREFIX: &[u8] = b"auth/role/";

pub fn load(view: &dyn View) -> Result<AuthState, BackendError> {
    let enabled = view.get(Column::Meta, ENABLED)?.is_some_and(|value| value[..] == [1]);
    let revision = match view.get(Column::Meta, REVISION)? {
        Some(bytes) => codec::parse_i64(&bytes).ok_or_else(|| corrupt(Column::Meta, REVISION))? as u64,
        None => FRESH_REVISION,
    };
    let users = load_all(view, USER_PREFIX, |bytes| authpb::User::decode(bytes).ok().map(user_from))?;
    let roles = load_all(view, ROLE_PREFIX, |bytes| {
        authpb::Role::decode(bytes).ok().map(|role| Role { permissions: role.key_permission })
    })?;
    Ok(AuthState::new(enabled, revision, users, roles))
}

fn load_all<T>(
    view: &dyn View,
    prefix: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
) -> Result<BTreeMap<String, T>, BackendError> {
    let mut all = BTreeMap::new();
    let mut cursor = view.cursor(Column::Meta, prefix, &prefix_end(prefix));
    cursor.seek(prefix)?;
    while let Some((at, bytes)) = cursor.item() {
        let name = at.strip_prefix(prefix).and_then(|name| std::str::from_utf8(name).ok());
        let (Some(name), Some(value)) = (name, decode(bytes)) else {
            return Err(corrupt(Column::Meta, at));
        };
        all.insert(name.to_owned(), value);
        cursor.next()?;
    }
    Ok(all)
}

/// What a change touched, and what every change may have.
pub fn save(batch: &mut WriteBatch, state: &AuthState, touched: &Touched) {
    batch.put(Column::Meta, ENABLED, vec![u8::from(state.enabled)]);
    batch.put(Column::Meta, REVISION, codec::i64_value(state.revision as i64));
    for name in &touched.users {
        let value = state.user(name).map(|user| user_to(name, user).encode_to_vec());
        save_one(batch, USER_PREFIX, name, value);
    }
    for name in &touched.roles {
        let value = state.role(name).map(|role| role_to(name, role).encode_to_vec());
        save_one(batch, ROLE_PREFIX, name, value);
    }
}

fn save_one(batch: &mut WriteBatch, prefix: &[u8], name: &str, value: Option<Vec<u8>>) {
    let key = [prefix, name.as_bytes()].concat();
    match value {
        Some(value) => batch.put(Column::Meta, key, value),
        None => batch.delete(Column::Meta, key),
    }
}

/// As etcd keeps it in its own backend, too.
pub fn user_to(name: &str, user: &User) -> authpb::User {
    authpb::User {
        name: Bytes::copy_from_slice(name.as_bytes()),
        password: user.password.as_ref().map(|hash| hash.0.clone()).unwrap_or_default(),
        roles: user.roles.clone(),
        options: Some(authpb::UserAddOptions { no_password: user.password.is_none() }),
    }
}

/// As etcd keeps it in its own backend, too.
pub fn role_to(name: &str, role: &Role) -> authpb::Role {
    authpb::Role { name: Bytes::copy_from_slice(name.as_bytes()), key_permission: role.permissions.clone() }
}

fn user_from(user: authpb::User) -> User {
    let no_password = user.options.is_some_and(|options| options.no_password);
    let password = if no_password { None } else { Some(PasswordHash(user.password)) };
    User { password, roles: user.roles }
}
