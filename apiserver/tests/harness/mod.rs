//! A stock etcd and our apiserver on loopback, with temporary directories, and a plain HTTPS client.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use balsa_apiserver::pki::{CertKey, Pki, PkiOptions};
use balsa_apiserver::{Args, run};
use balsa_proto::client::{ClientConfig, Credential};
use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub struct Cluster {
    pub port: u16,
    pub etcd_port: u16,
    pub pki: Pki,
    etcd: Child,
    shutdown: CancellationToken,
    server: Option<tokio::task::JoinHandle<()>>,
    directory: TempDir,
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

impl Cluster {
    /// None where no stock etcd is installed.
    pub async fn start() -> Option<Cluster> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let etcd_port = free_port();
        let etcd = start_etcd(&directory, etcd_port)?;
        let options = PkiOptions {
            host_name: "localhost".into(),
            advertise_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            service_address: "10.96.0.1".parse().expect("an address"),
            cluster_domain: "cluster.local".into(),
            extra_sans: Vec::new(),
        };
        let pki = Pki::ensure(&directory.path().join("pki"), &options).expect("certificates");
        let mut cluster = Cluster {
            port: free_port(),
            etcd_port,
            pki,
            etcd,
            shutdown: CancellationToken::new(),
            server: None,
            directory,
        };
        cluster.start_server().await;
        Some(cluster)
    }

    async fn start_server(&mut self) {
        let cert_dir = self.directory.path().join("pki");
        let words = [
            "apiserver".to_owned(),
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", self.port),
            format!("--cert-dir={}", cert_dir.display()),
        ];
        let config = Cli::parse_from(words).args.into_config().expect("a configuration");
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        self.shutdown = CancellationToken::new();
        let shutdown = self.shutdown.clone();
        self.server =
            Some(tokio::spawn(async move { run(config, ready, shutdown).await.expect("a clean run") }));
        is_ready.await.expect("the server becomes ready");
    }

    /// A second server process on the same etcd would see the same; so does a restart.
    pub async fn restart_server(&mut self) {
        self.shutdown.cancel();
        if let Some(server) = self.server.take() {
            server.await.expect("the server ends");
        }
        self.start_server().await;
    }

    pub fn admin(&self) -> Client {
        self.user("admin", &["system:masters"])
    }

    pub fn user(&self, name: &str, groups: &[&str]) -> Client {
        let certificate = self.pki.issue_client(name, groups).expect("a client certificate");
        Client::new(self.port, self.pki.ca_pem(), Some(&certificate))
    }

    /// The components' client, through the other door.
    pub fn component(&self, name: &str, groups: &[&str]) -> balsa_proto::client::Client {
        let certificate = self.pki.issue_client(name, groups).expect("a client certificate");
        let config = ClientConfig {
            server: format!("https://localhost:{}", self.port),
            ca_pem: self.pki.ca_pem().as_bytes().to_vec(),
            credential: Credential::ClientCert {
                cert_pem: certificate.cert_pem.into_bytes(),
                key_pem: certificate.key_pem.into_bytes(),
            },
            user_agent: "component/1".into(),
        };
        balsa_proto::client::Client::new(config).expect("a client")
    }

    pub fn nobody(&self) -> Client {
        Client::new(self.port, self.pki.ca_pem(), None)
    }

    /// Compacts etcd at its present revision.
    pub fn compact(&self, revision: u64) {
        let status = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args([
                format!("--endpoints=127.0.0.1:{}", self.etcd_port),
                "compact".into(),
                revision.to_string(),
            ])
            .stdout(Stdio::null())
            .status()
            .expect("etcdctl");
        assert!(status.success(), "etcdctl compact {revision}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

fn start_etcd(directory: &TempDir, port: u16) -> Option<Child> {
    let peer = free_port();
    let client_url = format!("http://127.0.0.1:{port}");
    let peer_url = format!("http://127.0.0.1:{peer}");
    let spawned = Command::new("etcd")
        .arg("--data-dir")
        .arg(directory.path().join("etcd"))
        .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
        .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
        .args(["--initial-cluster", &format!("default={peer_url}")])
        .args(["--unsafe-no-fsync", "--log-level", "error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match spawned {
        Ok(child) => Some(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: no stock etcd is installed (apt install etcd-server)");
            None
        }
        Err(error) => panic!("cannot start etcd: {error}"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// One TLS connection per request: simple, and every test exercises the handshake.
#[derive(Clone)]
pub struct Client {
    port: u16,
    tls: tokio_rustls::TlsConnector,
}

pub struct Reply {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The object of a success; panics with the body otherwise.
    pub fn ok(&self) -> Value {
        assert!(self.code < 300, "{} {}", self.code, String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// `code reason: message` of a failure.
    pub fn failure(&self) -> String {
        let status = self.json();
        assert_eq!(status["kind"], "Status", "{status}");
        assert_eq!(status["code"], self.code, "{status}");
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}: {}", self.code, text("reason"), text("message"))
    }
}

impl Client {
    pub fn new(port: u16, ca_pem: &str, certificate: Option<&CertKey>) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(ca.expect("PEM")).expect("a CA");
        }
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.cert_pem.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        Client { port, tls: tokio_rustls::TlsConnector::from(Arc::new(config)) }
    }

    async fn open(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = self.tls.connect(name, stream).await.expect("a TLS session");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("a response")
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        request = request.header("user-agent", "test/1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.open(request.body(Full::new(body.into())).expect("a request")).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Reply { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn patch(&self, path: &str, content_type: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, &[("content-type", content_type)], body.to_string()).await
    }

    pub async fn delete(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::DELETE, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn watch(&self, path: &str) -> Lines {
        let request = Request::builder().uri(path).header("host", "localhost");
        let response = self.open(request.body(Full::new(Bytes::new())).expect("a request")).await;
        assert_eq!(response.status(), 200);
        Lines { body: response.into_body(), rest: Vec::new() }
    }
}

/// The events of a watch.
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// None at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an event"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// `TYPE name`
    pub async fn line(&mut self) -> String {
        let event = self.next().await.expect("one more event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}
