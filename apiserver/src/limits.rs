//! Every bound of the apiserver, with its unit and reason.

use std::time::Duration;

/// Largest request body; the stock limit (3 MiB).
pub const REQUEST_BODY_BYTES: usize = 3 * 1024 * 1024;
/// What is read of the body of a refused request, so that the refusal arrives: twice the largest body.
pub const DRAINED_BODY_BYTES: usize = 2 * REQUEST_BODY_BYTES;
/// How long that may take.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest object in storage: etcd refuses requests above 1.5 MiB.
pub const STORED_OBJECT_BYTES: usize = 1_572_864;
/// Answers above this are compressed when the client accepts gzip; stock threshold.
pub const GZIP_FROM_BYTES: usize = 128 * 1024;
/// Piece size of streamed lists: big enough to amortise a frame, small enough to keep memory flat.
pub const LIST_CHUNK_BYTES: usize = 64 * 1024;
/// A non-streaming request must be answered within this; stock default.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a read waits for the cache to reach a revision before `Too large resource version`; stock value.
pub const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);
/// While a reader waits, progress is asked for again this often; etcd drops requests of unsynced watchers.
pub const PROGRESS_RETRY: Duration = Duration::from_millis(100);
/// Bookmarks go out this often on an idle watch; stock value is about a minute.
pub const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// A watch without `timeoutSeconds` ends after a random time between this and twice it; stock value.
pub const WATCH_MIN_TIMEOUT: Duration = Duration::from_secs(1800);
/// Events of one resource kept for watchers that start or lag behind, by count…
pub const WINDOW_EVENTS: usize = 8192;
/// … and by size of the objects they hold. At least [`WINDOW_MIN_EVENTS`] are always kept.
pub const WINDOW_BYTES: usize = 8 * 1024 * 1024;
pub const WINDOW_MIN_EVENTS: usize = 256;
/// Events copied out of a window per lock: bounds how long the reflector can be held up.
pub const WINDOW_BATCH: usize = 256;
/// Keys per page when the cache is filled from etcd.
pub const FILL_PAGE_KEYS: i64 = 2000;
/// Wait between attempts to reach etcd.
pub const RECONNECT_DELAY: Duration = Duration::from_millis(100);
/// One etcd call, with all members that it is tried at; etcd itself answers or fails within 7 s.
pub const ETCD_CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often each of several etcd members is asked for a sign of life…
pub const ETCD_SIGN_INTERVAL: Duration = Duration::from_millis(500);
/// … and until it is doubted, and as long again until it is lost: reads wait at most 1.5 s for one that is cut off, writes
/// and watches 2.5 s.
pub const ETCD_SIGN_PATIENCE: Duration = Duration::from_secs(1);
/// Until a store that does not answer counts as down in health checks; stock `--etcd-healthcheck-timeout`.
pub const ETCD_HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Events live this long; stock `--event-ttl`.
pub const EVENT_TTL: Duration = Duration::from_secs(3600);
/// One etcd lease serves the events of this span…
pub const LEASE_REUSE: Duration = Duration::from_secs(60);
/// … but no more than this many of them.
pub const LEASE_MAX_OBJECTS: u32 = 1000;
/// A server that has not said for this long that it lives is no endpoint of the Service `kubernetes`; stock value…
pub const PRESENCE_TTL: Duration = Duration::from_secs(15);
/// … and how often it says so; stock value.
pub const PRESENCE_INTERVAL: Duration = Duration::from_secs(10);
/// History older than this is compacted away; stock `--etcd-compaction-interval`.
pub const COMPACTION_INTERVAL: Duration = Duration::from_secs(300);
/// Attempts of `generateName` before AlreadyExists is returned; stock value.
pub const GENERATE_NAME_ATTEMPTS: usize = 8;
/// Attempts of read-modify-write (patch, delete, guaranteed updates) against concurrent writers.
pub const CONFLICT_ATTEMPTS: usize = 10;
/// Requests in flight, watches and tunnels left out; stock sum of read-only and mutating limits.
pub const REQUESTS_IN_FLIGHT: usize = 600;
/// Streams per HTTP/2 connection; stock value for the secure port.
pub const HTTP2_STREAMS: u32 = 1000;
/// A client that has not finished its TLS handshake by then is dropped.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After the shutdown signal, open requests have this long to end.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Subscriptions per gRPC watch stream: one component watches at most every resource a few times.
pub const SUBSCRIPTIONS_PER_STREAM: usize = 1024;
/// Answers queued per gRPC watch stream before its subscriptions wait.
pub const GRPC_WATCH_QUEUE: usize = 64;
/// Copy buffer of each direction of a tunnel.
pub const TUNNEL_BUFFER_BYTES: usize = 32 * 1024;
/// Connecting to a kubelet or a proxied service.
pub const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A component that does not say how it is by then counts as unhealthy; stock value.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a component may say about its health.
pub const PROBE_BODY_BYTES: usize = 16 * 1024;

const _: () = assert!(WINDOW_MIN_EVENTS < WINDOW_EVENTS && WINDOW_BATCH <= WINDOW_EVENTS);
const _: () = assert!(STORED_OBJECT_BYTES < REQUEST_BODY_BYTES);
