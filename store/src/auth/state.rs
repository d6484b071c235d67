//! All users and roles, as apply leaves them and readers see them.

use std::collections::BTreeMap;
use std::fmt;

use balsa_proto::etcd::authpb::Permission;
use balsa_proto::etcd::authpb::permission::Type;
use bytes::Bytes;

use super::ROOT;
use super::ranges::Ranges;
use crate::error::Error;

/// The auth revision of a store that never had a user.
pub const FRESH_REVISION: u64 = 1;

/// Changes through the methods of `user.rs` and `role.rs`, and those below.
#[derive(Debug, Clone)]
pub struct AuthState {
    pub(super) enabled: bool,
    pub(super) revision: u64,
    pub(super) users: BTreeMap<String, User>,
    pub(super) roles: BTreeMap<String, Role>,
    /// What each user may do by all of its roles: made of the two above, at every change.
    grants: BTreeMap<String, Grants>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `None`: the user cannot log in with a password.
    pub password: Option<PasswordHash>,
    /// Sorted, without repetition.
    pub roles: Vec<String>,
}

/// What bcrypt made of a password. Empty: no password fits.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub Bytes);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Role {
    /// In the order of their keys.
    pub permissions: Vec<Permission>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Grants {
    pub root: bool,
    pub read: Ranges,
    pub write: Ranges,
}

/// Records that a change touched, for the backend: written if they are still there, deleted otherwise.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Touched {
    pub users: Vec<String>,
    pub roles: Vec<String>,
}

impl Default for AuthState {
    fn default() -> Self {
        AuthState::new(false, FRESH_REVISION, BTreeMap::new(), BTreeMap::new())
    }
}

impl AuthState {
    pub(super) fn new(
        enabled: bool,
        revision: u64,
        users: BTreeMap<String, User>,
        roles: BTreeMap<String, Role>,
    ) -> Self {
        let mut state = AuthState { enabled, revision, users, roles, grants: BTreeMap::new() };
        state.regrant();
        state
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    pub fn user_names(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    pub fn role_names(&self) -> Vec<String> {
        self.roles.keys().cloned().collect()
    }

    pub(super) fn grants(&self, user: &str) -> Option<&Grants> {
        self.grants.get(user)
    }

    /// From now on requests need permission. There must be somebody who can switch it off again.
    pub fn enable(&mut self) -> Result<Touched, Error> {
        if self.enabled {
            return Ok(Touched::default());
        }
        let root = self.users.get(ROOT).ok_or(Error::RootUserNotExist)?;
        if !root.has_role(ROOT) {
            return Err(Error::RootRoleNotExist);
        }
        self.enabled = true;
        Ok(Touched::default())
    }

    pub fn disable(&mut self) -> Touched {
        if self.enabled {
            self.enabled = false;
            self.revision += 1;
        }
        Touched::default()
    }

    /// Ends every change of users and roles.
    pub(super) fn changed(&mut self, touched: Touched) -> Touched {
        self.revision += 1;
        self.regrant();
        touched
    }

    fn regrant(&mut self) {
        let grants = |user: &User| self.grants_of(user);
        self.grants = self.users.iter().map(|(name, user)| (name.clone(), grants(user))).collect();
    }

    fn grants_of(&self, user: &User) -> Grants {
        let permissions = || {
            let roles = user.roles.iter().filter_map(|role| self.roles.get(role));
            roles.flat_map(|role| &role.permissions)
        };
        let of = |kind: Type| {
            move |permission: &&Permission| {
                permission.perm_type == kind as i32 || permission.perm_type == Type::Readwrite as i32
            }
        };
        Grants {
            root: user.has_role(ROOT),
            read: Ranges::of(permissions().filter(of(Type::Read))),
            write: Ranges::of(permissions().filter(of(Type::Write))),
        }
    }
}

impl User {
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.binary_search_by(|held| held.as_str().cmp(role)).is_ok()
    }
}
