//! Many clients that each do one thing after the other, at full speed or at a given rate.
//!
//! At a given rate a request that starts late counts from when it should have started: a stalled server cannot hide its
//! stall by slowing down who measures it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tonic::Status;

use super::connect::{self, Connection};
use super::failure::Failure;
use super::flags::Flags;
use super::progress::Progress;
use super::report::Report;

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub clients: usize,
    /// Requests of all clients together.
    pub total: u64,
    /// Ends the load even if requests are left.
    pub time: Option<Duration>,
    /// Requests per second of all clients together.
    pub rate: Option<u64>,
}

/// So many connections, to the endpoints in turn.
pub async fn connections(flags: &Flags, count: usize) -> Result<Vec<Connection>, Failure> {
    let mut connections = Vec::new();
    for number in 0..count.max(1) {
        let endpoint = &flags.endpoints[number % flags.endpoints.len()];
        connections.push(connect::one(flags, endpoint).await?);
    }
    Ok(connections)
}

/// Does `act` with a connection and the request's number until the plan is fulfilled.
pub async fn run<F, A>(plan: Plan, connections: &[Connection], progress: Progress, act: A) -> Report
where
    F: Future<Output = Result<(), Status>> + Send + 'static,
    A: Fn(Connection, u64) -> F + Clone + Send + 'static,
{
    let shared = Arc::new(Shared { plan, next: AtomicU64::new(0), began: Instant::now(), progress });
    let clients: Vec<_> = (0..plan.clients.max(1))
        .map(|number| {
            let connection = connections[number % connections.len()].clone();
            tokio::spawn(client(shared.clone(), connection, act.clone()))
        })
        .collect();
    let mut report = Report::default();
    for client in clients {
        report.merge(client.await.expect("a client does not panic"));
    }
    report.total = shared.began.elapsed();
    report
}

struct Shared {
    plan: Plan,
    next: AtomicU64,
    began: Instant,
    progress: Progress,
}

impl Shared {
    /// The next request's number and when it is due; `None` when all are done.
    fn take(&self) -> Option<(u64, Duration)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = match self.plan.rate {
            Some(rate) => Duration::from_secs_f64(number as f64 / rate as f64),
            None => self.began.elapsed(),
        };
        let late = self.plan.time.is_some_and(|time| due >= time || self.began.elapsed() >= time);
        (number < self.plan.total && !late).then_some((number, due))
    }
}

async fn client<F, A>(shared: Arc<Shared>, connection: Connection, act: A) -> Report
where
    F: Future<Output = Result<(), Status>>,
    A: Fn(Connection, u64) -> F,
{
    let mut report = Report::default();
    while let Some((number, due)) = shared.take() {
        // The timer counts whole milliseconds: who need not wait does not ask it.
        if due > shared.began.elapsed() {
            tokio::time::sleep_until((shared.began + due).into()).await;
        }
        let outcome = act(connection.clone(), number).await;
        report.record(due, shared.began.elapsed().saturating_sub(due), outcome);
        shared.progress.add(1);
    }
    report
}
