//! The servers for foreign names: those of the host's resolv.conf, or fixed ones.
//!
//! Each server is asked once, in order, over UDP with an id of our own; a cut-off answer is asked for again over
//! TCP. Our own addresses are left out, since asking them would be a loop.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const PORT: u16 = 53;
/// Clients give up after 5 s, so two servers must fit.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// As many servers as the C library reads.
const MAX_SERVERS: usize = 3;
/// Largest UDP answer: Ethernet's MTU without headers leaves no larger one.
const UDP_ANSWER_BYTES: usize = 4096;
/// How long a read of resolv.conf holds.
const REREAD: Duration = Duration::from_secs(5);

pub struct Upstreams {
    source: Source,
    own: Vec<IpAddr>,
    read: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

enum Source {
    ResolvConf(PathBuf),
    Fixed(Vec<SocketAddr>),
}

impl Upstreams {
    /// Servers named in `path`, read anew as it changes, without `own`.
    pub fn from_resolv_conf(path: PathBuf, own: Vec<IpAddr>) -> Self {
        Self { source: Source::ResolvConf(path), own, read: Mutex::new(None) }
    }

    pub fn fixed(servers: Vec<SocketAddr>) -> Self {
        Self { source: Source::Fixed(servers), own: Vec::new(), read: Mutex::new(None) }
    }

    /// The first usable answer to `query`, a whole DNS message.
    pub async fn ask(&self, query: &[u8]) -> Option<Message> {
        for server in self.servers() {
            if let Ok(Ok(answer)) = timeout(SERVER_TIMEOUT, exchange(server, query)).await {
                return Some(answer);
            }
        }
        None
    }

    fn servers(&self) -> Vec<SocketAddr> {
        match &self.source {
            Source::Fixed(servers) => servers.clone(),
            Source::ResolvConf(path) => {
                let mut read = self.read.lock();
                if let Some((at, servers)) = &*read
                    && at.elapsed() < REREAD
                {
                    return servers.clone();
                }
                let text = std::fs::read_to_string(path).unwrap_or_default();
                let servers = servers_of(&text, &self.own);
                *read = Some((Instant::now(), servers.clone()));
                servers
            }
        }
    }
}

pub fn servers_of(resolv_conf: &str, own: &[IpAddr]) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.split_whitespace().next()?.parse().ok())
        .filter(|address: &IpAddr| !own.contains(address))
        .take(MAX_SERVERS)
        .map(|address| SocketAddr::new(address, PORT))
        .collect()
}

async fn exchange(server: SocketAddr, query: &[u8]) -> std::io::Result<Message> {
    let mut query = query.to_vec();
    let id: u16 = rand::random();
    query.splice(0..2, id.to_be_bytes());
    let answer = over_udp(server, &query, id).await?;
    if answer.metadata.truncation { over_tcp(server, &query, id).await } else { Ok(answer) }
}

async fn over_udp(server: SocketAddr, query: &[u8], id: u16) -> std::io::Result<Message> {
    let local: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; UDP_ANSWER_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything else on this socket is a guess of somebody else's.
        if let Some(answer) = parse(&buffer[..length], id) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8], id: u16) -> std::io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    parse(&buffer, id).ok_or_else(|| std::io::Error::other("the answer is not for our query"))
}

fn parse(bytes: &[u8], id: u16) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    (message.metadata.id == id && message.metadata.message_type == MessageType::Response).then_some(message)
}
