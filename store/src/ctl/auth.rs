//! `auth enable | disable | status`.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use clap::Subcommand;

use super::failure::Failure;
use super::flags::Flags;
use super::{Answer, connect, print, say};
use crate::error::Error;

/// The role that may do everything, and the user that must have it before access is controlled.
const ROOT: &str = "root";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Enables authentication
    Enable {
        #[arg(hide = true)]
        words: Vec<String>,
    },
    /// Disables authentication
    Disable {
        #[arg(hide = true)]
        words: Vec<String>,
    },
    /// Returns authentication status
    Status {
        #[arg(hide = true)]
        words: Vec<String>,
    },
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    let (word, words) = match &verb {
        Verb::Enable { words } => ("enable", words),
        Verb::Disable { words } => ("disable", words),
        Verb::Status { words } => ("status", words),
    };
    if !words.is_empty() {
        return Err(Failure::bad_args(format!("auth {word} command does not accept any arguments")));
    }
    let mut client = AuthClient::new(connect::any(flags).await?);
    match verb {
        Verb::Enable { .. } => enable(flags, client).await,
        Verb::Disable { .. } => {
            connect::ask(flags, client.auth_disable(pb::AuthDisableRequest {})).await?;
            say("Authentication Disabled\n")
        }
        Verb::Status { .. } => {
            let response = connect::ask(flags, client.auth_status(pb::AuthStatusRequest {})).await?;
            print(flags, &Answer::AuthStatus(response))
        }
    }
}

/// As stock: the role root is made and granted if that is all that is missing.
async fn enable(flags: &Flags, mut client: AuthClient<connect::Connection>) -> Result<(), Failure> {
    let mut enabled = connect::ask(flags, client.auth_enable(pb::AuthEnableRequest {})).await;
    if matches!(&enabled, Err(failure) if failure.text == Error::RootRoleNotExist.text()) {
        let role = pb::AuthRoleAddRequest { name: ROOT.into() };
        match connect::ask(flags, client.role_add(role)).await {
            Err(failure) if failure.text != Error::RoleAlreadyExist.text() => return Err(failure),
            _ => {}
        }
        let grant = pb::AuthUserGrantRoleRequest { user: ROOT.into(), role: ROOT.into() };
        connect::ask(flags, client.user_grant_role(grant)).await?;
        enabled = connect::ask(flags, client.auth_enable(pb::AuthEnableRequest {})).await;
    }
    enabled?;
    say("Authentication Enabled\n")
}
