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
    pub text: String,
}

impl Failure {
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub fn bad_args(text: impl Into<String>) -> Self {
        Self::new(BAD_ARGS, text)
    }

    pub fn deadline() -> Self {
        Self::new(ERROR, "context deadline exceeded")
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::DeadlineExceeded => Self::deadline(),
            _ => Self::new(ERROR, status.message()),
        }
    }
}
