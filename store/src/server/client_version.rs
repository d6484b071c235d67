//! The request metadata `client-api-version`, in which etcd's client says what it is written for. Any text will do.

use http::HeaderMap;

use super::guard::Guard;
use crate::error::Error;

pub const KEY: &str = "client-api-version";

/// `None` if the client names none, or none that can be read.
pub fn of(metadata: &HeaderMap) -> Option<&str> {
    metadata.get(KEY)?.to_str().ok()
}

/// Refuses what is no text.
#[derive(Clone)]
pub struct ClientVersion;

impl Guard for ClientVersion {
    fn refusal(&self, _: &str, metadata: &HeaderMap) -> Option<Error> {
        let is_text = |value: &http::HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok();
        (!metadata.get(KEY).is_none_or(is_text)).then_some(Error::InvalidClientApiVersion)
    }
}
