//! `etcdserverpb.Auth`: users, roles, and tokens for passwords.
//!
//! A password is hashed, or compared with a hash, on a thread that may block, and only the hash goes on from here.

use balsa_proto::etcd::authpb::Permission;
use balsa_proto::etcd::authpb::permission::Type;
use balsa_proto::etcd::etcdserverpb::auth_server::Auth;
use balsa_proto::etcd::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse, AuthRoleAddRequest,
    AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse, AuthRoleGetRequest,
    AuthRoleGetResponse, AuthRoleGrantPermissionRequest, AuthRoleGrantPermissionResponse,
    AuthRoleListRequest, AuthRoleListResponse, AuthRoleRevokePermissionRequest,
    AuthRoleRevokePermissionResponse, AuthStatusRequest, AuthStatusResponse, AuthUserAddRequest,
    AuthUserAddResponse, AuthUserChangePasswordRequest, AuthUserChangePasswordResponse,
    AuthUserDeleteRequest, AuthUserDeleteResponse, AuthUserGetRequest, AuthUserGetResponse,
    AuthUserGrantRoleRequest, AuthUserGrantRoleResponse, AuthUserListRequest, AuthUserListResponse,
    AuthUserRevokeRoleRequest, AuthUserRevokeRoleResponse, AuthenticateRequest, AuthenticateResponse,
    ResponseHeader,
};
use balsa_proto::store::command::Op;
use balsa_proto::store::{AuthChanged, IssueToken};
use bytes::Bytes;
use std::sync::Arc;
use tonic::{Request, Response, Status};

use super::Shared;
use super::credentials::Credentials;
use super::gate::Gate;
use crate::apply::Reply;
use crate::auth::{AuthState, Caller, Permit, ROOT, Tokens, password, simple_token};
use crate::error::Error;
use crate::host;
use crate::status::Identity;

/// Stock etcd's words; they are in none of its tables, so that the code is `Unknown`.
const NO_PASSWORD_USER: &str = "auth: authentication failed, password was given for no password user";

pub struct AuthService {
    identity: Identity,
    gate: Gate,
    bcrypt_cost: u32,
}

impl AuthService {
    pub fn new(shared: &Shared) -> Self {
        AuthService {
            identity: shared.identity.clone(),
            gate: shared.gate.clone(),
            bcrypt_cost: shared.bcrypt_cost,
        }
    }

    /// Through the log. The header of the answer, and the message that was asked for.
    async fn change<T>(
        &self,
        request: Request<T>,
        op: impl FnOnce(T) -> Op,
    ) -> Result<Option<ResponseHeader>, Status> {
        let credentials = Credentials::of(&request);
        self.changed(&credentials, op(request.into_inner())).await
    }

    async fn changed(&self, credentials: &Credentials, op: Op) -> Result<Option<ResponseHeader>, Status> {
        Ok(self.header(auth_changed(self.gate.propose(credentials, op).await?).revision))
    }

    fn header(&self, revision: i64) -> Option<ResponseHeader> {
        let mut header = Some(ResponseHeader { revision, ..ResponseHeader::default() });
        self.identity.fill(&mut header);
        header
    }

    /// The users and roles that every earlier change left, for whom `question` lets through.
    async fn look<T>(
        &self,
        request: &Request<T>,
        question: impl Fn(Permit<'_>) -> Result<(), Error>,
    ) -> Result<(Option<ResponseHeader>, Arc<AuthState>), Status> {
        self.identity.consensus.read_barrier().await?;
        self.gate.admit(&Credentials::of(request), question).await?;
        Ok((Some(self.identity.header()), self.identity.mvcc.auth()))
    }

    /// The auth revision at which the password was right.
    async fn check_password(&self, name: &str, password: &str) -> Result<u64, Status> {
        let state = self.identity.mvcc.auth();
        if !state.is_enabled() {
            return Err(Error::AuthNotEnabled.into());
        }
        let user = state.user(name).ok_or(Error::AuthFailed)?;
        let Some(hash) = user.password.clone() else { return Err(Status::unknown(NO_PASSWORD_USER)) };
        let password = password.to_owned();
        let fits = blocking(move || password::verify(&password, &hash)).await?;
        if fits { Ok(state.revision()) } else { Err(Error::AuthFailed.into()) }
    }

    async fn token(&self, name: &str, auth_revision: u64) -> Result<AuthChanged, Status> {
        match &self.gate.tokens {
            Tokens::Jwt(tokens) => {
                let token =
                    tokens.sign(name, auth_revision).map_err(|error| Status::unknown(error.to_string()))?;
                Ok(AuthChanged { revision: self.identity.mvcc.revision(), token })
            }
            Tokens::Simple(_) => {
                let issue = IssueToken { user: name.to_owned(), prefix: simple_token::random_prefix() };
                let issue = self.identity.consensus.propose(Caller::Server, Op::IssueToken(issue));
                Ok(auth_changed(issue.await?))
            }
        }
    }

    async fn hash(&self, password: String) -> Result<String, Status> {
        let cost = self.bcrypt_cost;
        let hashed = blocking(move || password::hash(&password, cost)).await?;
        hashed.map_err(|error| Status::unknown(error.to_string()))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    host::spawn_blocking(work).await.map_err(|_| Error::Stopped.into())
}

fn auth_changed(reply: Reply) -> AuthChanged {
    match reply {
        Reply::Auth(changed) => changed,
        other => panic!("apply answered a change of users and roles with {other:?}"),
    }
}

/// The role `root` shows what it means and not what was granted to it.
fn permissions_of(state: &AuthState, name: &str) -> Option<Vec<Permission>> {
    let role = state.role(name)?;
    if name != ROOT {
        return Some(role.permissions.clone());
    }
    let everything = Permission {
        perm_type: Type::Readwrite as i32,
        key: Bytes::new(),
        range_end: Bytes::from_static(b"\0"),
    };
    Some(vec![everything])
}

/// Root, or else whoever `may`.
fn root_or(permit: Permit<'_>, may: impl FnOnce(&str) -> bool) -> Result<(), Error> {
    let refused = match permit.root() {
        Ok(()) => return Ok(()),
        Err(refused) => refused,
    };
    match permit.caller {
        Caller::User { name, .. } if may(name) => Ok(()),
        Caller::User { .. } | Caller::Nobody | Caller::Server => Err(refused),
    }
}

#[tonic::async_trait]
impl Auth for AuthService {
    async fn auth_status(
        &self,
        request: Request<AuthStatusRequest>,
    ) -> Result<Response<AuthStatusResponse>, Status> {
        let (header, state) = self.look(&request, |permit| permit.root()).await?;
        let (enabled, auth_revision) = (state.is_enabled(), state.revision());
        Ok(Response::new(AuthStatusResponse { header, enabled, auth_revision }))
    }

    async fn auth_enable(
        &self,
        request: Request<AuthEnableRequest>,
    ) -> Result<Response<AuthEnableResponse>, Status> {
        let header = self.change(request, Op::AuthEnable).await?;
        Ok(Response::new(AuthEnableResponse { header }))
    }

    async fn auth_disable(
        &self,
        request: Request<AuthDisableRequest>,
    ) -> Result<Response<AuthDisableResponse>, Status> {
        let header = self.change(request, Op::AuthDisable).await?;
        Ok(Response::new(AuthDisableResponse { header }))
    }

    /// A token is only worth something if the password still stood when it was given out.
    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let AuthenticateRequest { name, password } = request.into_inner();
        self.identity.consensus.read_barrier().await?;
        loop {
            let checked_at = self.check_password(&name, &password).await?;
            let AuthChanged { revision, token } = self.token(&name, checked_at).await?;
            self.identity.consensus.read_barrier().await?;
            if self.identity.mvcc.auth().revision() == checked_at {
                let header = self.header(revision);
                return Ok(Response::new(AuthenticateResponse { header, token }));
            }
        }
    }

    async fn user_add(
        &self,
        request: Request<AuthUserAddRequest>,
    ) -> Result<Response<AuthUserAddResponse>, Status> {
        let credentials = Credentials::of(&request);
        let mut request = request.into_inner();
        request.hashed_password = String::new();
        let password = std::mem::take(&mut request.password);
        if !request.options.as_ref().is_some_and(|options| options.no_password) {
            request.hashed_password = self.hash(password).await?;
        }
        let header = self.changed(&credentials, Op::UserAdd(request)).await?;
        Ok(Response::new(AuthUserAddResponse { header }))
    }

    async fn user_get(
        &self,
        request: Request<AuthUserGetRequest>,
    ) -> Result<Response<AuthUserGetResponse>, Status> {
        let wanted = request.get_ref().name.clone();
        let myself = |permit: Permit<'_>| root_or(permit, |caller| caller == wanted);
        let (header, state) = self.look(&request, myself).await?;
        let roles = state.user(&wanted).ok_or(Error::UserNotFound)?.roles.clone();
        Ok(Response::new(AuthUserGetResponse { header, roles }))
    }

    async fn user_list(
        &self,
        request: Request<AuthUserListRequest>,
    ) -> Result<Response<AuthUserListResponse>, Status> {
        let (header, state) = self.look(&request, |permit| permit.root()).await?;
        Ok(Response::new(AuthUserListResponse { header, users: state.user_names() }))
    }

    async fn user_delete(
        &self,
        request: Request<AuthUserDeleteRequest>,
    ) -> Result<Response<AuthUserDeleteResponse>, Status> {
        let header = self.change(request, Op::UserDelete).await?;
        Ok(Response::new(AuthUserDeleteResponse { header }))
    }

    /// An empty password shuts the user out: no password fits any more.
    async fn user_change_password(
        &self,
        request: Request<AuthUserChangePasswordRequest>,
    ) -> Result<Response<AuthUserChangePasswordResponse>, Status> {
        let credentials = Credentials::of(&request);
        let mut request = request.into_inner();
        request.hashed_password = String::new();
        let password = std::mem::take(&mut request.password);
        if !password.is_empty() {
            request.hashed_password = self.hash(password).await?;
        }
        let header = self.changed(&credentials, Op::UserChangePassword(request)).await?;
        Ok(Response::new(AuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        &self,
        request: Request<AuthUserGrantRoleRequest>,
    ) -> Result<Response<AuthUserGrantRoleResponse>, Status> {
        let header = self.change(request, Op::UserGrantRole).await?;
        Ok(Response::new(AuthUserGrantRoleResponse { header }))
    }

    async fn user_revoke_role(
        &self,
        request: Request<AuthUserRevokeRoleRequest>,
    ) -> Result<Response<AuthUserRevokeRoleResponse>, Status> {
        let header = self.change(request, Op::UserRevokeRole).await?;
        Ok(Response::new(AuthUserRevokeRoleResponse { header }))
    }

    async fn role_add(
        &self,
        request: Request<AuthRoleAddRequest>,
    ) -> Result<Response<AuthRoleAddResponse>, Status> {
        let header = self.change(request, Op::RoleAdd).await?;
        Ok(Response::new(AuthRoleAddResponse { header }))
    }

    async fn role_get(
        &self,
        request: Request<AuthRoleGetRequest>,
    ) -> Result<Response<AuthRoleGetResponse>, Status> {
        let wanted = request.get_ref().role.clone();
        let mine = |permit: Permit<'_>| {
            let has = |caller: &str| permit.state.user(caller).is_some_and(|user| user.has_role(&wanted));
            root_or(permit, has)
        };
        let (header, state) = self.look(&request, mine).await?;
        let perm = permissions_of(&state, &wanted).ok_or(Error::RoleNotFound)?;
        Ok(Response::new(AuthRoleGetResponse { header, perm }))
    }

    async fn role_list(
        &self,
        request: Request<AuthRoleListRequest>,
    ) -> Result<Response<AuthRoleListResponse>, Status> {
        let (header, state) = self.look(&request, |permit| permit.root()).await?;
        Ok(Response::new(AuthRoleListResponse { header, roles: state.role_names() }))
    }

    async fn role_delete(
        &self,
        request: Request<AuthRoleDeleteRequest>,
    ) -> Result<Response<AuthRoleDeleteResponse>, Status> {
        let header = self.change(request, Op::RoleDelete).await?;
        Ok(Response::new(AuthRoleDeleteResponse { header }))
    }

    async fn role_grant_permission(
        &self,
        request: Request<AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<AuthRoleGrantPermissionResponse>, Status> {
        let header = self.change(request, Op::RoleGrantPermission).await?;
        Ok(Response::new(AuthRoleGrantPermissionResponse { header }))
    }

    async fn role_revoke_permission(
        &self,
        request: Request<AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<AuthRoleRevokePermissionResponse>, Status> {
        let header = self.change(request, Op::RoleRevokePermission).await?;
        Ok(Response::new(AuthRoleRevokePermissionResponse { header }))
    }
}
