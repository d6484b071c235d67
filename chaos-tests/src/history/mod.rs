//! What clients and the lab saw: the only input of every property.
//!
//! A [`History`] holds operations with the times of their call and return, what watches delivered, and which faults
//! were active when. It is written line by line while a run goes on ([`Recorder`]) and can be read again from its folder,
//! so that a property may be checked long after the run that it judges. Times are microseconds since the run's start, by
//! one monotonic clock.

pub mod object;
pub mod operation;
pub mod record;
pub mod recorder;

pub use operation::{Compare, Expected, Kv, Operation, Outcome, Reply, Request};
pub use record::{Event, FaultRecord, FinalState, History, Incident, Record, WatchRecord, WatchSight};
pub use recorder::{Collected, Recorder};
