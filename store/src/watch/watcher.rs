//! What one watcher wants, as the hub and the catch-up need to know it.

use std::sync::Arc;

use super::event::Event;
use super::inbox::Inbox;
use crate::mvcc::KeyRange;
use crate::mvcc::codec::Kind;

/// Tells watchers apart for the life of the hub; the client's watch ids are unique per stream only, and are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

#[derive(Debug)]
pub struct Watcher {
    pub token: Token,
    pub range: KeyRange,
    pub no_put: bool,
    pub no_delete: bool,
    /// Where the events go.
    pub inbox: Arc<Inbox>,
}

impl Watcher {
    pub fn wants(&self, event: &Event) -> bool {
        self.wants_kind(event.kind()) && self.range.contains(event.key())
    }

    pub fn wants_kind(&self, kind: Kind) -> bool {
        match kind {
            Kind::Put => !self.no_put,
            Kind::Delete => !self.no_delete,
        }
    }
}
