//! The lab's own clients: a runtime whose threads stand on the clients' host.
//!
//! A thread belongs to the network namespace of the thread that started it; so the runtime is made on the host, and its
//! tasks are spawned, never polled by a thread from outside.

use std::future::Future;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime};

use super::Host;

const THREADS: usize = 2;

pub struct Gateway {
    // An Option only for `drop`: the runtime is taken out of it there.
    runtime: Option<Runtime>,
}

impl Gateway {
    pub fn on(host: &Host) -> Result<Self> {
        let runtime = host
            .run_inside(|| Builder::new_multi_thread().worker_threads(THREADS).enable_all().build())?
            .context("start a runtime on the clients' host")?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Where this process itself is, which has a way to the members.
    pub fn here() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
        Ok(Self { runtime: Some(runtime.context("start a runtime")?) })
    }

    /// Runs to its end on the host; the caller's thread waits.
    pub fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let handle = self.handle();
        let task = handle.spawn(work);
        match handle.block_on(task) {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => unreachable!("nobody aborts this task: {error}"),
            },
        }
    }

    /// For spawning alone: what is polled through it runs on the host, what is blocked on does not.
    pub fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("the runtime is there until drop").handle()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
