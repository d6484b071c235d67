//! Threads for work that blocks. On a simulated machine they are tasks beside all others.

use std::future::Future;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::simulated;

pub use futures::executor::block_on;

/// A thread of one's own, or the task that plays one.
#[derive(Debug)]
pub struct Thread(Option<JoinHandle<()>>);

impl Thread {
    /// Returns when it has ended. The task of a simulated machine is not waited for: it ends by itself.
    pub fn join(self) {
        if let Some(thread) = self.0 {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

/// Runs `work` on a thread of its own, where it may block.
pub fn spawn_thread(name: &str, work: impl Future<Output = ()> + Send + 'static) -> io::Result<Thread> {
    if simulated::is_current() {
        tokio::spawn(work);
        return Ok(Thread(None));
    }
    Builder::new().name(name.into()).spawn(move || block_on(work)).map(|thread| Thread(Some(thread)))
}

/// Runs `work` where it may block. To be called on a runtime.
pub fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    if simulated::is_current() {
        return tokio::spawn(async move { work() });
    }
    tokio::task::spawn_blocking(work)
}

/// [`spawn_blocking`] for work that waits for channels in between.
pub fn spawn_blocking_future<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    if simulated::is_current() {
        return tokio::spawn(work);
    }
    tokio::task::spawn_blocking(move || block_on(work))
}

/// A pause in the work of a [`spawn_thread`].
pub async fn nap(pause: Duration) {
    if simulated::is_current() {
        return tokio::time::sleep(pause).await;
    }
    std::thread::sleep(pause);
}
