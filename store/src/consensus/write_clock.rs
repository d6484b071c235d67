//! How long the disk has been at the write of the raft log that is under way.
//!
//! One thread writes and tells ([`super::log_writer`]); whoever wants to know whether the disk hangs asks.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct WriteClock(Arc<Mutex<Option<Instant>>>);

/// The write is under way for as long as this lives.
#[derive(Debug)]
pub struct Writing<'a>(&'a WriteClock);

impl WriteClock {
    pub fn begin(&self) -> Writing<'_> {
        *self.0.lock() = Some(Instant::now());
        Writing(self)
    }

    /// `None` while nothing is written.
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.lock().map(|began| began.elapsed())
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}
