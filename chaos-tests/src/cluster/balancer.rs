//! A load balancer for the API: TCP connections go in turn to apiservers that say that they are ready.
//!
//! TLS passes through. Each server is asked for `/readyz` once a second; one that does not answer well gets no new
//! connections and its open ones are cut, so that their clients come again and reach another. Where none is ready, a new
//! connection is closed at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsConnector;

const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    listen: SocketAddr,
    /// An apiserver; give it once for each
    #[arg(long, required = true)]
    server: Vec<SocketAddr>,
    /// CA of the apiservers
    #[arg(long)]
    ca_file: PathBuf,
}

/// An apiserver and whether it is ready.
struct Server {
    address: SocketAddr,
    ready: watch::Sender<bool>,
}

pub async fn run(args: Args) -> Result<()> {
    let tls = connector(&args.ca_file)?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("listen on {}", args.listen))?;
    let new = |address| Arc::new(Server { address, ready: watch::Sender::new(false) });
    let servers: Vec<Arc<Server>> = args.server.into_iter().map(new).collect();
    for server in &servers {
        tokio::spawn(watch_over(server.clone(), tls.clone()));
    }
    let turn = AtomicUsize::new(0);
    loop {
        let (client, _) = listener.accept().await.context("accept a connection")?;
        let first = turn.fetch_add(1, Ordering::Relaxed);
        let ready = |turn: usize| servers[turn % servers.len()].clone();
        let ready = (first..first + servers.len()).map(ready).find(|server| *server.ready.borrow());
        if let Some(server) = ready {
            tokio::spawn(pass_on(client, server));
        }
    }
}

/// Carries bytes both ways until a side ends or the server is not ready any more.
async fn pass_on(mut client: TcpStream, server: Arc<Server>) {
    let Ok(Ok(mut upstream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(server.address)).await else {
        return;
    };
    // Small requests must not wait for more; a socket that is gone already says so below.
    let _ = client.set_nodelay(true).and(upstream.set_nodelay(true));
    let mut ready = server.ready.subscribe();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut upstream) => {}
        _ = ready.wait_for(|ready| !ready) => {}
    }
}

async fn watch_over(server: Arc<Server>, tls: TlsConnector) {
    let mut tick = interval(CHECK_EVERY);
    loop {
        tick.tick().await;
        let answer = timeout(CHECK_TIMEOUT, check(server.address, &tls)).await;
        let problem = match answer {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some(format!("no answer within {CHECK_TIMEOUT:?}")),
        };
        let changed =
            server.ready.send_if_modified(|ready| std::mem::replace(ready, problem.is_none()) != *ready);
        if changed {
            match problem {
                None => println!("{} is ready", server.address),
                Some(problem) => println!("{} is not ready: {problem}", server.address),
            }
        }
    }
}

async fn check(address: SocketAddr, tls: &TlsConnector) -> Result<()> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let name = ServerName::IpAddress(address.ip().into());
    let mut stream = tls.connect(name, stream).await.context("agree on TLS")?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("ask")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.context("read the answer")?;
    ensure!(answer.ends_with(b" 200"), "it answered {:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

fn connector(ca_file: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca_file);
    for certificate in certificates.with_context(|| format!("read {}", ca_file.display()))? {
        let certificate = certificate.with_context(|| format!("read {}", ca_file.display()))?;
        roots.add(certificate).context("take the CA")?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // A resumed session shows no certificate, and so not that it has expired: a check is to see what a new client sees.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
