//! Waiting for a condition of the outside world, which cannot be subscribed to.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks at a condition. Short, since tests add these up; not shorter, since looks run processes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until `condition` gives a value; on time-out the last refusal is the error's text.
pub fn eventually<T>(what: &str, timeout: Duration, mut condition: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => bail!("{what}: not within {timeout:?}: {error:#}"),
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}
