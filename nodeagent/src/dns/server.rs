//! The DNS server on the cluster DNS address, over UDP and TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Edns, Header, HeaderCounts, Message, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Answer, Upstreams, Zone};

/// Idle TCP clients are let go after this.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers queued per TCP connection.
const TCP_RESPONSES: usize = 32;
/// Foreign queries in flight; more are refused, so that a dead upstream cannot pile up sockets.
const MAX_FORWARDED: usize = 1000;
/// Largest UDP answer we send: fits every path that carries IPv6 (DNS flag day 2020).
const UDP_PAYLOAD_BYTES: u16 = 1232;

pub struct DnsConfig {
    /// Usually the cluster DNS address, port 53.
    pub listen: SocketAddr,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for DNS on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the DNS server stopped")]
    Stopped(#[source] hickory_server::net::NetError),
}

/// Bound, but not yet serving.
pub struct Server {
    inner: hickory_server::Server<Handler>,
    udp_address: SocketAddr,
}

impl Server {
    /// `listen` must be an address of this host (see `network::ensure_local_address`). Port 0 takes any.
    pub async fn bind(config: DnsConfig, zone: Zone, upstreams: Upstreams) -> Result<Self, Error> {
        let listen_error = |address, source| Error::Listen { address, source };
        let tcp =
            TcpListener::bind(config.listen).await.map_err(|source| listen_error(config.listen, source))?;
        // With port 0 both must share the port that the first one got.
        let address = tcp.local_addr().map_err(|source| listen_error(config.listen, source))?;
        let udp = UdpSocket::bind(address).await.map_err(|source| listen_error(address, source))?;
        let handler = Handler { zone, upstreams, forwarded: Arc::new(Semaphore::new(MAX_FORWARDED)) };
        let mut inner = hickory_server::Server::new(handler);
        inner.register_socket(udp);
        inner.register_listener(tcp, TCP_TIMEOUT, TCP_RESPONSES);
        Ok(Self { inner, udp_address: address })
    }

    pub fn address(&self) -> SocketAddr {
        self.udp_address
    }

    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        tokio::select! {
            () = shutdown.cancelled() => self.inner.shutdown_gracefully().await.map_err(Error::Stopped),
            ended = self.inner.block_until_done() => ended.map_err(Error::Stopped),
        }
    }
}

struct Handler {
    zone: Zone,
    upstreams: Upstreams,
    forwarded: Arc<Semaphore>,
}

/// What goes out, whoever knew it.
#[derive(Default)]
struct Reply {
    code: ResponseCode,
    is_authoritative: bool,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    additionals: Vec<Record>,
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response: R,
    ) -> ResponseInfo {
        let reply = self.reply(request).await;
        send(request, response, &reply).await
    }
}

impl Handler {
    async fn reply(&self, request: &Request) -> Reply {
        if request.metadata.op_code != OpCode::Query {
            return Reply { code: ResponseCode::NotImp, ..Reply::default() };
        }
        let Ok(info) = request.request_info() else {
            return Reply { code: ResponseCode::FormErr, ..Reply::default() };
        };
        let record_type = info.query.query_type();
        match self.zone.answer(&info.query.name().to_string(), record_type) {
            Answer::Foreign => self.forward(request.as_slice()).await,
            Answer::External { records, target } => self.chase(records, target, record_type).await,
            Answer::Ours { code, records, additionals, authorities } => {
                Reply { code, is_authoritative: true, answers: records, authorities, additionals }
            }
        }
    }

    async fn forward(&self, query: &[u8]) -> Reply {
        let Ok(_permit) = self.forwarded.try_acquire() else {
            return Reply { code: ResponseCode::Refused, ..Reply::default() };
        };
        match self.upstreams.ask(query).await {
            Some(answer) => Reply {
                code: answer.metadata.response_code,
                is_authoritative: false,
                answers: answer.answers,
                authorities: answer.authorities,
                additionals: answer.additionals,
            },
            None => Reply { code: ResponseCode::ServFail, ..Reply::default() },
        }
    }

    /// Stub resolvers do not follow a CNAME by themselves, so the target's records go with it.
    async fn chase(&self, cname: Vec<Record>, target: Name, record_type: RecordType) -> Reply {
        let mut reply = Reply { is_authoritative: true, answers: cname, ..Reply::default() };
        if record_type == RecordType::CNAME {
            return reply;
        }
        match self.zone.answer(&target.to_string(), record_type) {
            Answer::Ours { records, .. } | Answer::External { records, .. } => reply.answers.extend(records),
            Answer::Foreign => {
                let mut query = Message::query();
                query.add_query(Query::query(target, record_type));
                query.metadata.recursion_desired = true;
                if let Ok(bytes) = query.to_vec() {
                    let found = self.forward(&bytes).await;
                    reply.answers.extend(found.answers);
                    reply.authorities = found.authorities;
                }
            }
        }
        reply
    }
}

async fn send<R: ResponseHandler>(request: &Request, mut response: R, reply: &Reply) -> ResponseInfo {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.response_code = reply.code;
    metadata.authoritative = reply.is_authoritative;
    metadata.recursion_available = true;
    let edns = request.edns.as_ref().map(|asked| {
        let mut edns = Edns::new();
        edns.set_max_payload(asked.max_payload().clamp(512, UDP_PAYLOAD_BYTES));
        edns
    });
    let mut builder = MessageResponseBuilder::from_message_request(request);
    if let Some(edns) = &edns {
        builder.edns(edns);
    }
    let none: [&Record; 0] = [];
    let message = builder.build(metadata, &reply.answers, &reply.authorities, none, &reply.additionals);
    match response.send_response(message).await {
        Ok(info) => info,
        Err(error) => {
            debug!(%error, "DNS answer was not sent");
            Header { metadata, counts: HeaderCounts::default() }.into()
        }
    }
}
