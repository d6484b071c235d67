//! Every bound of the store, with its unit and its reason.

use std::time::Duration;

/// What a client may send in one request, unless `--max-request-bytes` says otherwise. etcd's default.
pub const DEFAULT_MAX_REQUEST_BYTES: u64 = 1_572_864;

/// Room for the gRPC frame and the fields around the value: a request up to this much over the limit is read, so
/// that it gets the answer `request is too large` and not a broken stream. etcd's value.
pub const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

/// Compares or operations of one branch of a transaction, unless `--max-txn-ops` says otherwise. etcd's default.
pub const DEFAULT_MAX_TXN_OPS: u64 = 128;

/// Applied entries between two snapshots, unless `--snapshot-count` says otherwise. etcd's default.
pub const DEFAULT_SNAPSHOT_COUNT: u64 = 10_000;

/// Entries kept behind a snapshot for followers that lag a little. etcd's value.
pub const MAX_CATCH_UP_ENTRIES: u64 = 5_000;

/// etcd's default; reported in `Status`, where clients read how full the store is.
pub const DEFAULT_QUOTA_BYTES: i64 = 2 * 1024 * 1024 * 1024;

/// Beyond this a quota is warned of, as in etcd: a member that is replaced copies all of it.
pub const ADVISED_QUOTA_BYTES: i64 = 8 * 1024 * 1024 * 1024;

/// How old a measured size of the store may be when a write is admitted: short beside the time in which a disk fills.
pub const QUOTA_MEASURE_INTERVAL: Duration = Duration::from_millis(100);

/// Looks of the periodic auto compaction per period, or per hour of a longer one. etcd's value.
pub const AUTO_COMPACTION_LOOKS_PER_PERIOD: u32 = 10;

/// Time between two looks of the auto compaction by revisions. etcd's value.
pub const AUTO_COMPACTION_REVISION_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Commands that wait for a place in the log. One more is refused with `too many requests`, as etcd does when the
/// applied index lags by this many.
pub const MAX_PENDING_COMMANDS: usize = 5_000;

/// Commands in one entry: bounds how long one apply may keep watchers and readers waiting.
pub const MAX_BATCH_COMMANDS: usize = 1_024;

/// Bytes after which a batch takes no further command. A single command may be larger, up to the request limit.
/// Some milliseconds of disk and network, so that large values do not wait for a round each.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Batches on their way through consensus at once. The disk syncs one after the other: two half batches take as long
/// as two whole ones, so commands rather gather while one batch is under way (docs/adr/0024-gathered-beside-the-clients.md).
pub const MAX_BATCHES_IN_FLIGHT: usize = 1;

/// A new member votes once it lacks no more entries than this: some moments of a busy leader's work.
pub const MAX_VOTER_LAG_ENTRIES: u64 = 1_000;

/// Readers that wait for the next read round.
pub const MAX_PENDING_READS: usize = 16_384;

/// Writes that wait for the log's writer thread. openraft bounds what is in flight well below this.
pub const LOG_WRITER_QUEUE: usize = 4_096;

/// Appended bytes that one synced write may carry: keeps the stop for one write below some milliseconds.
pub const MAX_LOG_WRITE_BYTES: usize = 8 * 1024 * 1024;

/// One file of the raft log. Large enough that making the next one costs nothing beside the writes, small enough that a
/// purge soon gives the disk back.
pub const LOG_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Appended bytes after which the state is synced, so that the log before it may go. Entries are batches, so that their number
/// says little: with `LOG_KEEP_BYTES` this bounds what the log takes on disk and what a start has to read of it.
pub const LOG_SNAPSHOT_BYTES: u64 = 64 * 1024 * 1024;
/// What the log keeps at most behind that, for followers that lag; who lags further gets the state.
pub const LOG_KEEP_BYTES: u64 = 64 * 1024 * 1024;

/// Recent log entries kept in memory, by number and by bytes: what apply and healthy followers read. A follower that is
/// further behind is served from the file system's cache.
pub const LOG_CACHE_ENTRIES: usize = 4_096;
pub const LOG_CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Entries and bytes of one append to a follower.
pub const MAX_APPEND_ENTRIES: u64 = 256;
pub const MAX_APPEND_BYTES: usize = 4 * 1024 * 1024;

/// Largest message between members: one append with one entry of the largest legal size on top.
pub const MAX_PEER_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Largest record that a reader accepts from disk or from a peer: a hostile length is an error, not an allocation.
pub const MAX_RECORD_BYTES: usize = 48 * 1024 * 1024;

/// Bytes of one snapshot chunk. Large enough that the frame costs nothing, small enough for several in flight.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;

/// Chunks read ahead of the network while a snapshot is sent.
pub const SNAPSHOT_CHUNKS_IN_FLIGHT: usize = 8;

/// A snapshot transfer that takes longer is given up and started anew.
pub const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Entries applied in one write batch.
pub const MAX_APPLY_ENTRIES: usize = 64;

/// The fixed part of a request's time; twice the election timeout is added (etcd: 5 s + 2 × 1 s = 7 s).
pub const REQUEST_TIMEOUT_BASE: Duration = Duration::from_secs(5);

/// How long a lease request that the leader must answer may wait for the applied index (etcd: 1 s).
pub const LEASE_APPLIED_WAIT: Duration = Duration::from_secs(1);

/// Streams that asked for a leader are cancelled after this many election timeouts without one. etcd's value.
pub const NO_LEADER_ELECTION_TIMEOUTS: u32 = 3;

/// The largest lease: beyond it the server refuses. etcd's value, seconds.
pub const MAX_LEASE_TTL_SECONDS: i64 = 9_000_000_000;

/// How often the leader looks for expired leases, and how many it revokes per look (etcd: 500 ms, 1000 a second).
pub const LEASE_EXPIRY_INTERVAL: Duration = Duration::from_millis(500);
pub const MAX_LEASE_REVOKES_PER_LOOK: usize = 500;

/// How long a simple token lives after its last use, unless `--auth-token-ttl` says otherwise. etcd's default.
pub const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(300);

/// Two to this power rounds of bcrypt for a password, unless `--bcrypt-cost` says otherwise, and the bounds of that flag.
pub const DEFAULT_BCRYPT_COST: u32 = 10;
pub const MIN_BCRYPT_COST: u32 = 4;
pub const MAX_BCRYPT_COST: u32 = 31;

/// Lease of a lock or candidacy whose client brought none, seconds. etcd's value.
pub const SESSION_TTL_SECONDS: i64 = 60;

/// Responses of one watch stream between two looks at what the client asks.
pub const RESPONSES_IN_A_ROW: usize = 32;

/// Responses of one keep-alive stream that wait for the network.
pub const STREAM_BUFFER: usize = 128;

/// Flow-control windows of both ports: the default of 64 KiB would stall a 1.5 MiB request three dozen times.
pub const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
pub const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Versions of clients that the metrics tell apart.
pub const MAX_CLIENT_VERSIONS: usize = 64;

/// Between two looks at whether another member answers (etcd: 4 s).
pub const PEER_PROBE_INTERVAL: Duration = Duration::from_secs(4);

/// A read barrier that takes longer is counted as slow (etcd's time until it asks again).
pub const SLOW_READ_BARRIER: Duration = Duration::from_millis(500);

/// How long a member waits for a page of another one.
pub const PEER_PAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest page that a member reads from another one.
pub const MAX_PEER_PAGE_BYTES: usize = 1024 * 1024;

/// Between two progress notifications of a watcher at least. etcd's value.
pub const MIN_WATCH_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// A peer that does not take a connection within this is unreachable.
pub const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a clean stop waits for open requests.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a client may take for the TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const _: () = assert!(MAX_BATCH_BYTES < MAX_RECORD_BYTES);
const _: () = assert!(MAX_RECORD_BYTES < MAX_PEER_MESSAGE_BYTES);
const _: () = assert!(MAX_APPEND_BYTES + MAX_RECORD_BYTES <= MAX_PEER_MESSAGE_BYTES);

/// Revisions whose times may be asked for at once: each is a small read.
pub const MAX_COMMIT_TIMES: usize = 10_000;
