//! Plain HTTP: bodies as stock etcd 3.6 gives them, looked at there.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::StatusRequest;

use crate::harness::{Cluster, eventually, local_url};

const NOT_FOUND: &str = "404 page not found\n";

const PAGES: &[(&str, &str)] = &[
    ("/health", r#"{"health":"true","reason":""}"#),
    ("/health?serializable=true", r#"{"health":"true","reason":""}"#),
    ("/livez", "ok\n"),
    ("/livez?verbose", "[+]serializable_read ok\nok\n"),
    ("/livez/serializable_read", "ok\n"),
    ("/livez?exclude=serializable_read&verbose", "ok\n"),
    ("/livez/serializable_read?exclude=serializable_read&verbose", "[+]serializable_read ok\nok\n"),
    ("/livez/linearizable_read", NOT_FOUND),
    ("/livez/", NOT_FOUND),
    ("/readyz", "ok\n"),
    ("/readyz/linearizable_read?verbose", "[+]linearizable_read ok\nok\n"),
    ("/readyz/non_learner?exclude=non_learner&verbose", "[+]non_learner ok\nok\n"),
    (
        "/readyz?verbose&exclude=linearizable_read",
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]non_learner ok\nok\n",
    ),
    (
        "/readyz?exclude=data_corruption&exclude=serializable_read&exclude=linearizable_read&exclude=non_learner&verbose",
        "ok\n",
    ),
    ("/nothing", NOT_FOUND),
    ("/members", NOT_FOUND),
    ("/debug/pprof/", NOT_FOUND),
];

/// What is no GET of a page, and the code that stock 3.6 has for it.
const ASKED_OTHERWISE: &[(&str, u16)] = &[
    ("POST /nothing", 404),
    ("PUT /", 404),
    ("POST /debug/vars", 405),
    ("OPTIONS /health", 200),
    ("OPTIONS /v3/kv/range", 200),
    ("OPTIONS /nothing", 200),
    ("POST /v3beta/kv/range", 400),
];

#[test]
fn pages_have_the_bodies_of_stock_etcd() {
    let metrics_url = local_url();
    let cluster = Cluster::start(1, |config| config.serving.metrics_urls = vec![metrics_url.clone()]);
    cluster.block_on(async |cluster| {
        for (path, want) in PAGES {
            assert_eq!(cluster.page(0, path).await, *want, "{path}");
        }
        assert_eq!(cluster.ask(&metrics_url, "GET /health").await.1, r#"{"health":"true","reason":""}"#);
        assert_eq!(cluster.ask(&metrics_url, "GET /version").await.1, NOT_FOUND);
        let client = &cluster.config(0).listen_client_urls[0];
        let (head, _) = cluster.ask(client, "POST /health").await;
        assert!(head.starts_with("HTTP/1.1 405"), "{head}");
        assert!(head.to_lowercase().contains("access-control-allow-origin: *"), "{head}");
        for (request, want) in ASKED_OTHERWISE {
            let (head, _) = cluster.ask(client, request).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {want} ")), "{request}: {head}");
        }
        let peer = &cluster.config(0).listen_peer_urls[0];
        let (head, members) = cluster.ask(peer, "GET /members").await;
        assert!(head.to_lowercase().contains("x-etcd-cluster-id: "), "{head}");
        assert!(members.contains(r#""name":"m0","clientURLs":["#), "{members}");
        assert_eq!(cluster.ask(peer, "GET /health").await.1, NOT_FOUND);
    });
}

#[test]
fn a_member_without_a_leader_says_so() {
    let mut cluster = Cluster::start(3, |_| {});
    let alone = cluster.leader();
    cluster.kill((alone + 1) % 3);
    cluster.kill((alone + 2) % 3);
    cluster.block_on(async |cluster| {
        eventually("it notices", Duration::from_secs(10), async || {
            cluster.page(alone, "/health").await == r#"{"health":"false","reason":"RAFT NO LEADER"}"#
        })
        .await;
        assert_eq!(cluster.page(alone, "/livez").await, "ok\n");
        assert_eq!(
            cluster.page(alone, "/readyz/linearizable_read").await,
            "[-]linearizable_read failed: etcdserver: request timed out\n\n"
        );
    });
}

/// What dashboards and alerts ask for.
const METRICS: &[&str] = &[
    "etcd_server_has_leader 1",
    "etcd_server_is_leader 1",
    "etcd_server_is_learner 0",
    "etcd_server_leader_changes_seen_total 1",
    "etcd_server_proposals_failed_total 0",
    "etcd_server_health_success 1",
    "etcd_server_slow_apply_total 0",
    "etcd_cluster_version{cluster_version=\"3.6\"} 1",
    "etcd_mvcc_put_total 2",
    "etcd_mvcc_delete_total 0",
    "etcd_mvcc_range_total 1",
    "etcd_server_range_duration_seconds_count{success=\"true\"} 1",
    "grpc_server_started_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 2",
    "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 2",
    "grpc_server_msg_sent_total{grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1",
    "etcd_debugging_lease_granted_total 0",
    "etcd_server_healthcheck{name=\"serializable_read\",type=\"livez\"} 1",
    "etcd_server_healthchecks_total{name=\"serializable_read\",status=\"success\",type=\"livez\"} 1",
    "# TYPE etcd_network_client_grpc_received_bytes_total counter",
    "# TYPE etcd_disk_wal_fsync_duration_seconds histogram",
    "# TYPE process_resident_memory_bytes gauge",
    "# TYPE os_fd_used gauge",
];

#[test]
fn metrics_have_the_names_of_stock_etcd() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        cluster.put(0, "b", "1").await.unwrap();
        cluster.get(0, "a", false).await.unwrap();
        cluster.page(0, "/health").await;
        cluster.page(0, "/livez").await;
        let text = cluster.page(0, "/metrics").await;
        for want in METRICS {
            assert!(text.lines().any(|line| line == *want), "{want} is not in\n{text}");
        }
        assert!(!text.contains("# EOF"), "that is of another format");
    });
}

type Judge = fn(f64) -> bool;

/// Names and labels as stock 3.4 and 3.6 have them; the second column is what must be so of each other member.
const OF_PEERS: &[(&str, &str, Judge)] = &[
    ("etcd_network_active_peers", "{Local=\"OWN\",Remote=\"OTHER\"}", |value| value == 1.0),
    ("etcd_network_known_peers", "{Local=\"OWN\",Remote=\"OTHER\"}", |value| value == 1.0),
    ("etcd_network_disconnected_peers_total", "{Local=\"OWN\",Remote=\"OTHER\"}", |value| value == 0.0),
    ("etcd_network_peer_sent_bytes_total", "{To=\"OTHER\"}", |value| value > 10_000.0),
    ("etcd_network_peer_received_bytes_total", "{From=\"OTHER\"}", |value| value > 10.0),
    ("etcd_network_peer_received_failures_total", "{From=\"OTHER\"}", |value| value >= 0.0),
    ("etcd_network_peer_sent_failures_total", "{To=\"OTHER\"}", |value| value >= 0.0),
    ("etcd_network_peer_round_trip_time_seconds_bucket", "{To=\"OTHER\",le=\"0.0001\"}", |value| {
        value >= 0.0
    }),
    ("etcd_network_peer_round_trip_time_seconds_bucket", "{To=\"OTHER\",le=\"3.2768\"}", |value| value > 0.0),
    ("etcd_network_peer_round_trip_time_seconds_count", "{To=\"OTHER\"}", |value| value > 0.0),
    ("etcd_network_snapshot_send_inflights_total", "{To=\"OTHER\"}", |value| value == 0.0),
    ("etcd_network_snapshot_send_success", "{To=\"OTHER\"}", |value| value == 0.0),
    ("etcd_network_snapshot_send_failures", "{To=\"OTHER\"}", |value| value == 0.0),
    ("etcd_network_snapshot_send_total_duration_seconds_bucket", "{To=\"OTHER\",le=\"51.2\"}", |value| {
        value == 0.0
    }),
    ("etcd_network_snapshot_receive_inflights_total", "{From=\"OTHER\"}", |value| value == 0.0),
    ("etcd_network_snapshot_receive_success", "{From=\"OTHER\"}", |value| value == 0.0),
    ("etcd_network_snapshot_receive_failures", "{From=\"OTHER\"}", |value| value == 0.0),
];

/// Rows of [`OF_PEERS`] that do not hold on the member.
async fn untrue(cluster: &Cluster, member: usize, ids: &[String]) -> Vec<String> {
    let text = cluster.page(member, "/metrics").await;
    let mut untrue = Vec::new();
    for other in ids.iter().filter(|id| **id != ids[member]) {
        for (name, labels, is_so) in OF_PEERS {
            let sample = format!("{name}{labels}").replace("OWN", &ids[member]).replace("OTHER", other);
            let value = |line: &str| line.strip_prefix(&sample)?.trim().parse().ok();
            if !text.lines().find_map(value).is_some_and(is_so) {
                untrue.push(sample);
            }
        }
    }
    untrue
}

#[test]
fn what_goes_between_members_is_counted() {
    let mut cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader();
    let gone = (leader + 1) % 3;
    let ids = cluster.block_on(async |cluster| {
        let mut ids = Vec::new();
        for member in 0..3 {
            let status = cluster.maintenance(member).status(StatusRequest {}).await.unwrap().into_inner();
            ids.push(format!("{:x}", status.header.unwrap().member_id));
        }
        cluster.put(leader, "a", &"x".repeat(20_000)).await.unwrap();
        eventually("all of it is true of the leader", Duration::from_secs(20), async || {
            untrue(cluster, leader, &ids).await.is_empty()
        })
        .await;
        // Followers have little to say to one another.
        let own = format!("etcd_network_active_peers{{Local=\"{}\",Remote=\"", ids[gone]);
        eventually("a follower finds both others", Duration::from_secs(20), async || {
            let text = cluster.page(gone, "/metrics").await;
            text.lines().filter(|line| line.starts_with(&own) && line.ends_with(" 1")).count() == 2
        })
        .await;
        ids
    });
    cluster.kill(gone);
    cluster.block_on(async |cluster| {
        let pair = format!("{{Local=\"{}\",Remote=\"{}\"}}", ids[leader], ids[gone]);
        eventually("the leader misses it", Duration::from_secs(20), async || {
            let text = cluster.page(leader, "/metrics").await;
            let has = |line: String| text.lines().any(|have| have == line);
            has(format!("etcd_network_active_peers{pair} 0"))
                && has(format!("etcd_network_disconnected_peers_total{pair} 1"))
        })
        .await;
    });
}
