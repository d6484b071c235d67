//! What went wrong, with etcdctl's exit code.

use tonic::{Code, Status};

pub const ERROR: u8 = 1;
pub const BAD_CONNECTION: u8 = 2;
pub const INVALID_INPUT: u8 = 3;
pub const BAD_FEATURE: u8 = 4;
pub const INTERRUPTED: u8 = 5;
pub const IO: u8 = 6;
pub const BAD_ARGS: u8 = 128;

#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: u8,
    /// Empty if everything has been said already.
    pub text: String,
}

impl Failure {
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub fn error(text: impl Into<String>) -> Self {
        Self::new(ERROR, text)
    }

    pub fn bad_args(text: impl Into<String>) -> Self {
        Self::new(BAD_ARGS, text)
    }

    pub fn deadline() -> Self {
        Self::new(ERROR, "context deadline exceeded")
    }

    /// The command failed, and what it printed says how.
    pub fn said() -> Self {
        Self::new(ERROR, "")
    }

    /// The same exit code, and the text inside a sentence of the verb.
    pub fn within(self, sentence: impl FnOnce(&str) -> String) -> Self {
        Self { text: sentence(&self.text), ..self }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::DeadlineExceeded => Self::deadline(),
            // An error that etcd's clients know by its text.
            _ if status.message().starts_with("etcdserver: ") => Self::new(ERROR, status.message()),
            code => {
                Self::new(ERROR, format!("rpc error: code = {} desc = {}", go_name(code), status.message()))
            }
        }
    }
}

/// Go spells one of them with one L.
fn go_name(code: Code) -> String {
    match code {
        Code::Cancelled => "Canceled".into(),
        code => format!("{code:?}"),
    }
}
