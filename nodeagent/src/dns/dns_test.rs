//! Questions and answers as a table, against a real server on a loopback port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use balsa_proto::client::{ObjectKey, Store};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::upstream::servers_of;
use super::{DnsConfig, Server, Upstreams, Zone};
use crate::proxy::{BY_ADDRESS, BY_SERVICE, service_of};

fn object<K: DeserializeOwned>(namespace: &str, name: &str, mut value: Value) -> (ObjectKey, K) {
    value["metadata"]["name"] = name.into();
    value["metadata"]["namespace"] = namespace.into();
    let key = ObjectKey { namespace: namespace.into(), name: name.into() };
    (key, serde_json::from_value(value).expect("object"))
}

fn zone() -> Zone {
    let services: Vec<(ObjectKey, Service)> = vec![
        object(
            "default",
            "web",
            json!({"spec": {"clusterIP": "10.96.1.1", "ports": [{"name": "http", "port": 80}]}}),
        ),
        object(
            "default",
            "db",
            json!({"spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]}}),
        ),
        object(
            "default",
            "outside",
            json!({"spec": {"type": "ExternalName", "externalName": "example.test"}}),
        ),
        object(
            "other",
            "alias",
            json!({"spec": {"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}}),
        ),
    ];
    let slice = |service: &str, port: Value, endpoints: Value| {
        json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}, "addressType": "IPv4",
               "ports": [port], "endpoints": endpoints})
    };
    let slices: Vec<(ObjectKey, EndpointSlice)> = vec![object(
        "default",
        "db-1",
        slice(
            "db",
            json!({"name": "sql", "port": 5432, "protocol": "TCP"}),
            json!([
                {"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": true}},
                {"addresses": ["10.244.0.6"], "conditions": {"ready": true}},
                {"addresses": ["10.244.0.7"], "hostname": "db-2", "conditions": {"ready": false}},
            ]),
        ),
    )];
    let by_address = |service: &Service| {
        service.spec.iter().filter_map(|spec| spec.cluster_ip.clone()).filter(|ip| ip != "None").collect()
    };
    let endpoint_addresses = |slice: &EndpointSlice| {
        slice.endpoints.iter().flatten().flat_map(|endpoint| endpoint.addresses.clone()).collect()
    };
    Zone {
        domain: "cluster.local".into(),
        address: Ipv4Addr::new(10, 96, 0, 10),
        services: Store::fixed(services, vec![(BY_ADDRESS, Arc::new(by_address))]),
        slices: Store::fixed(
            slices,
            vec![
                (BY_SERVICE, Arc::new(|slice: &EndpointSlice| service_of(slice).into_iter().collect())),
                (BY_ADDRESS, Arc::new(endpoint_addresses)),
            ],
        ),
    }
}

async fn serve(zone: Zone, upstreams: Vec<SocketAddr>, shutdown: &CancellationToken) -> SocketAddr {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(DnsConfig { listen }, zone, Upstreams::fixed(upstreams)).await.expect("bound");
    let address = server.address();
    let shutdown = shutdown.clone();
    tokio::spawn(async move { server.run(shutdown).await });
    address
}

fn query(name: &str, record_type: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).expect("name"), record_type));
    message.metadata.recursion_desired = true;
    message.to_vec().expect("encoded")
}

async fn ask(server: SocketAddr, name: &str, record_type: RecordType) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("socket");
    socket.send_to(&query(name, record_type), server).await.expect("sent");
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.expect("answer");
    Message::from_vec(&buffer[..length]).expect("message")
}

fn text(message: &Message) -> String {
    let mut lines: Vec<String> =
        message.answers.iter().map(|record| format!("{} {}", record.record_type(), record.data)).collect();
    lines.sort();
    let code = match message.metadata.response_code {
        ResponseCode::NoError => String::new(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        other => other.to_string(),
    };
    let soa = message.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
    let parts = [code, lines.join(", "), if soa { "soa".to_owned() } else { String::new() }];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn names_of_the_cluster() {
    use RecordType::{A, AAAA, NS, PTR, SOA, SRV, TXT};
    let shutdown = CancellationToken::new();
    let server = serve(zone(), Vec::new(), &shutdown).await;
    let table = [
        ("web.default.svc.cluster.local.", A, "A 10.96.1.1"),
        ("WEB.default.SVC.cluster.local.", A, "A 10.96.1.1"),
        ("web.default.svc.cluster.local.", AAAA, "soa"),
        ("web.other.svc.cluster.local.", A, "NXDOMAIN soa"),
        ("web.svc.cluster.local.", A, "NXDOMAIN soa"),
        ("default.svc.cluster.local.", A, "soa"),
        ("svc.cluster.local.", A, "soa"),
        ("nothing.cluster.local.", A, "NXDOMAIN soa"),
        ("db.default.svc.cluster.local.", A, "A 10.244.0.5, A 10.244.0.6"),
        ("db-0.db.default.svc.cluster.local.", A, "A 10.244.0.5"),
        ("10-244-0-6.db.default.svc.cluster.local.", A, "A 10.244.0.6"),
        ("db-2.db.default.svc.cluster.local.", A, "NXDOMAIN soa"),
        ("_http._tcp.web.default.svc.cluster.local.", SRV, "SRV 0 100 80 web.default.svc.cluster.local."),
        ("_http._udp.web.default.svc.cluster.local.", SRV, "NXDOMAIN soa"),
        (
            "_sql._tcp.db.default.svc.cluster.local.",
            SRV,
            "SRV 0 50 5432 10-244-0-6.db.default.svc.cluster.local., SRV 0 50 5432 db-0.db.default.svc.cluster.local.",
        ),
        ("10-1-2-3.default.pod.cluster.local.", A, "A 10.1.2.3"),
        ("not-an-address.default.pod.cluster.local.", A, "NXDOMAIN soa"),
        ("1.1.96.10.in-addr.arpa.", PTR, "PTR web.default.svc.cluster.local."),
        ("5.0.244.10.in-addr.arpa.", PTR, "PTR db-0.db.default.svc.cluster.local."),
        ("cluster.local.", NS, "NS ns.dns.cluster.local."),
        ("ns.dns.cluster.local.", A, "A 10.96.0.10"),
        ("dns-version.cluster.local.", TXT, "TXT 1.1.0"),
        ("alias.other.svc.cluster.local.", A, "A 10.96.1.1, CNAME web.default.svc.cluster.local."),
        ("outside.default.svc.cluster.local.", A, "CNAME example.test."),
        ("example.test.", A, "SERVFAIL"),
    ];
    for (name, record_type, expected) in table {
        assert_eq!(text(&ask(server, name, record_type).await), expected, "{name} {record_type}");
    }
    let apex = ask(server, "cluster.local.", SOA).await;
    assert_eq!(apex.answers.len(), 1);
    assert!(apex.metadata.authoritative);
    shutdown.cancel();
}

#[tokio::test]
async fn foreign_names_and_external_names_come_from_upstream() {
    let shutdown = CancellationToken::new();
    let mut upstream_zone = zone();
    upstream_zone.domain = "test".into();
    // `a-b-c-d.x.pod.test` is a name that this stand-in for the outside knows.
    let upstream = serve(upstream_zone, Vec::new(), &shutdown).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("socket");
    let mut own = zone();
    let outside: (ObjectKey, Service) = object(
        "default",
        "outside",
        json!({"spec": {"type": "ExternalName", "externalName": "192-0-2-7.x.pod.test"}}),
    );
    own.services = Store::fixed(vec![outside], vec![(BY_ADDRESS, Arc::new(|_: &Service| Vec::new()))]);
    let servers = vec![silent.local_addr().expect("address"), upstream];
    let server = serve(own, servers, &shutdown).await;
    assert_eq!(text(&ask(server, "192-0-2-8.x.pod.test.", RecordType::A).await), "A 192.0.2.8");
    assert_eq!(text(&ask(server, "no.such.test.", RecordType::A).await), "NXDOMAIN soa");
    assert_eq!(
        text(&ask(server, "outside.default.svc.cluster.local.", RecordType::A).await),
        "A 192.0.2.7, CNAME 192-0-2-7.x.pod.test."
    );
    shutdown.cancel();
}

#[tokio::test]
async fn tcp_answers_too() {
    let shutdown = CancellationToken::new();
    let server = serve(zone(), Vec::new(), &shutdown).await;
    let mut stream = TcpStream::connect(server).await.expect("connected");
    let query = query("web.default.svc.cluster.local.", RecordType::A);
    let length = u16::try_from(query.len()).expect("short");
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat()).await.expect("sent");
    let mut buffer = vec![0; usize::from(stream.read_u16().await.expect("length"))];
    stream.read_exact(&mut buffer).await.expect("answer");
    assert_eq!(text(&Message::from_vec(&buffer).expect("message")), "A 10.96.1.1");
    shutdown.cancel();
}

#[test]
fn upstreams_are_the_hosts_without_ourselves() {
    let text = "# by hand\nsearch lan\nnameserver 10.96.0.10\nnameserver 192.0.2.53 # first\n nameserver 198.51.100.53\n";
    let own = ["10.96.0.10".parse().expect("address")];
    let servers: Vec<String> = servers_of(text, &own).iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "198.51.100.53:53"]);
}
