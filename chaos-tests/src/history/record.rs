//! The lines of `history.jsonl`, and the whole of them.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::object::{Fixpoint, ObjectOperation, ObjectWatchRecord, ProcessSample};
use super::operation::{Kv, Operation};

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Operation(Operation),
    Watch(WatchRecord),
    Fault(FaultRecord),
    Final(FinalState),
    Incident(Incident),
    Object(ObjectOperation),
    ObjectWatch(ObjectWatchRecord),
    Processes(ProcessSample),
    Fixpoint(Fixpoint),
}

/// What the lab saw and no fault explains: a member that ended by itself, or does not come back after healing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub member: String,
    pub at_us: u64,
    pub text: String,
}

/// One thing that one watch was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRecord {
    pub client: u32,
    pub member: String,
    /// Counts the watches of a run; a watch that is resumed after a broken stream keeps its number.
    pub watch: u32,
    pub prefix: String,
    pub at_us: u64,
    /// `header.revision` of the response; 0 for what is not a response.
    pub revision: i64,
    pub sight: WatchSight,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchSight {
    /// A stream asks from this revision on; 0 asks from now.
    Asked {
        start_revision: i64,
        prev_kv: bool,
    },
    Created,
    Events(Vec<Event>),
    Progress,
    /// History below it is gone.
    Compacted {
        compact_revision: i64,
    },
    Broken {
        error: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub deleted: bool,
    /// Of a delete: only key and `mod_revision` are set.
    pub kv: Kv,
    pub prev: Option<Kv>,
}

/// A fault, from when to when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    pub verb: String,
    pub what: String,
    /// Members whose rows the timeline marks.
    pub members: Vec<String>,
    pub from_us: u64,
    pub until_us: u64,
}

/// All keys of one member after healing, read there at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalState {
    pub member: String,
    pub revision: i64,
    pub kvs: Vec<Kv>,
    /// `HashKV` at `revision`, where the target answers it.
    pub hash: Option<u32>,
    pub compact_revision: i64,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    pub operations: Vec<Operation>,
    pub watches: Vec<WatchRecord>,
    pub faults: Vec<FaultRecord>,
    pub finals: Vec<FinalState>,
    pub incidents: Vec<Incident>,
    pub object_operations: Vec<ObjectOperation>,
    pub object_watches: Vec<ObjectWatchRecord>,
    pub processes: Vec<ProcessSample>,
    pub fixpoints: Vec<Fixpoint>,
}

impl History {
    pub fn add(&mut self, record: Record) {
        match record {
            Record::Operation(operation) => self.operations.push(operation),
            Record::Watch(watch) => self.watches.push(watch),
            Record::Fault(fault) => self.faults.push(fault),
            Record::Final(state) => self.finals.push(state),
            Record::Incident(incident) => self.incidents.push(incident),
            Record::Object(operation) => self.object_operations.push(operation),
            Record::ObjectWatch(watch) => self.object_watches.push(watch),
            Record::Processes(sample) => self.processes.push(sample),
            Record::Fixpoint(fixpoint) => self.fixpoints.push(fixpoint),
        }
    }

    /// Writes what [`History::load`] reads: kind by kind, each in order.
    pub fn save(&self, path: &Path) -> Result<()> {
        let written = || -> std::io::Result<()> {
            let mut file = BufWriter::new(std::fs::File::create(path)?);
            for record in self.records() {
                serde_json::to_writer(&mut file, &record)?;
                file.write_all(b"\n")?;
            }
            file.flush()
        };
        written().with_context(|| format!("write {}", path.display()))
    }

    fn records(&self) -> impl Iterator<Item = Record> {
        let clients = self.operations.iter().cloned().map(Record::Operation);
        let watches = self.watches.iter().cloned().map(Record::Watch);
        let faults = self.faults.iter().cloned().map(Record::Fault);
        let finals = self.finals.iter().cloned().map(Record::Final);
        let incidents = self.incidents.iter().cloned().map(Record::Incident);
        let objects = self.object_operations.iter().cloned().map(Record::Object);
        let object_watches = self.object_watches.iter().cloned().map(Record::ObjectWatch);
        let processes = self.processes.iter().cloned().map(Record::Processes);
        let fixpoints = self.fixpoints.iter().cloned().map(Record::Fixpoint);
        let of_store = clients.chain(watches).chain(faults).chain(finals).chain(incidents);
        of_store.chain(objects).chain(object_watches).chain(processes).chain(fixpoints)
    }

    /// Reads what a run left behind.
    pub fn load(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
        let mut history = Self::default();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.with_context(|| format!("read {}", path.display()))?;
            let record = serde_json::from_str(&line)
                .with_context(|| format!("line {} of {} is no record", number + 1, path.display()))?;
            history.add(record);
        }
        Ok(history)
    }
}
