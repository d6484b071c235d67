//! What happened, in order: one line an event. The same seed gives the same lines, byte for byte.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::Hasher;
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
pub struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    now_ms: u64,
    last: VecDeque<Event>,
    /// Every line, if it is asked for.
    whole: Option<String>,
    digest: std::hash::DefaultHasher,
    events: u64,
}

#[derive(Clone)]
pub struct Event {
    pub at_ms: u64,
    pub place: Place,
    pub text: String,
}

impl Trace {
    pub fn new(keep_whole: bool) -> Trace {
        Trace(Arc::new(Mutex::new(Inner {
            now_ms: 0,
            last: VecDeque::new(),
            whole: keep_whole.then(String::new),
            digest: std::hash::DefaultHasher::new(),
            events: 0,
        })))
    }

    pub fn set_now(&self, now_ms: u64) {
        self.0.lock().now_ms = now_ms;
    }

    pub fn event(&self, place: Place, text: String) {
        let mut inner = self.0.lock();
        let at_ms = inner.now_ms;
        inner.digest.write_u64(at_ms);
        inner.digest.write_usize(place);
        inner.digest.write(text.as_bytes());
        inner.events += 1;
        if let Some(whole) = &mut inner.whole {
            // A string takes everything.
            let _ = writeln!(whole, "{:>7}.{:03} {:<7} {text}", at_ms / 1000, at_ms % 1000, name(place));
        }
        if inner.last.len() == LAST_EVENTS {
            inner.last.pop_front();
        }
        inner.last.push_back(Event { at_ms, place, text });
    }

    /// Of all events so far.
    pub fn digest(&self) -> u64 {
        self.0.lock().digest.finish()
    }

    pub fn count(&self) -> u64 {
        self.0.lock().events
    }

    /// Empty unless the whole was asked for.
    pub fn whole(&self) -> String {
        self.0.lock().whole.clone().unwrap_or_default()
    }

    pub fn last(&self) -> Vec<Event> {
        self.0.lock().last.iter().cloned().collect()
    }
}

pub fn name(place: Place) -> String {
    match place {
        CLIENTS => "clients".to_owned(),
        WORLD => "world".to_owned(),
        member => format!("m{}", member + 1),
    }
}
