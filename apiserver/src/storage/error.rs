//! What can go wrong between us and etcd, and what the API's client is told.

use crate::error::{ApiError, GroupResource};

use super::Stored;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("key exists")]
    Exists,
    /// The guard did not hold; the state that etcd has instead, None if the key is gone.
    #[error("key has changed")]
    Conflict { current: Option<Stored> },
    /// Another object holds the address or port.
    #[error("{key} is taken")]
    ClaimTaken { key: String },
    #[error("revision is compacted")]
    Compacted,
    #[error("revision is in the future")]
    FutureRevision,
    #[error("{}", unavailable(.0))]
    Unavailable(String),
    #[error("etcd did not answer in time")]
    Timeout,
    #[error("request is too large")]
    TooLarge,
    #[error("{0}")]
    Other(String),
}

impl From<tonic::Status> for StoreError {
    fn from(status: tonic::Status) -> StoreError {
        let message = status.message().to_owned();
        match status.code() {
            // etcd's clients match these by text; so must we.
            tonic::Code::OutOfRange if message.contains("compacted") => StoreError::Compacted,
            tonic::Code::OutOfRange if message.contains("future revision") => StoreError::FutureRevision,
            tonic::Code::InvalidArgument if message.contains("request is too large") => StoreError::TooLarge,
            tonic::Code::DeadlineExceeded => StoreError::Timeout,
            tonic::Code::Unavailable if message.contains("timed out") => StoreError::Timeout,
            tonic::Code::Unavailable => StoreError::Unavailable(message),
            _ => StoreError::Other(message),
        }
    }
}

/// A member that answers says itself why it cannot serve; nothing else has been reached.
fn unavailable(why: &str) -> String {
    if why.starts_with("etcdserver: ") { why.to_owned() } else { format!("etcd is not reachable: {why}") }
}

impl StoreError {
    pub fn into_api(self, resource: &GroupResource, name: &str) -> ApiError {
        match self {
            StoreError::Exists => ApiError::already_exists(resource, name),
            StoreError::Conflict { current: None } => ApiError::not_found(resource, name),
            StoreError::Conflict { current: Some(_) } => ApiError::modified(resource, name),
            StoreError::ClaimTaken { key } => {
                ApiError::internal(format!("{key} is allocated to another object"))
            }
            StoreError::Compacted => {
                ApiError::gone_expired("The resourceVersion for the provided list is too old.")
            }
            StoreError::FutureRevision => ApiError::timeout("Too large resource version"),
            StoreError::Unavailable(why) => ApiError::internal(unavailable(&why)),
            StoreError::Timeout => ApiError::internal("etcdserver: request timed out"),
            StoreError::TooLarge => ApiError::internal("etcdserver: request is too large"),
            StoreError::Other(why) => ApiError::internal(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_reachable() {
        let rows = [
            ("etcdserver: leader changed", "etcdserver: leader changed"),
            ("connection refused", "etcd is not reachable: connection refused"),
        ];
        for (said, text) in rows {
            assert_eq!(StoreError::from(tonic::Status::unavailable(said)).to_string(), text);
        }
    }
}
