//! Long work on a thread of its own that leaves the processor to others half of the time.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// After a step that took longer, because the machine was busy or stood still, rests are no longer than this.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// How long the step at hand has been going on. A simulated machine has no processor to leave: steps take no time there.
#[derive(Debug)]
pub struct Pace(Cell<Instant>);

impl Pace {
    /// The first step begins.
    pub fn begin() -> Pace {
        Pace(Cell::new(Instant::now()))
    }

    /// Blocks for as long as the step took that ends here. The next one begins.
    pub fn rest(&self) {
        let worked = self.0.get().elapsed();
        if !worked.is_zero() {
            std::thread::sleep(worked.min(LONGEST_REST));
        }
        self.restart();
    }

    /// A step begins now: what went before was waiting.
    pub fn restart(&self) {
        self.0.set(Instant::now());
    }
}
