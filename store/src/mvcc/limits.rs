//! Every bound of the state, the watch and the lease code, with its unit and its reason.

use std::time::Duration;

/// One cache for the blocks, indexes and filters of all column families: the resident price of an idle store.
pub const STATE_BLOCK_CACHE_BYTES: usize = 32 << 20;
/// Of indexes and filters, which are read and cached in parts of this size.
pub const STATE_METADATA_BLOCK_BYTES: usize = 4 << 10;
/// All memtables together. Bounds what a restart after a crash applies again from the raft log.
pub const STATE_WRITE_BUFFER_BYTES: usize = 32 << 20;
pub const STATE_KV_WRITE_BUFFER_BYTES: usize = 16 << 20;
pub const STATE_LOG_WRITE_BUFFER_BYTES: usize = 8 << 20;
/// Of the columns that a state has little of. All columns are flushed when one is full, and the position of each batch counts
/// here: none of them may be full before the large ones are.
pub const STATE_SMALL_WRITE_BUFFER_BYTES: usize = 8 << 20;

/// Changes that a start sorts at a time on their way into the index: bounds what it takes of memory beside the index.
pub const LOAD_CHANGES: usize = 1 << 20;

/// Log records that one compaction step looks at before its deletes are written and others get a turn. etcd's value.
pub const COMPACTION_STEP_RECORDS: usize = 1000;
/// Least pause between two compaction steps, so that a large compaction does not starve others. etcd's value.
pub const COMPACTION_PAUSE: Duration = Duration::from_millis(10);

/// A count at an old revision replays the changes since then; beyond this many, scanning the range is cheaper.
pub const COUNT_REPLAY_CHANGES: i64 = 100_000;

/// Steps over superseded versions of one key before a seek past them: a step is about ten times cheaper than a seek.
pub const STEPS_BEFORE_SEEK: usize = 8;

/// Recent changes the watch hub keeps, so that a watcher that starts in the near past needs no disk.
pub const HUB_HISTORY_REVISIONS: usize = 1024;
pub const HUB_HISTORY_BYTES: usize = 1 << 20;

/// Events that wait in one watch stream before its watchers are moved to catch-up.
pub const STREAM_INBOX_EVENTS: usize = 4096;
pub const STREAM_INBOX_BYTES: usize = 4 << 20;

/// Revisions, events and bytes of one catch-up pass. A revision is never split, so the last one may go over.
pub const CATCH_UP_REVISIONS: i64 = 1000;
pub const CATCH_UP_EVENTS: usize = 1000;
pub const CATCH_UP_BYTES: usize = 1 << 20;

/// Bytes up to which events of several revisions share one response.
pub const WATCH_RESPONSE_BYTES: usize = 512 << 10;

/// How often an idle watcher with `progress_notify` hears of the current revision, and by how much the first tick may be
/// late, so that many streams do not tick together. etcd's values.
pub const PROGRESS_NOTIFY_INTERVAL: Duration = Duration::from_secs(10 * 60);
pub const PROGRESS_NOTIFY_JITTER_PERCENT: u64 = 10;

/// A new leader spreads leases so that no more than this many expire in one second: three quarters of the revoke rate.
pub const LEASE_EXPIRIES_PER_SECOND: usize = 750;
/// An expired lease is offered again after this long if it has not been revoked. etcd's value.
pub const LEASE_REVOKE_RETRY: Duration = Duration::from_secs(3);

const _: () = assert!(STATE_KV_WRITE_BUFFER_BYTES <= STATE_WRITE_BUFFER_BYTES);
const _: () = assert!(WATCH_RESPONSE_BYTES <= STREAM_INBOX_BYTES);
