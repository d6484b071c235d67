//! One change of one key, made once and shared by everyone who watches it.

use std::sync::OnceLock;

use balsa_proto::etcd::mvccpb::{self, KeyValue, event::EventType};

use crate::mvcc::Mvcc;
use crate::mvcc::codec::Kind;
use crate::mvcc::write::Changed;

/// Key and value are shared bytes. The previous version is looked up when the first watcher asks for it.
#[derive(Debug)]
pub struct Event {
    kind: Kind,
    kv: KeyValue,
    /// There was a live version before; a create has none to look up.
    replaces: bool,
    previous: OnceLock<Option<KeyValue>>,
}

impl From<Changed> for Event {
    fn from(change: Changed) -> Self {
        Self {
            kind: change.kind,
            kv: change.kv,
            replaces: change.previous.is_some(),
            previous: OnceLock::new(),
        }
    }
}

impl Event {
    pub fn from_history(kind: Kind, kv: KeyValue) -> Self {
        let replaces = kind == Kind::Delete || kv.version > 1;
        Self { kind, kv, replaces, previous: OnceLock::new() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn key(&self) -> &[u8] {
        &self.kv.key
    }

    pub fn revision(&self) -> i64 {
        self.kv.mod_revision
    }

    /// About what it takes on the wire, without the previous version.
    pub fn size_bytes(&self) -> usize {
        self.kv.key.len() + self.kv.value.len() + 64
    }

    pub fn wire(&self, mvcc: &Mvcc, want_previous: bool) -> mvccpb::Event {
        let kind = match self.kind {
            Kind::Put => EventType::Put,
            Kind::Delete => EventType::Delete,
        };
        let prev_kv = if want_previous && self.replaces { self.previous(mvcc) } else { None };
        mvccpb::Event { r#type: kind as i32, kv: Some(self.kv.clone()), prev_kv }
    }

    /// The version one revision earlier; none if that is compacted. A disk that cannot be read counts as compacted: the
    /// reader has logged it, and clients treat a missing previous version as a reason to start over.
    fn previous(&self, mvcc: &Mvcc) -> Option<KeyValue> {
        self.previous
            .get_or_init(|| mvcc.value_at(&self.kv.key, self.kv.mod_revision - 1).ok().flatten())
            .clone()
    }
}
