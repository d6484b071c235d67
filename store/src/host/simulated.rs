//! A machine that is only played.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use rand::SeedableRng;
use rand::rngs::SmallRng;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Simulated>>> = const { RefCell::new(None) };
}

/// One machine of a simulated world. In force on a thread while a [`Playing`] lives there.
pub struct Simulated {
    pub(super) chance: RefCell<SmallRng>,
    unix_time: Cell<Duration>,
}

impl Simulated {
    pub fn new(seed: u64) -> Rc<Simulated> {
        Rc::new(Simulated {
            chance: RefCell::new(SmallRng::seed_from_u64(seed)),
            unix_time: Cell::new(Duration::ZERO),
        })
    }

    /// What the wall clock shows from now on, counted from 1970.
    pub fn set_wall_clock(&self, unix_time: Duration) {
        self.unix_time.set(unix_time);
    }

    /// Until the guard is dropped, what this thread does happens on this machine.
    pub fn play(self: &Rc<Self>) -> Playing {
        Playing { before: CURRENT.replace(Some(self.clone())) }
    }

    pub(super) fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.unix_time.get()
    }
}

/// Ends with its drop; what was in force before is in force again.
pub struct Playing {
    before: Option<Rc<Simulated>>,
}

impl Drop for Playing {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// Asks the machine that this thread plays, if it plays one.
pub(super) fn current<T>(ask: impl FnOnce(&Simulated) -> T) -> Option<T> {
    CURRENT.with_borrow(|current| current.as_deref().map(ask))
}

pub(super) fn is_current() -> bool {
    CURRENT.with_borrow(Option::is_some)
}
