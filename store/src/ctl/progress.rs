//! A bar on stderr for work that takes long. Drawn only on a terminal: a log or a script gets none.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(100);
const WIDTH: usize = 40;

pub struct Progress {
    label: &'static str,
    total: u64,
    done: AtomicU64,
    began: Instant,
    /// `None` where nobody looks.
    drawn: Option<Mutex<Instant>>,
}

impl Progress {
    pub fn new(label: &'static str, total: u64) -> Self {
        let began = Instant::now();
        let drawn = std::io::stderr().is_terminal().then(|| Mutex::new(began));
        Self { label, total, done: AtomicU64::new(0), began, drawn }
    }

    pub fn add(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        let Some(drawn) = &self.drawn else { return };
        // Whoever holds it is drawing: one drawing is enough.
        if let Some(mut drawn) = drawn.try_lock()
            && (drawn.elapsed() >= REDRAW || done >= self.total)
        {
            *drawn = Instant::now();
            self.draw(done);
        }
    }

    fn draw(&self, done: u64) {
        let line = line(self.label, done, self.total, self.began.elapsed());
        // A terminal that went away does not stop the work.
        let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            // Nothing of it stays on the screen.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(label: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let part = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (part * WIDTH as f64) as usize;
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    format!(
        "{label} {done} / {total} [{}{}] {:.0}% {rate:.0}/s",
        "#".repeat(full),
        "-".repeat(WIDTH - full),
        part * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let text = line("put", 5, 10, Duration::from_secs(1));
        assert_eq!(text, format!("put 5 / 10 [{}{}] 50% 5/s", "#".repeat(20), "-".repeat(20)));
        assert!(line("put", 0, 0, Duration::ZERO).contains("100%"));
    }
}
