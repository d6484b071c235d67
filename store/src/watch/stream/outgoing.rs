//! From what the hub put into the inbox to responses: what belongs together is gathered, and becomes a response only when it
//! is its turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use balsa_proto::etcd::etcdserverpb::WatchResponse;

use super::{NO_WATCH_ID, WatchStream, response};
use crate::mvcc::limits::WATCH_RESPONSE_BYTES;
use crate::watch::event::Event;
use crate::watch::fragment;
use crate::watch::inbox::Item;
use crate::watch::watcher::Token;

/// What is to be said, before it becomes bytes.
#[derive(Debug)]
pub(super) enum Ready {
    Response(WatchResponse),
    Events { token: Token, revision: i64, events: Vec<Arc<Event>>, bytes: usize },
}

impl WatchStream {
    /// A response that needs no waiting; `None` if there is none.
    pub fn ready(&mut self) -> Option<WatchResponse> {
        loop {
            if let Some(response) = self.outbox.pop_front() {
                return Some(response);
            }
            if self.ready.is_empty() {
                self.drain_inbox();
            }
            match self.ready.pop_front()? {
                Ready::Response(response) => self.outbox.push_back(response),
                Ready::Events { token, revision, events, .. } => self.render(token, revision, &events),
            }
        }
    }

    /// Consecutive revisions of one watcher share a response while it is small.
    fn drain_inbox(&mut self) {
        let mut open: BTreeMap<Token, usize> = BTreeMap::new();
        for item in self.inbox.drain() {
            match item {
                Item::Events { token, revision, events } => self.gather(&mut open, token, revision, events),
                Item::Behind { token, next_revision } => {
                    open.remove(&token);
                    self.stands(token, Some(next_revision));
                }
                Item::Progress { token, revision } => {
                    open.clear();
                    self.progress(token, revision);
                }
            }
        }
    }

    fn gather(
        &mut self,
        open: &mut BTreeMap<Token, usize>,
        token: Token,
        revision: i64,
        mut events: Vec<Arc<Event>>,
    ) {
        let bytes: usize = events.iter().map(|event| event.size_bytes()).sum();
        if let Some(Ready::Events { revision: last, events: gathered, bytes: sum, .. }) =
            open.get(&token).and_then(|at| self.ready.get_mut(*at))
            && *sum + bytes <= WATCH_RESPONSE_BYTES
        {
            gathered.append(&mut events);
            (*last, *sum) = (revision, *sum + bytes);
            return;
        }
        open.insert(token, self.ready.len());
        self.ready.push_back(Ready::Events { token, revision, events, bytes });
    }

    fn progress(&mut self, token: Option<Token>, revision: i64) {
        let id = match token {
            None => NO_WATCH_ID,
            Some(token) => match self.watchers.get(&token) {
                Some(entry) => entry.id,
                None => return,
            },
        };
        self.ready.push_back(Ready::Response(response(revision, id)));
    }

    /// Events of a watcher that was cancelled meanwhile are dropped.
    fn render(&mut self, token: Token, revision: i64, events: &[Arc<Event>]) {
        let Some(entry) = self.watchers.get_mut(&token) else { return };
        entry.quiet = false;
        self.counts.sent_events.fetch_add(events.len() as u64, Ordering::Relaxed);
        let mvcc = self.hub.mvcc();
        let events = events.iter().map(|event| event.wire(mvcc, entry.prev_kv)).collect();
        let whole = WatchResponse { events, ..response(revision, entry.id) };
        if entry.fragment {
            self.outbox.extend(fragment::split(whole, self.options.fragment_bytes));
        } else {
            self.outbox.push_back(whole);
        }
    }
}
