//! Changes of users. Source of the rules: etcd v3.6 `server/auth/store.go`.

use balsa_proto::etcd::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ROOT;
use super::state::{AuthState, PasswordHash, Touched, User};
use crate::error::Error;

impl AuthState {
    pub fn user_add(&mut self, request: &AuthUserAddRequest) -> Result<Touched, Error> {
        if request.name.is_empty() {
            return Err(Error::UserEmpty);
        }
        if self.users.contains_key(&request.name) {
            return Err(Error::UserAlreadyExist);
        }
        let no_password = request.options.as_ref().is_some_and(|options| options.no_password);
        let password = if no_password { None } else { Some(decode(&request.hashed_password)?) };
        self.users.insert(request.name.clone(), User { password, roles: Vec::new() });
        Ok(self.changed(user(&request.name)))
    }

    pub fn user_delete(&mut self, name: &str) -> Result<Touched, Error> {
        if self.enabled && name == ROOT {
            return Err(Error::InvalidAuthMgmt);
        }
        self.users.remove(name).ok_or(Error::UserNotFound)?;
        Ok(self.changed(user(name)))
    }

    /// A user without a password stays without one.
    pub fn user_change_password(
        &mut self,
        request: &AuthUserChangePasswordRequest,
    ) -> Result<Touched, Error> {
        let held = self.users.get_mut(&request.name).ok_or(Error::UserNotFound)?;
        if held.password.is_some() {
            held.password = Some(decode(&request.hashed_password)?);
        }
        Ok(self.changed(user(&request.name)))
    }

    /// The role `root` can be granted without being there.
    pub fn user_grant_role(&mut self, request: &AuthUserGrantRoleRequest) -> Result<Touched, Error> {
        let role_is_known = request.role == ROOT || self.roles.contains_key(&request.role);
        let held = self.users.get_mut(&request.user).ok_or(Error::UserNotFound)?;
        if !role_is_known {
            return Err(Error::RoleNotFound);
        }
        let Err(at) = held.roles.binary_search(&request.role) else { return Ok(Touched::default()) };
        held.roles.insert(at, request.role.clone());
        Ok(self.changed(user(&request.user)))
    }

    pub fn user_revoke_role(&mut self, request: &AuthUserRevokeRoleRequest) -> Result<Touched, Error> {
        if self.enabled && request.name == ROOT && request.role == ROOT {
            return Err(Error::InvalidAuthMgmt);
        }
        let held = self.users.get_mut(&request.name).ok_or(Error::UserNotFound)?;
        let at = held.roles.binary_search(&request.role).map_err(|_| Error::RoleNotGranted)?;
        held.roles.remove(at);
        Ok(self.changed(user(&request.name)))
    }
}

fn user(name: &str) -> Touched {
    Touched { users: vec![name.to_owned()], roles: Vec::new() }
}

/// The proposing member made the base64, so that a broken one is a client that speaks to the log by itself.
fn decode(hash: &str) -> Result<PasswordHash, Error> {
    STANDARD.decode(hash).map(|bytes| PasswordHash(bytes.into())).map_err(|_| Error::AuthFailed)
}
