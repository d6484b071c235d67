//! In whose name a command runs.

use balsa_proto::store::Command;
use balsa_proto::store::command::Op;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The cluster itself: it needs no permission.
    Server,
    /// A client that did not say who it is.
    Nobody,
    User {
        name: String,
        /// The auth revision at which the user was recognised.
        auth_revision: u64,
    },
}

impl Caller {
    /// A command in the caller's name.
    pub fn command(self, request_id: u64, op: Op) -> Command {
        let by_server = self == Caller::Server;
        let (user, auth_revision) = match self {
            Caller::User { name, auth_revision } => (name, auth_revision),
            Caller::Server | Caller::Nobody => (String::new(), 0),
        };
        Command { request_id, unix_ms: 0, user, auth_revision, by_server, op: Some(op) }
    }

    /// In whose name the command was proposed.
    pub fn of(command: &Command) -> Caller {
        if command.by_server {
            Caller::Server
        } else if command.user.is_empty() {
            Caller::Nobody
        } else {
            Caller::User { name: command.user.clone(), auth_revision: command.auth_revision }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_caller() {
        let user = Caller::User { name: "alice".into(), auth_revision: 7 };
        for caller in [Caller::Server, Caller::Nobody, user] {
            let command = caller.clone().command(1, Op::AuthEnable(Default::default()));
            assert_eq!(Caller::of(&command), caller);
        }
    }
}
