//! The recent events of one resource, in order: what watchers read, both to catch up and to follow.
//!
//! There is no queue per watcher: each holds a [`Position`] and reads on from there when told of news. A watcher
//! that falls out of the window has lost history and is ended (DESIGN §4: never a gap, never waited for).

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};

use super::object::CachedObject;
use crate::limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
}

impl EventKind {
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted => "DELETED",
        }
    }
}

/// One change, shared by all watchers.
#[derive(Debug)]
pub struct Event {
    pub kind: EventKind,
    /// For `Deleted`: the last state, at the revision of the deletion.
    pub object: Arc<CachedObject>,
    /// State before; None for `Added`.
    pub previous: Option<Arc<CachedObject>>,
    /// The line of a JSON watch, made by the first watcher that needs it.
    line: OnceLock<Bytes>,
}

impl Event {
    pub fn new(kind: EventKind, object: Arc<CachedObject>, previous: Option<Arc<CachedObject>>) -> Event {
        Event { kind, object, previous, line: OnceLock::new() }
    }

    pub fn revision(&self) -> u64 {
        self.object.revision
    }

    /// `{"type":…,"object":…}` and a line feed, as seen by a watcher for whom the event is `kind`.
    pub fn json_line(&self, kind: EventKind) -> Bytes {
        if kind != self.kind {
            return watch_line(kind.word(), &self.object);
        }
        self.line.get_or_init(|| watch_line(kind.word(), &self.object)).clone()
    }

    /// The object of the line: the same bytes, shared.
    pub fn json_object(&self) -> Bytes {
        let line = self.json_line(self.kind);
        // `{"type":"` WORD `","object":` … `}\n`
        let head = LINE_START.len() + self.kind.word().len() + LINE_OBJECT.len();
        line.slice(head..line.len() - LINE_END.len())
    }

    fn weight(&self) -> usize {
        self.object.bytes.len()
    }
}

const LINE_START: &[u8] = b"{\"type\":\"";
const LINE_OBJECT: &[u8] = b"\",\"object\":";
const LINE_END: &[u8] = b"}\n";

/// One line of a JSON watch.
pub fn watch_line(word: &str, object: &CachedObject) -> Bytes {
    let mut out = BytesMut::with_capacity(object.json_len() + 40);
    out.put_slice(LINE_START);
    out.put_slice(word.as_bytes());
    out.put_slice(LINE_OBJECT);
    object.write_json(&mut out);
    out.put_slice(LINE_END);
    out.freeze()
}

/// Index of the next event to read; counts all events since the cache was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(u64);

#[derive(Debug)]
pub struct Window {
    events: VecDeque<Arc<Event>>,
    /// Position of `events[0]`.
    first: u64,
    weight_bytes: usize,
    /// History after this revision is complete.
    complete_after: u64,
}

/// The position is no longer in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

impl Window {
    pub fn new(complete_after: u64) -> Window {
        Window { events: VecDeque::new(), first: 0, weight_bytes: 0, complete_after }
    }

    pub fn push(&mut self, event: Arc<Event>) {
        self.weight_bytes += event.weight();
        self.events.push_back(event);
        while self.is_over_limit() {
            let Some(oldest) = self.events.pop_front() else { return };
            self.weight_bytes -= oldest.weight();
            self.complete_after = oldest.revision();
            self.first += 1;
        }
    }

    fn is_over_limit(&self) -> bool {
        self.events.len() > limits::WINDOW_EVENTS
            || (self.weight_bytes > limits::WINDOW_BYTES && self.events.len() > limits::WINDOW_MIN_EVENTS)
    }

    /// Forgets everything, and makes every position lost.
    pub fn reset(&mut self, complete_after: u64) {
        self.first += self.events.len() as u64 + 1;
        self.events.clear();
        self.weight_bytes = 0;
        self.complete_after = complete_after;
    }

    /// Where a watcher starts that has seen everything up to `revision`; Err holds the oldest possible one.
    pub fn position_after(&self, revision: u64) -> Result<Position, u64> {
        if revision < self.complete_after {
            return Err(self.complete_after);
        }
        let seen = self.events.partition_point(|event| event.revision() <= revision);
        Ok(Position(self.first + seen as u64))
    }

    /// Appends up to a batch of events from `position` on to `out`, and moves it.
    pub fn read(&self, position: &mut Position, out: &mut Vec<Arc<Event>>) -> Result<(), Lost> {
        let start = position.0.checked_sub(self.first).ok_or(Lost)? as usize;
        let end = (start + limits::WINDOW_BATCH).min(self.events.len());
        if start > end {
            return Err(Lost);
        }
        out.extend(self.events.range(start..end).cloned());
        position.0 = self.first + end as u64;
        Ok(())
    }
}
