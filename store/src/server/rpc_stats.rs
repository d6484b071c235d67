//! What the gRPC services do, counted by method: `grpc_server_*`, under the names that etcd's dashboards read.
//!
//! A request costs some atomic increments, and a look at the version that its client names. How long calls take is kept only with `--metrics=extensive`; a slow one is
//! logged always.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tonic::Code;

use crate::config::Serving;
use crate::limits::MAX_CLIENT_VERSIONS;
use crate::metrics::page::Label;
use crate::metrics::{Counter, Histogram, Page};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unary,
    ServerStream,
    BidiStream,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Unary => "unary",
            Kind::ServerStream => "server_stream",
            Kind::BidiStream => "bidi_stream",
        }
    }
}

const SERVICES: &[(&str, &[&str])] = &[
    ("etcdserverpb.KV", &["Range", "Put", "DeleteRange", "Txn", "Compact"]),
    ("etcdserverpb.Lease", &["LeaseGrant", "LeaseRevoke", "LeaseTimeToLive", "LeaseLeases"]),
    ("etcdserverpb.Cluster", &["MemberAdd", "MemberRemove", "MemberUpdate", "MemberList", "MemberPromote"]),
    (
        "etcdserverpb.Maintenance",
        &["Alarm", "Status", "Defragment", "Hash", "HashKV", "MoveLeader", "Downgrade"],
    ),
    (
        "etcdserverpb.Auth",
        &[
            "AuthEnable",
            "AuthDisable",
            "AuthStatus",
            "Authenticate",
            "UserAdd",
            "UserGet",
            "UserList",
            "UserDelete",
            "UserChangePassword",
            "UserGrantRole",
            "UserRevokeRole",
            "RoleAdd",
            "RoleGet",
            "RoleList",
            "RoleDelete",
            "RoleGrantPermission",
            "RoleRevokePermission",
        ],
    ),
    ("v3lockpb.Lock", &["Lock", "Unlock"]),
    ("v3electionpb.Election", &["Campaign", "Proclaim", "Leader", "Resign"]),
    ("grpc.health.v1.Health", &["Check"]),
];

const STREAMS: &[(&str, &str, Kind)] = &[
    ("etcdserverpb.KV", "RangeStream", Kind::ServerStream),
    ("etcdserverpb.Watch", "Watch", Kind::BidiStream),
    ("etcdserverpb.Lease", "LeaseKeepAlive", Kind::BidiStream),
    ("etcdserverpb.Maintenance", "Snapshot", Kind::ServerStream),
    ("v3electionpb.Election", "Observe", Kind::ServerStream),
    ("grpc.health.v1.Health", "Watch", Kind::ServerStream),
];

/// One of a method's counters.
type Count = fn(&Method) -> &AtomicU64;

const CODES: usize = 17;

/// The counters of one method.
#[derive(Debug)]
pub struct Method {
    service: &'static str,
    name: &'static str,
    pub kind: Kind,
    pub started: AtomicU64,
    pub received: AtomicU64,
    pub sent: AtomicU64,
    handled: [AtomicU64; CODES],
    /// `None` without `--metrics=extensive`.
    seconds: Option<Histogram>,
}

impl Method {
    fn new((service, name, kind): (&'static str, &'static str, Kind), extensive: bool) -> Method {
        // etcd's buckets.
        let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        Method {
            service,
            name,
            kind,
            started: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            handled: Default::default(),
            seconds: extensive.then(|| Histogram::new(buckets)),
        }
    }

    pub fn finished(&self, code: Code, took: Duration, slow: Duration) {
        if let Some(handled) = self.handled.get(code as usize) {
            handled.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(seconds) = &self.seconds {
            seconds.observe(took.as_secs_f64());
        }
        if self.kind == Kind::Unary && took > slow {
            let method = format!("/{}/{}", self.service, self.name);
            tracing::warn!(method, took = ?took, expected = ?slow, code = ?code, "a request took too long");
        }
    }

    fn labels(&self) -> [Label<'static>; 3] {
        [("grpc_method", self.name), ("grpc_service", self.service), ("grpc_type", self.kind.name())]
    }
}

/// Requests by the version that the client says it is written for. Clients choose it, so that there is a bound to how many
/// are told apart.
#[derive(Debug, Default)]
pub struct ClientVersions {
    unary: RwLock<BTreeMap<String, Counter>>,
    stream: RwLock<BTreeMap<String, Counter>>,
}

const UNKNOWN_VERSION: &str = "unknown";

impl ClientVersions {
    pub fn count(&self, kind: Kind, version: Option<&str>) {
        let counts = if kind == Kind::Unary { &self.unary } else { &self.stream };
        let version = version.unwrap_or(UNKNOWN_VERSION);
        if let Some(count) = counts.read().get(version) {
            return count.inc();
        }
        let mut counts = counts.write();
        let is_full = counts.len() >= MAX_CLIENT_VERSIONS;
        let version = if is_full { UNKNOWN_VERSION } else { version };
        counts.entry(version.to_owned()).or_default().inc();
    }

    fn render(&self, page: &mut Page) {
        let name = "etcd_server_client_requests_total";
        page.family(name, "counter", "Requests, by the version that their client names");
        for (kind, counts) in [("stream", &self.stream), ("unary", &self.unary)] {
            for (version, count) in counts.read().iter() {
                let labels = [("client_api_version", version.as_str()), ("type", kind)];
                page.sample(name, &labels, count.get() as f64);
            }
        }
    }
}

/// Of all messages, with the five bytes before each.
#[derive(Debug, Default)]
pub struct Bytes {
    pub received: AtomicU64,
    pub sent: AtomicU64,
}

/// All methods, by their path. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RpcStats {
    methods: Arc<HashMap<String, Arc<Method>>>,
    pub bytes: Arc<Bytes>,
    pub versions: Arc<ClientVersions>,
    pub slow: Duration,
}

impl RpcStats {
    pub fn new(serving: &Serving) -> RpcStats {
        let unary = SERVICES
            .iter()
            .flat_map(|(service, names)| names.iter().map(|name| (*service, *name, Kind::Unary)));
        let methods = unary.chain(STREAMS.iter().copied()).map(|(service, name, kind)| {
            let method = Method::new((service, name, kind), serving.extensive_metrics);
            (format!("/{service}/{name}"), Arc::new(method))
        });
        RpcStats {
            methods: Arc::new(methods.collect()),
            bytes: Arc::default(),
            versions: Arc::default(),
            slow: serving.slow_request,
        }
    }

    pub fn method(&self, path: &str) -> Option<&Arc<Method>> {
        self.methods.get(path)
    }

    /// Whether it is one of etcd's services.
    pub fn serves(&self, service: &str) -> bool {
        SERVICES.iter().any(|(known, _)| *known == service)
            || STREAMS.iter().any(|(known, ..)| *known == service)
    }

    /// Sorted.
    pub fn render(&self, page: &mut Page) {
        let mut methods: Vec<&Method> = self.methods.values().map(Arc::as_ref).collect();
        methods.sort_by_key(|method| (method.service, method.name));
        let counts: [(&str, &str, Count); 3] = [
            ("grpc_server_started_total", "RPCs started on the server", |method| &method.started),
            ("grpc_server_msg_received_total", "Messages received", |method| &method.received),
            ("grpc_server_msg_sent_total", "Messages sent", |method| &method.sent),
        ];
        for (name, help, count) in counts {
            page.family(name, "counter", help);
            for method in &methods {
                page.sample(name, &method.labels(), count(method).load(Ordering::Relaxed) as f64);
            }
        }
        let name = "grpc_server_handled_total";
        page.family(name, "counter", "RPCs completed on the server, regardless of success or failure");
        for method in &methods {
            for (code, count) in method.handled.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 || code == 0 {
                    let labels = [&[("grpc_code", code_name(code))], &method.labels()[..]].concat();
                    page.sample(name, &labels, count as f64);
                }
            }
        }
        seconds(&methods, page);
        let Bytes { received, sent } = &*self.bytes;
        let name = "etcd_network_client_grpc_received_bytes_total";
        page.count(name, "Bytes of requests", received.load(Ordering::Relaxed));
        let name = "etcd_network_client_grpc_sent_bytes_total";
        page.count(name, "Bytes of answers", sent.load(Ordering::Relaxed));
        self.versions.render(page);
    }
}

fn seconds(methods: &[&Method], page: &mut Page) {
    let name = "grpc_server_handling_seconds";
    let timed = methods.iter().filter_map(|method| Some((method, method.seconds.as_ref()?)));
    for (at, (method, histogram)) in timed.enumerate() {
        if at == 0 {
            page.family(name, "histogram", "Response latency of RPCs that were handled by the server");
        }
        page.buckets(name, &method.labels(), histogram);
    }
}

/// As Go's library spells them.
fn code_name(code: usize) -> &'static str {
    const NAMES: [&str; CODES] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    NAMES[code]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_under_etcds_names() {
        let serving = Serving { extensive_metrics: true, ..Serving::default() };
        let stats = RpcStats::new(&serving);
        let put = stats.method("/etcdserverpb.KV/Put").expect("known");
        put.started.fetch_add(1, Ordering::Relaxed);
        put.finished(Code::Unavailable, Duration::from_millis(20), stats.slow);
        stats.versions.count(Kind::Unary, Some("3.4.0"));
        stats.versions.count(Kind::BidiStream, None);
        let mut page = Page::default();
        stats.render(&mut page);
        let text = page.into_text();
        for line in [
            r#"grpc_server_started_total{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#,
            r#"grpc_server_handled_total{grpc_code="Unavailable",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#,
            r#"grpc_server_handling_seconds_count{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#,
            r#"grpc_server_handling_seconds_bucket{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary",le="0.025"} 1"#,
            r#"etcd_server_client_requests_total{client_api_version="3.4.0",type="unary"} 1"#,
            r#"etcd_server_client_requests_total{client_api_version="unknown",type="stream"} 1"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in {text}");
        }
        assert!(stats.method("/etcdserverpb.KV/Nonsense").is_none());
    }
}
