//! Every bound of the node agent, with its unit and its reason.

use std::time::Duration;

/// A CRI answer: containerd's own `max_send_message_size`.
pub const CRI_MESSAGE_BYTES: usize = 16 << 20;
/// One CRI verb; kubelet's `runtimeRequestTimeout`.
pub const CRI_CALL: Duration = Duration::from_secs(120);
/// Sandboxes run CNI plugins, which may wait for an address; the stock kubelet doubles the time for them too.
pub const CRI_SANDBOX: Duration = Duration::from_secs(240);
/// An exec probe or hook without its own limit must still end some day.
pub const EXEC_WITHOUT_TIMEOUT: Duration = Duration::from_secs(3600);
/// A large image over a slow line.
pub const IMAGE_PULL: Duration = Duration::from_secs(3600);
/// From the start of containerd to the first answer of its CRI service. It takes about 50 ms; recovery of hundreds of
/// pods after a reboot takes seconds.
pub const CONTAINERD_READY: Duration = Duration::from_secs(60);
/// containerd stops its servers and leaves the shims; more than this means that it hangs.
pub const CONTAINERD_STOP: Duration = Duration::from_secs(10);
/// First and longest pause between restarts of a containerd that keeps dying.
pub const CONTAINERD_BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// An imported image shows up in the CRI image store through an event, a moment later.
pub const IMPORT_VISIBLE: Duration = Duration::from_secs(10);
/// Unix socket paths must fit `sockaddr_un.sun_path` (108 bytes with the NUL); `.ttrpc` is appended by containerd.
pub const SOCKET_PATH_BYTES: usize = 108 - 1 - ".ttrpc".len();
/// containerd's own log file is started anew beyond this size.
pub const CONTAINERD_LOG_BYTES: u64 = 10 << 20;

/// Sandboxes created at once: each costs some 100 ms of CPU in CNI plugins, shim and runc, so more than this only
/// makes the first pod later.
pub const PARALLEL_SANDBOXES: usize = 8;
/// Container starts at once, over all pods.
pub const PARALLEL_STARTS: usize = 16;
/// Image pulls at once; registries throttle beyond.
pub const PARALLEL_PULLS: usize = 3;

/// Crash loop: first pause, longest pause (KEP-4603 keeps 5 min as the default), and the calm after which it starts over.
pub const CRASH_LOOP: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(300) };
/// Image pull failures use the same curve in the stock kubelet.
pub const IMAGE_PULL_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(300) };
/// Sandboxes fail while the pod network comes up; a short first pause keeps pod start quick.
pub const SANDBOX_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(10) };
/// A missing ConfigMap or Secret wakes the pod by its watch; this is the retry without one.
pub const VOLUME_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// A doubling pause.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

/// Relist of the runtime; the stock kubelet's period.
pub const RELIST: Duration = Duration::from_secs(1);
/// A pod is looked at again at least this often; the stock `syncFrequency`.
pub const RESYNC: Duration = Duration::from_secs(60);
/// Grace below this is rounded up when a container is killed by the agent's own decision.
pub const LEAST_GRACE: Duration = Duration::from_secs(2);
/// Hooks: how long an HTTP hook may take to answer.
pub const HOOK_HTTP: Duration = Duration::from_secs(30);
/// Dead containers kept per name: the one that `kubectl logs --previous` reads.
pub const DEAD_CONTAINERS_KEPT: usize = 1;

/// What a container may say on its way out, per container (stock limit).
pub const TERMINATION_MESSAGE_BYTES: usize = 4096;
/// With `FallbackToLogsOnError`: the log's tail (stock: 2048 bytes or 80 lines).
pub const TERMINATION_LOG_BYTES: usize = 2048;
pub const TERMINATION_LOG_LINES: usize = 80;
/// A probe's output in an event (stock limit: 10 KiB).
pub const PROBE_OUTPUT_BYTES: usize = 10 << 10;

/// Messages of a pod's inbox; senders wait beyond it.
pub const WORKER_INBOX: usize = 64;
/// Events waiting for the API server; beyond it they are dropped and counted, a pod never waits for its events.
pub const EVENT_QUEUE: usize = 1000;
/// Distinct events remembered, so that a repeat raises a count.
pub const EVENT_MEMORY: usize = 4096;
/// Status writes in flight.
pub const PARALLEL_STATUS_WRITES: usize = 16;
/// First and longest pause after a failed status write.
pub const STATUS_BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(30) };

/// Node Lease: renewed this often, believed this long (stock 10 s and 40 s).
pub const LEASE_RENEW: Duration = Duration::from_secs(10);
pub const LEASE_DURATION: Duration = Duration::from_secs(40);
/// Node status: looked at this often, written at least this often.
pub const NODE_STATUS: Duration = Duration::from_secs(10);
pub const NODE_STATUS_REPORT: Duration = Duration::from_secs(300);
/// Runtime and network readiness: looked at this often when all is well (stock), and while something is missing, where
/// the answer costs the runtime next to nothing and a node waits for it.
pub const READY_LOOK: Duration = Duration::from_secs(5);
pub const NOT_READY_LOOK: Duration = Duration::from_millis(100);
/// A runtime that says nothing for so long is down (the stock kubelet's threshold).
pub const RUNTIME_SILENT: Duration = Duration::from_secs(30);
/// Pause between attempts to register.
pub const REGISTER_RETRY: Duration = Duration::from_millis(200);
/// Image names in the node's status (stock `nodeStatusMaxImages`).
pub const NODE_STATUS_IMAGES: usize = 50;

/// Waiting for the first answer about a ConfigMap or Secret.
pub const REFERENCE_SYNC: Duration = Duration::from_secs(10);
/// Service account tokens: asked for again at this part of their life (and after 24 h at the latest, as in stock).
pub const TOKEN_REFRESH_PERCENT: i64 = 80;
pub const TOKEN_REFRESH_LONGEST_SECONDS: i64 = 24 * 3600;
/// A token that lives an hour, when the volume does not say.
pub const TOKEN_SECONDS: i64 = 3600;

/// Log rotation: looked at this often (stock `containerLogMonitorInterval`).
pub const LOG_ROTATION: Duration = Duration::from_secs(10);
/// One line of a log request is read up to here; containerd splits lines at 16 KiB itself.
pub const LOG_LINE_BYTES: usize = 1 << 20;
/// Chunks between the log reader and the client; a client that does not read stops the reader.
pub const LOG_CHUNKS: usize = 16;
/// Requests served at once on the agent's own port.
pub const SERVER_CONNECTIONS: usize = 512;
/// TLS handshake and request head.
pub const SERVER_HANDSHAKE: Duration = Duration::from_secs(10);
