//! From many clients to one file, in the order of arrival.
//!
//! Clients hold a [`Recorder`]; one task owns the file and the counters. The channel is bounded: a disk that is too slow
//! for the record slows the clients down, nothing is dropped.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use super::object::{ObjectOperation, ObjectOutcome};
use super::operation::{Operation, Outcome};
use super::record::{History, Record};

/// Records on their way to the file.
const RECORDS_IN_FLIGHT: usize = 4096;

/// How a run goes so far.
#[derive(Default)]
pub struct Counters {
    pub ok: AtomicU64,
    pub failed: AtomicU64,
    pub unknown: AtomicU64,
    pub events: AtomicU64,
}

#[derive(Clone)]
pub struct Recorder {
    started: Instant,
    records: mpsc::Sender<Record>,
    counters: Arc<Counters>,
}

/// The writing end: ends when the last [`Recorder`] is gone.
pub struct Collected(std::thread::JoinHandle<Result<History>>);

impl Recorder {
    /// Starts the clock of the run.
    pub fn start(path: PathBuf) -> Result<(Self, Collected)> {
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let (records, inbox) = mpsc::channel(RECORDS_IN_FLIGHT);
        let writer = std::thread::spawn(move || collect(inbox, file));
        let recorder = Self { started: Instant::now(), records, counters: Arc::default() };
        Ok((recorder, Collected(writer)))
    }

    pub fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).expect("a run is shorter than 500,000 years")
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub async fn record(&self, record: Record) {
        self.count(&record);
        // The writer outlives all recorders; if it failed, `Collected::finish` says why.
        let _ = self.records.send(record).await;
    }

    /// For threads that are not tasks.
    pub fn record_blocking(&self, record: Record) {
        self.count(&record);
        let _ = self.records.blocking_send(record);
    }

    fn count(&self, record: &Record) {
        let counter = match record {
            Record::Operation(Operation { outcome, .. }) => match outcome {
                Outcome::Ok { .. } => &self.counters.ok,
                Outcome::Fail { .. } => &self.counters.failed,
                Outcome::Unknown { .. } => &self.counters.unknown,
            },
            Record::Object(ObjectOperation { outcome, .. }) => match outcome {
                ObjectOutcome::Ok { .. } => &self.counters.ok,
                ObjectOutcome::Fail { .. } => &self.counters.failed,
                ObjectOutcome::Unknown { .. } => &self.counters.unknown,
            },
            Record::Watch(_) | Record::ObjectWatch(_) => &self.counters.events,
            Record::Fault(_)
            | Record::Final(_)
            | Record::Incident(_)
            | Record::Processes(_)
            | Record::Fixpoint(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Collected {
    /// Waits for the last record; every [`Recorder`] must be dropped before.
    pub fn finish(self) -> Result<History> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn collect(mut inbox: mpsc::Receiver<Record>, file: File) -> Result<History> {
    let mut file = BufWriter::new(file);
    let mut history = History::default();
    while let Some(record) = inbox.blocking_recv() {
        serde_json::to_writer(&mut file, &record).context("write the history")?;
        file.write_all(b"\n").context("write the history")?;
        history.add(record);
    }
    file.flush().context("write the history")?;
    Ok(history)
}
