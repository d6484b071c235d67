//! `user add | delete | get | list | passwd | grant-role | revoke-role`. Passwords are asked for, not shown, and never printed.

use balsa_proto::etcd::authpb::UserAddOptions;
use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use clap::Subcommand;

use super::failure::Failure;
use super::flags::Flags;
use super::{Answer, connect, print, role, say, terminal};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Adds a new user
    Add(Add),
    /// Deletes a user
    Delete {
        #[arg(value_name = "USER")]
        words: Vec<String>,
    },
    /// Gets detailed information of a user
    Get {
        #[arg(value_name = "USER")]
        words: Vec<String>,
        /// Show permissions of roles granted to the user
        #[arg(long)]
        detail: bool,
    },
    /// Lists all users
    List {
        #[arg(hide = true)]
        words: Vec<String>,
    },
    /// Changes password of user
    Passwd {
        #[arg(value_name = "USER")]
        words: Vec<String>,
        #[command(flatten)]
        interactive: Interactive,
    },
    /// Grants a role to a user
    GrantRole {
        #[arg(value_name = "USER ROLE")]
        words: Vec<String>,
    },
    /// Revokes a role from a user
    RevokeRole {
        #[arg(value_name = "USER ROLE")]
        words: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
pub struct Add {
    /// The name, or the name and the password
    #[arg(value_name = "USER or USER:PASSWORD")]
    words: Vec<String>,
    /// Supply password from the command line flag
    #[arg(long, default_value = "", hide_default_value = true)]
    new_user_password: String,
    /// Create a user without password (CN based auth only)
    #[arg(long)]
    no_password: bool,
    #[command(flatten)]
    interactive: Interactive,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Interactive {
    /// Ask for the password twice; if false, one line of stdin is the password
    #[arg(
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true"
    )]
    interactive: bool,
}

impl Interactive {
    fn password(self, user: &str) -> Result<String, Failure> {
        if self.interactive { terminal::ask_new_secret(user) } else { terminal::read_line() }
    }
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add(args) => add(flags, args).await,
        Verb::Delete { words } => {
            let name = one(&words, "delete")?;
            let request = pb::AuthUserDeleteRequest { name: name.clone() };
            let header = connect::ask(flags, client(flags).await?.user_delete(request)).await?.header;
            print(flags, &Answer::Done { text: format!("User {name} deleted"), header })
        }
        Verb::Get { words, detail } => get(flags, &one(&words, "get")?, detail).await,
        Verb::List { words } if !words.is_empty() => {
            Err(Failure::bad_args("user list command requires no arguments"))
        }
        Verb::List { .. } => {
            let request = pb::AuthUserListRequest {};
            let response = connect::ask(flags, client(flags).await?.user_list(request)).await?;
            print(flags, &Answer::UserList(response))
        }
        Verb::Passwd { words, interactive } => {
            change_password(flags, &one(&words, "passwd")?, interactive).await
        }
        Verb::GrantRole { words } => grant(flags, &words).await,
        Verb::RevokeRole { words } => revoke(flags, &words).await,
    }
}

async fn client(flags: &Flags) -> Result<AuthClient<connect::Connection>, Failure> {
    Ok(AuthClient::new(connect::any(flags).await?))
}

fn one(words: &[String], verb: &str) -> Result<String, Failure> {
    match words {
        [user] => Ok(user.clone()),
        _ => Err(Failure::bad_args(format!("user {verb} command requires user name as its argument"))),
    }
}

async fn add(flags: &Flags, args: Add) -> Result<(), Failure> {
    let word = one(&args.words, "add")?;
    let (name, password) = if args.no_password {
        (word, String::new())
    } else if !args.new_user_password.is_empty() {
        (word, args.new_user_password)
    } else {
        match word.split_once(':') {
            Some(("", _)) => return Err(Failure::bad_args("empty user name is not allowed")),
            Some((name, password)) => (name.to_owned(), password.to_owned()),
            None => {
                let password = args.interactive.password(&word)?;
                (word, password)
            }
        }
    };
    let options = Some(UserAddOptions { no_password: args.no_password });
    let request =
        pb::AuthUserAddRequest { name: name.clone(), password, options, ..pb::AuthUserAddRequest::default() };
    let header = connect::ask(flags, client(flags).await?.user_add(request)).await?.header;
    print(flags, &Answer::Done { text: format!("User {name} created"), header })
}

async fn get(flags: &Flags, user: &str, detail: bool) -> Result<(), Failure> {
    let request = pb::AuthUserGetRequest { name: user.to_owned() };
    let response = connect::ask(flags, client(flags).await?.user_get(request)).await?;
    if !detail {
        return print(flags, &Answer::UserGet { user: user.to_owned(), response });
    }
    say(format!("User: {user}\n"))?;
    for role in &response.roles {
        say("\n")?;
        let response = role::get(flags, role).await?;
        print(flags, &Answer::RoleGet { role: role.clone(), response })?;
    }
    Ok(())
}

async fn change_password(flags: &Flags, user: &str, interactive: Interactive) -> Result<(), Failure> {
    let password = interactive.password(user)?;
    let request = pb::AuthUserChangePasswordRequest {
        name: user.to_owned(),
        password,
        ..pb::AuthUserChangePasswordRequest::default()
    };
    let header = connect::ask(flags, client(flags).await?.user_change_password(request)).await?.header;
    print(flags, &Answer::Done { text: "Password updated".into(), header })
}

async fn grant(flags: &Flags, words: &[String]) -> Result<(), Failure> {
    let [user, role] = words else {
        return Err(Failure::bad_args("user grant command requires user name and role name as its argument"));
    };
    let request = pb::AuthUserGrantRoleRequest { user: user.clone(), role: role.clone() };
    let header = connect::ask(flags, client(flags).await?.user_grant_role(request)).await?.header;
    print(flags, &Answer::Done { text: format!("Role {role} is granted to user {user}"), header })
}

async fn revoke(flags: &Flags, words: &[String]) -> Result<(), Failure> {
    let [user, role] = words else {
        return Err(Failure::bad_args("user revoke-role requires user name and role name as its argument"));
    };
    let request = pb::AuthUserRevokeRoleRequest { name: user.clone(), role: role.clone() };
    let header = connect::ask(flags, client(flags).await?.user_revoke_role(request)).await?.header;
    print(flags, &Answer::Done { text: format!("Role {role} is revoked from user {user}"), header })
}
