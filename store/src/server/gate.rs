//! Who sends a request, and whether he may: what every service asks before it does anything.
//!
//! A follower may lag behind a change of users and roles that its client already knows of. So a refusal counts only
//! after this member has caught up: it then looks a second time.

use crate::apply::Reply;
use crate::auth::simple_token::index_of;
use crate::auth::{Caller, Permit, Tokens};
use crate::error::Error;
use crate::lease::Lessor;
use crate::server::credentials::Credentials;
use crate::status::Identity;
use balsa_proto::store::command::Op;

/// Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    pub identity: Identity,
    pub lessor: Lessor,
    pub tokens: Tokens,
    /// The name in a client certificate is a user's.
    pub trust_certificates: bool,
}

impl Gate {
    pub fn is_open(&self) -> bool {
        !self.identity.mvcc.auth().is_enabled()
    }

    /// Asked anew for each request of a stream: tokens run out.
    pub async fn caller(&self, credentials: &Credentials) -> Result<Caller, Error> {
        if self.is_open() {
            return Ok(Caller::Nobody);
        }
        if let Some(token) = credentials.token.as_deref() {
            return self.bearer(token).await.ok_or(Error::InvalidAuthToken);
        }
        let name = credentials.common_name.as_ref().filter(|_| self.trust_certificates);
        Ok(name.map_or(Caller::Nobody, |name| self.recognised(name.0.to_string())))
    }

    async fn bearer(&self, token: &str) -> Option<Caller> {
        match &self.tokens {
            Tokens::Jwt(tokens) => tokens.verify(token),
            Tokens::Simple(tokens) => {
                // Another member may have given it out a moment ago.
                self.identity.consensus.wait_applied_entry(index_of(token)?).await.ok()?;
                tokens.user_of(token).map(|name| self.recognised(name))
            }
        }
    }

    fn recognised(&self, name: String) -> Caller {
        Caller::User { name, auth_revision: self.identity.mvcc.auth().revision() }
    }

    /// Asks on the state as it is on this member now.
    pub fn ask(
        &self,
        caller: &Caller,
        question: impl FnOnce(Permit<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let state = self.identity.mvcc.auth();
        question(Permit { state: &state, caller })
    }

    /// Identifies, asks, and asks again after catching up with the cluster if the answer was no.
    pub async fn admit(
        &self,
        credentials: &Credentials,
        question: impl Fn(Permit<'_>) -> Result<(), Error>,
    ) -> Result<Caller, Error> {
        let first = self.try_admit(credentials, &question).await;
        if !self.may_be_behind(credentials, &first) {
            return first;
        }
        self.identity.consensus.read_barrier().await?;
        self.try_admit(credentials, &question).await
    }

    async fn try_admit(
        &self,
        credentials: &Credentials,
        question: impl Fn(Permit<'_>) -> Result<(), Error>,
    ) -> Result<Caller, Error> {
        let caller = self.caller(credentials).await?;
        self.ask(&caller, question)?;
        Ok(caller)
    }

    /// Proposes in the sender's name, if he may.
    pub async fn propose(&self, credentials: &Credentials, op: Op) -> Result<Reply, Error> {
        if self.is_open() && credentials.is_empty() {
            return self.identity.consensus.propose(Caller::Nobody, op).await;
        }
        let first = self.try_propose(credentials, op.clone()).await;
        if !self.may_be_behind(credentials, &first) {
            return first;
        }
        self.identity.consensus.read_barrier().await?;
        self.try_propose(credentials, op).await
    }

    async fn try_propose(&self, credentials: &Credentials, op: Op) -> Result<Reply, Error> {
        let caller = self.caller(credentials).await?;
        self.ask(&caller, |permit| permit.command(&op, &self.lessor))?;
        self.identity.consensus.propose(caller, op).await
    }

    /// These mean that nothing was done, and could come of users and roles as they no longer are.
    fn may_be_behind<T>(&self, credentials: &Credentials, outcome: &Result<T, Error>) -> bool {
        let refused = matches!(
            outcome,
            Err(Error::UserEmpty | Error::UserNotFound | Error::PermissionDenied | Error::AuthOldRevision)
        );
        refused && !credentials.is_empty()
    }

    /// After a read: nobody's permission changed while it was under way.
    pub fn unchanged(&self, caller: &Caller) -> Result<(), Error> {
        match caller {
            Caller::User { auth_revision, .. } if *auth_revision != self.identity.mvcc.auth().revision() => {
                Err(Error::AuthOldRevision)
            }
            Caller::User { .. } | Caller::Nobody | Caller::Server => Ok(()),
        }
    }
}
