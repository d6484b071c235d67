//! What the gRPC services do, counted by method: `grpc_server_*`, under the names that etcd's dashboards read.
//!
//! A request costs some atomic increments. How long calls take is kept only with `--metrics=extensive`; a slow one is
//! logged always.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use crate::config::Serving;

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

    fn labels(&self) -> String {
        let Method { service, name, kind, .. } = self;
        let kind = kind.name();
        format!(r#"grpc_method="{name}",grpc_service="{service}",grpc_type="{kind}""#)
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
        RpcStats { methods: Arc::new(methods.collect()), bytes: Arc::default(), slow: serving.slow_request }
    }

    pub fn method(&self, path: &str) -> Option<&Arc<Method>> {
        self.methods.get(path)
    }

    /// In Prometheus' text format, sorted.
    pub fn render(&self, out: &mut String) {
        let mut methods: Vec<&Method> = self.methods.values().map(Arc::as_ref).collect();
        methods.sort_by_key(|method| (method.service, method.name));
        let counts: [(&str, &str, Count); 3] = [
            ("grpc_server_started_total", "RPCs started on the server", |method| &method.started),
            ("grpc_server_msg_received_total", "Messages received", |method| &method.received),
            ("grpc_server_msg_sent_total", "Messages sent", |method| &method.sent),
        ];
        for (name, help, count) in counts {
            head(out, name, help);
            for method in &methods {
                let count = count(method).load(Ordering::Relaxed);
                line(out, name, &method.labels(), count);
            }
        }
        let name = "grpc_server_handled_total";
        head(out, name, "RPCs completed on the server, regardless of success or failure");
        for method in &methods {
            for (code, count) in method.handled.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 || code == 0 {
                    line(
                        out,
                        name,
                        &format!(r#"grpc_code="{}",{}"#, code_name(code), method.labels()),
                        count,
                    );
                }
            }
        }
        seconds(&methods, out);
        let bytes = [
            ("etcd_network_client_grpc_received_bytes_total", "Bytes of requests", &self.bytes.received),
            ("etcd_network_client_grpc_sent_bytes_total", "Bytes of answers", &self.bytes.sent),
        ];
        for (name, help, count) in bytes {
            head(out, name, help);
            // Writing into a String does not fail.
            let _ = writeln!(out, "{name} {}", count.load(Ordering::Relaxed));
        }
    }
}

fn seconds(methods: &[&Method], out: &mut String) {
    let name = "grpc_server_handling_seconds";
    let mut has_head = false;
    for method in methods {
        let Some(histogram) = &method.seconds else { continue };
        let mut registry = Registry::default();
        registry.register_with_unit("x", "", Unit::Seconds, histogram.clone());
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes any text");
        if !has_head {
            has_head = true;
            let help = "Response latency of RPCs that were handled by the server";
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        }
        for sample in text.lines().filter(|line| !line.starts_with('#')) {
            let sample = sample.trim_start_matches("x_seconds");
            let labelled = match sample.split_once('{') {
                Some((part, rest)) => format!("{name}{part}{{{},{rest}", method.labels()),
                None => match sample.split_once(' ') {
                    Some((part, value)) => format!("{name}{part}{{{}}} {value}", method.labels()),
                    None => continue,
                },
            };
            out.push_str(&labelled);
            out.push('\n');
        }
    }
}

fn head(out: &mut String, name: &str, help: &str) {
    // Writing into a String does not fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n");
}

fn line(out: &mut String, name: &str, labels: &str, count: u64) {
    let _ = writeln!(out, "{name}{{{labels}}} {count}");
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
        let mut text = String::new();
        stats.render(&mut text);
        for line in [
            r#"grpc_server_started_total{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#,
            r#"grpc_server_handled_total{grpc_code="Unavailable",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#,
            r#"grpc_server_handling_seconds_count{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#,
            r#"grpc_server_handling_seconds_bucket{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary",le="0.025"} 1"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in {text}");
        }
        assert!(stats.method("/etcdserverpb.KV/Nonsense").is_none());
    }
}
