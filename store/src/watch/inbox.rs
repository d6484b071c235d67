//! What the hub has for one stream: bounded, filled by the hub, emptied by the stream.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::event::Event;
use super::watcher::Token;
use crate::mvcc::limits::{STREAM_INBOX_BYTES, STREAM_INBOX_EVENTS};

#[derive(Debug)]
pub enum Item {
    /// All that one revision has for one watcher; `revision` is how far the store was when it was put here.
    Events { token: Token, revision: i64, events: Vec<Arc<Event>> },
    /// The watcher lost its place in the hub and must catch up from here.
    Behind { token: Token, next_revision: i64 },
    /// Everything up to the revision has gone into the inbox before. Without a token: for the whole stream.
    Progress { token: Option<Token>, revision: i64 },
}

/// What became of events that were offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// Not taken. An empty inbox takes a revision of any size: it cannot be split.
    Full,
    /// Taken, and the stream must be woken: it was done with all it had.
    First,
    /// Taken, behind others that the stream is or will be woken for.
    Behind,
}

#[derive(Debug, Default)]
pub struct Inbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    events: usize,
    bytes: usize,
    /// `Behind` items that the stream has not seen yet.
    behind: usize,
}

impl Inbox {
    /// Nobody is woken: that is [`Inbox::wake`], once for all that is offered together.
    pub fn offer(&self, token: Token, revision: i64, events: Vec<Arc<Event>>) -> Offered {
        let bytes: usize = events.iter().map(|event| event.size_bytes()).sum();
        let mut state = self.state.lock();
        let over =
            state.events + events.len() > STREAM_INBOX_EVENTS || state.bytes + bytes > STREAM_INBOX_BYTES;
        if over && state.events > 0 {
            return Offered::Full;
        }
        let first = state.items.is_empty();
        state.events += events.len();
        state.bytes += bytes;
        state.items.push_back(Item::Events { token, revision, events });
        if first { Offered::First } else { Offered::Behind }
    }

    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// Always taken: there is at most one per watcher.
    pub fn fell_behind(&self, token: Token, next_revision: i64) {
        let mut state = self.state.lock();
        state.behind += 1;
        state.items.push_back(Item::Behind { token, next_revision });
        drop(state);
        self.filled.notify_one();
    }

    /// Always taken: the stream asks for it itself. False, and nothing taken, if a watcher of the stream has fallen behind
    /// without the stream knowing.
    pub fn progress(&self, token: Option<Token>, revision: i64) -> bool {
        let mut state = self.state.lock();
        if state.behind > 0 {
            return false;
        }
        state.items.push_back(Item::Progress { token, revision });
        drop(state);
        self.filled.notify_one();
        true
    }

    /// Of all items that wait.
    pub fn event_count(&self) -> usize {
        self.state.lock().events
    }

    pub fn drain(&self) -> VecDeque<Item> {
        std::mem::take(&mut *self.state.lock()).items
    }

    /// Returns when there may be something to drain.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }
}
