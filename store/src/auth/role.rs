//! Changes of roles. Source of the rules: etcd v3.6 `server/auth/store.go`.

use balsa_proto::etcd::etcdserverpb::{AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest};

use super::state::{AuthState, Role, Touched};
use super::{ROOT, ranges};
use crate::error::Error;

impl AuthState {
    pub fn role_add(&mut self, name: &str) -> Result<Touched, Error> {
        if name.is_empty() {
            return Err(Error::RoleEmpty);
        }
        if self.roles.contains_key(name) {
            return Err(Error::RoleAlreadyExist);
        }
        self.roles.insert(name.to_owned(), Role::default());
        Ok(self.changed(role(name)))
    }

    /// Takes the role from its users as well.
    pub fn role_delete(&mut self, name: &str) -> Result<Touched, Error> {
        if self.enabled && name == ROOT {
            return Err(Error::InvalidAuthMgmt);
        }
        self.roles.remove(name).ok_or(Error::RoleNotFound)?;
        let mut touched = role(name);
        for (user, held) in self.users.iter_mut().filter(|(_, held)| held.has_role(name)) {
            held.roles.retain(|role| role != name);
            touched.users.push(user.clone());
        }
        Ok(self.changed(touched))
    }

    /// A second permission on the very same range takes the place of the first.
    pub fn role_grant_permission(
        &mut self,
        request: &AuthRoleGrantPermissionRequest,
    ) -> Result<Touched, Error> {
        let wanted = request.perm.as_ref().ok_or(Error::PermissionNotGiven)?;
        if !ranges::is_valid(&wanted.key, &wanted.range_end) {
            return Err(Error::InvalidAuthMgmt);
        }
        let held = self.roles.get_mut(&request.name).ok_or(Error::RoleNotFound)?;
        let same = held
            .permissions
            .iter_mut()
            .find(|permission| permission.key == wanted.key && permission.range_end == wanted.range_end);
        match same {
            Some(permission) => permission.perm_type = wanted.perm_type,
            None => {
                let at = held.permissions.partition_point(|permission| permission.key <= wanted.key);
                held.permissions.insert(at, wanted.clone());
            }
        }
        Ok(self.changed(role(&request.name)))
    }

    pub fn role_revoke_permission(
        &mut self,
        request: &AuthRoleRevokePermissionRequest,
    ) -> Result<Touched, Error> {
        let held = self.roles.get_mut(&request.role).ok_or(Error::RoleNotFound)?;
        let before = held.permissions.len();
        held.permissions
            .retain(|permission| permission.key != request.key || permission.range_end != request.range_end);
        if held.permissions.len() == before {
            return Err(Error::PermissionNotGranted);
        }
        Ok(self.changed(role(&request.role)))
    }
}

fn role(name: &str) -> Touched {
    Touched { users: Vec::new(), roles: vec![name.to_owned()] }
}
