//! What happened, in order: one line an event. The same seed gives the same lines, byte for byte.
//!
//! Few runs are asked for their trace, and words take longer than what they tell of: without being asked for it keeps
//! nothing and makes no words. Whoever wants to know how a run came to its end plays it once more.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

/// Who an event happened to: a member by its number, or one of these.
pub type Place = usize;
/// The machine of all clients.
pub const CLIENTS: Place = 90;
/// The world around the machines.
pub const WORLD: Place = 91;

/// Events that a report shows.
const LAST_EVENTS: usize = 60;

/// Cheap to clone.
#[derive(Clone)]
pub struct Trace(Option<Arc<Mutex<Inner>>>);

#[derive(Default)]
struct Inner {
    now_ms: u64,
    last: VecDeque<Event>,
    /// Every line.
    whole: String,
}

#[derive(Clone)]
pub struct Event {
    pub at_ms: u64,
    pub place: Place,
    pub text: String,
}

impl Trace {
    pub fn new(is_kept: bool) -> Trace {
        Trace(is_kept.then(Arc::default))
    }

    pub fn set_now(&self, now_ms: u64) {
        if let Some(inner) = &self.0 {
            inner.lock().now_ms = now_ms;
        }
    }

    pub fn event(&self, place: Place, text: impl FnOnce() -> String) {
        let Some(inner) = &self.0 else { return };
        let text = text();
        let mut inner = inner.lock();
        let at_ms = inner.now_ms;
        // A string takes everything.
        let _ = writeln!(inner.whole, "{:>7}.{:03} {:<7} {text}", at_ms / 1000, at_ms % 1000, name(place));
        if inner.last.len() == LAST_EVENTS {
            inner.last.pop_front();
        }
        inner.last.push_back(Event { at_ms, place, text });
    }

    /// Empty unless it was kept, as is [`Trace::last`].
    pub fn whole(&self) -> String {
        self.0.as_ref().map(|inner| inner.lock().whole.clone()).unwrap_or_default()
    }

    pub fn last(&self) -> Vec<Event> {
        self.0.as_ref().map(|inner| inner.lock().last.iter().cloned().collect()).unwrap_or_default()
    }
}

pub fn name(place: Place) -> String {
    match place {
        CLIENTS => "clients".to_owned(),
        WORLD => "world".to_owned(),
        member => format!("m{}", member + 1),
    }
}
