//! Who may do what: users, roles, and the permissions of roles on ranges of keys.
//!
//! Users and roles are state: they change through the log, live in the backend beside the keys and travel in
//! checkpoints. Every change raises the *auth revision*; a request carries the one at which its sender was recognised,
//! and apply refuses it when a change came in between, since the permission may be gone.
//!
//! Guaranteed: a permission is checked where the request arrives *and* where it is applied, on the state as it is there;
//! passwords are hashed before they enter the log, and neither they nor tokens are ever logged. *Not* promised: that a
//! simple token outlives a restart of its member; clients then ask for another. Source: etcd v3.6 `server/auth`.

pub mod caller;
pub mod jwt;
pub mod password;
pub mod permit;
pub mod ranges;
pub mod record;
pub mod role;
pub mod simple_token;
pub mod state;
pub mod token;
pub mod user;

pub use caller::Caller;
pub use permit::Permit;
pub use simple_token::SimpleTokens;
pub use state::AuthState;
pub use token::{TokenOptions, Tokens};

/// The user and the role that may do everything.
pub const ROOT: &str = "root";
