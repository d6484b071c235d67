//! What is asked and told on one watch stream, whoever carries it: clients of the lab and of the simulator.
//!
//! A watch remembers the first revision that it has not seen yet: after an event or a progress notification of revision
//! R, that is R + 1. From there it is asked for again when its stream broke.

use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use balsa_proto::etcd::mvccpb::{self, event::EventType};

use super::wire;
use crate::history::{Event, Kv, WatchSight};

/// Why a stream ended.
pub enum End {
    Done,
    Broken(String),
    Compacted,
}

/// What an answer says: what is to be recorded, and whether the stream is over.
pub struct Told {
    /// Of the answer's header.
    pub revision: i64,
    pub sight: Option<WatchSight>,
    pub end: Option<End>,
}

/// All keys below `prefix` (all keys of the store if it is empty), from `next_revision` on; 0: from now on.
pub fn create(prefix: &str, next_revision: i64, prev_kv: bool) -> WatchRequest {
    let (key, range_end) = if prefix.is_empty() {
        (vec![0], vec![0])
    } else {
        (prefix.as_bytes().to_vec(), wire::prefix_end(prefix))
    };
    let create = WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: next_revision,
        prev_kv,
        progress_notify: true,
        ..WatchCreateRequest::default()
    };
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

pub fn progress() -> WatchRequest {
    WatchRequest { request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})) }
}

/// Reads an answer and moves `next_revision` behind what it told.
pub fn read(answer: WatchResponse, next_revision: &mut i64) -> Told {
    let revision = answer.header.as_ref().map_or(0, |header| header.revision);
    if answer.compact_revision != 0 {
        let sight = WatchSight::Compacted { compact_revision: answer.compact_revision };
        return Told { revision, sight: Some(sight), end: Some(End::Compacted) };
    }
    if answer.canceled {
        let end = End::Broken(format!("cancelled: {}", answer.cancel_reason));
        return Told { revision, sight: None, end: Some(end) };
    }
    let sight = if answer.created {
        // From now on means: after the revision of the answer.
        if *next_revision == 0 {
            *next_revision = revision + 1;
        }
        WatchSight::Created
    } else if answer.events.is_empty() {
        *next_revision = (*next_revision).max(revision + 1);
        WatchSight::Progress
    } else {
        let events: Vec<Event> = answer.events.into_iter().map(event).collect();
        let last = events.iter().map(|event| event.kv.mod_revision).max().unwrap_or(0);
        *next_revision = (*next_revision).max(last + 1);
        WatchSight::Events(events)
    };
    Told { revision, sight: Some(sight), end: None }
}

pub fn event(event: mvccpb::Event) -> Event {
    let empty = Kv {
        key: String::new(),
        value: String::new(),
        create_revision: 0,
        mod_revision: 0,
        version: 0,
        lease: 0,
    };
    Event {
        deleted: event.r#type() == EventType::Delete,
        prev: event.prev_kv.map(wire::kv),
        kv: event.kv.map_or(empty, wire::kv),
    }
}
