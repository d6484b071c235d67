//! Every bound of the controllers and the scheduler, with its unit and reason.

use std::time::Duration;

/// Changes on their way from the feeds to the driver. A full channel slows the watch down, it loses nothing.
pub const CHANGES_QUEUED: usize = 4096;

/// Requests of one batch of creates or deletes in flight. More would only queue in the apiserver.
pub const REQUESTS_IN_FLIGHT: usize = 64;

/// First batch of a slow start; each next is twice as large. One request finds out cheaply that a quota is used up.
pub const SLOW_START_FIRST: usize = 1;

/// Pods that one plan of a replica set or daemon set creates or deletes (stock: BurstReplicas).
pub const BURST_REPLICAS: usize = 500;

/// Longest wait for the World to show what an action wrote. Reached only when a watch is down for that long.
pub const OWN_WRITE_WAIT: Duration = Duration::from_secs(60);

/// Event notes waiting for the recorder. Notes above it are dropped: they inform, nothing depends on them.
pub const NOTES_QUEUED: usize = 1024;

/// Distinct notes remembered for counting repeats (stock: 4096 in the correlator's cache).
pub const NOTES_REMEMBERED: usize = 4096;

/// Objects deleted at once when a namespace is emptied.
pub const NAMESPACE_DELETES_IN_FLIGHT: usize = 32;

/// Uids remembered as absent by the garbage collector (stock: 500).
pub const ABSENT_OWNERS_REMEMBERED: usize = 4096;

/// A client of the health port that has not finished its TLS handshake by then is dropped.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Wait after a connection could not be accepted.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Bindings on their way to the apiserver.
pub const BINDINGS_IN_FLIGHT: usize = 64;
