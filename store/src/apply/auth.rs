//! Users, roles and the switch: one change of the auth state, its records, and the tokens that it ends.

use balsa_proto::store::command::Op;
use balsa_proto::store::{AuthChanged, IssueToken};

use super::command::Core;
use crate::auth::record;
use crate::auth::state::Touched;
use crate::error::Error;

pub fn apply(core: &mut Core, op: &Op) -> Result<AuthChanged, Error> {
    let state = core.writer.auth_mut();
    let touched = match op {
        Op::AuthEnable(_) => state.enable()?,
        Op::AuthDisable(_) => state.disable(),
        Op::UserAdd(request) => state.user_add(request)?,
        Op::UserChangePassword(request) => state.user_change_password(request)?,
        Op::UserDelete(request) => state.user_delete(&request.name)?,
        Op::UserGrantRole(request) => state.user_grant_role(request)?,
        Op::UserRevokeRole(request) => state.user_revoke_role(request)?,
        Op::RoleAdd(request) => state.role_add(&request.name)?,
        Op::RoleDelete(request) => state.role_delete(&request.role)?,
        Op::RoleGrantPermission(request) => state.role_grant_permission(request)?,
        Op::RoleRevokePermission(request) => state.role_revoke_permission(request)?,
        other => unreachable!("{other:?} is not about users and roles"),
    };
    save(core, &touched);
    end_tokens(core, op);
    Ok(AuthChanged { revision: core.writer.revision(), token: String::new() })
}

fn save(core: &mut Core, touched: &Touched) {
    let state = core.writer.auth().clone();
    record::save(core.writer.batch(), &state, touched);
}

/// Tokens are this member's memory and no state, so that it does not matter when each member forgets them.
fn end_tokens(core: &Core, op: &Op) {
    match op {
        Op::AuthDisable(_) => core.tokens.forget_all(),
        Op::UserDelete(request) => core.tokens.forget_user(&request.name),
        Op::UserChangePassword(request) => core.tokens.forget_user(&request.name),
        _ => {}
    }
}

/// The proposing member found the password right; the user may be gone by now.
pub fn issue_token(core: &Core, log_index: u64, request: &IssueToken) -> Result<AuthChanged, Error> {
    let state = core.writer.auth();
    if !state.is_enabled() {
        return Err(Error::AuthNotEnabled);
    }
    if state.user(&request.user).is_none_or(|user| user.password.is_none()) {
        return Err(Error::AuthFailed);
    }
    let token = core.tokens.issue(&request.user, &request.prefix, log_index);
    Ok(AuthChanged { revision: core.writer.revision(), token })
}
