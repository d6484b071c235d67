//! The parts of the process: started with a readiness signal, stopped in reverse order, none outliving a failure.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a part may take to stop cleanly before it is left behind.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// In the order of stopping: clients before what they use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    NodeAgent,
    Scheduler,
    Controllers,
    Apiserver,
    Store,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeAgent => "nodeagent",
            Self::Scheduler => "scheduler",
            Self::Controllers => "controllers",
            Self::Apiserver => "apiserver",
            Self::Store => "store",
        })
    }
}

type Ended = (Part, Result<()>);

pub struct Parts {
    started: Instant,
    shutdown: CancellationToken,
    running: BTreeMap<Part, (CancellationToken, JoinHandle<()>)>,
    ended_sender: mpsc::Sender<Ended>,
    ended: mpsc::Receiver<Ended>,
}

impl Parts {
    pub fn new(started: Instant, shutdown: CancellationToken) -> Self {
        // Each part ends once.
        let (ended_sender, ended) = mpsc::channel(8);
        Self { started, shutdown, running: BTreeMap::new(), ended_sender, ended }
    }

    /// Starts a part as a task of its own; the receiver fires when it serves.
    pub fn start<F, Fut, E>(&mut self, part: Part, run: F) -> oneshot::Receiver<()>
    where
        F: FnOnce(oneshot::Sender<()>, CancellationToken) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error>,
    {
        let (ready, is_ready) = oneshot::channel();
        let token = CancellationToken::new();
        let work = run(ready, token.clone());
        let ended = self.ended_sender.clone();
        let task = tokio::spawn(async move {
            let result = work.await.map_err(Into::into);
            // The receiver lives as long as `Parts`.
            let _ = ended.send((part, result)).await;
        });
        self.running.insert(part, (token, task));
        is_ready
    }

    /// Waits until a part serves and says so; on shutdown it returns at once.
    pub async fn wait(&mut self, ready: oneshot::Receiver<()>, part: Part, address: &str) -> Result<()> {
        match self.unless_ended(async { ready.await.context("the part ended before it was ready") }).await {
            Ok(Some(())) => {
                println!(
                    "  {:<12} ready after {:.2} s  {address}",
                    part.to_string(),
                    self.started.elapsed().as_secs_f64()
                );
                Ok(())
            }
            Ok(None) => Ok(()),
            // The part's own error says more than a readiness signal that never came.
            Err(error) => match self.ended.try_recv() {
                Ok((part, result)) => Err(end_of(part, result)),
                Err(_) => Err(error),
            },
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// `work`, unless a part ends before it (an error) or shutdown comes (None).
    async fn unless_ended<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Ok(None),
            Some((part, result)) = self.ended.recv() => Err(end_of(part, result)),
            done = work => done.map(Some),
        }
    }

    pub async fn run_until_shutdown(&mut self) -> Result<()> {
        self.unless_ended(std::future::pending::<Result<()>>()).await.map(drop)
    }

    /// Stops what runs, clients first.
    pub async fn stop(&mut self) {
        println!("stopping; containers go on running (balsa down ends them)");
        while let Some((part, (token, task))) = self.running.pop_first() {
            token.cancel();
            let abort = task.abort_handle();
            if tokio::time::timeout(STOP_TIMEOUT, task).await.is_err() {
                tracing::warn!(%part, "did not stop in time");
                abort.abort();
            }
        }
    }
}

fn end_of(part: Part, result: Result<()>) -> anyhow::Error {
    match result {
        Ok(()) => anyhow!("{part} ended by itself"),
        Err(error) => error.context(format!("{part} failed")),
    }
}
