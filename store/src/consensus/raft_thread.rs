//! The thread that consensus lives on: an async runtime of one thread, for raft's own tasks and the peer port alone.
//!
//! A put passes between a dozen tasks of consensus. On one thread that is a queue; between threads each step would wake
//! another one, which costs more than all the work (docs/adr/0021-raft-on-one-thread.md). It also keeps heartbeats away
//! from what clients ask: however many there are, raft has a thread. Disks are waited for elsewhere
//! ([`super::log_writer`], [`super::apply_thread`]).

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The thread ends when this is dropped, and what runs on it then is dropped with it.
pub struct RaftThread {
    handle: Handle,
    /// `None` on the runtime of somebody else.
    _stop: Option<DropGuard>,
}

impl RaftThread {
    pub fn start() -> io::Result<RaftThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("raft".into())
            .spawn(move || runtime.block_on(stopped.cancelled_owned()))?;
        Ok(RaftThread { handle, _stop: Some(stop.drop_guard()) })
    }

    /// The runtime that this is called on, which the caller stops: a simulator plays a whole member on one.
    pub fn here() -> RaftThread {
        RaftThread { handle: Handle::current(), _stop: None }
    }

    /// What `task` spawns and opens belongs to the thread too.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(task)
    }
}
