//! What a member takes from the machine that it runs on: threads, the wall clock, chance, and in what
//! order who waits is woken.
//!
//! In earnest these are the operating system's. A simulator ([`Simulated`]) brings its own for the thread that it plays
//! members on: nothing there leaves that thread, waits in earnest or is left to chance, so that a seed decides
//! everything. What else a member stands on is handed to it when it is put together: the disk of its log
//! ([`crate::consensus::wal::Disk`]), its state ([`crate::backend::Backend`]) and the way to its peers
//! ([`crate::consensus::peers::Dialer`]). Monotonic time is tokio's, which a simulator can pause by itself.
//!
//! Invariant: outside of this folder the store starts no thread, and reads neither the wall clock nor random numbers for
//! anything that changes what it does. (Keys, salts and certificates are another matter: they must not be predictable.)

mod chance;
mod pace;
mod simulated;
mod threads;
pub mod watch;

use std::time::SystemTime;

pub use chance::{Chance, chance};
pub use pace::Pace;
pub use simulated::{Playing, Simulated};
pub use threads::{Thread, block_on, nap, spawn_blocking, spawn_blocking_future, spawn_thread};

/// The wall clock. It may jump, and members need not agree on it.
pub fn wall_clock() -> SystemTime {
    simulated::current(|host| host.wall_clock()).unwrap_or_else(SystemTime::now)
}
