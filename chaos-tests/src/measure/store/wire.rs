//! A gRPC client that hands bytes through, for what is done before and beside a measurement; loads go by [`super::line`].

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::socket;

/// Clients that share one connection.
const CLIENTS_PER_CONNECTION: usize = 16;
const WINDOW_BYTES: u32 = 4 << 20;

pub const PUT: &str = "/etcdserverpb.KV/Put";
pub const RANGE: &str = "/etcdserverpb.KV/Range";
pub const TXN: &str = "/etcdserverpb.KV/Txn";
pub const COMPACT: &str = "/etcdserverpb.KV/Compact";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
pub const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
pub const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";

#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// One client. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    grpc: Grpc<Channel>,
}

impl Client {
    /// `count` clients, [`CLIENTS_PER_CONNECTION`] to a connection.
    pub async fn connect(endpoint: &str, count: usize) -> Result<Vec<Client>> {
        let mut clients = Vec::with_capacity(count);
        while clients.len() < count {
            let windows = |client: Endpoint| {
                client
                    .initial_stream_window_size(WINDOW_BYTES)
                    .initial_connection_window_size(2 * WINDOW_BYTES)
            };
            let channel = socket::channel(endpoint, windows).await?;
            let client = Client { grpc: Grpc::new(channel).max_decoding_message_size(usize::MAX) };
            let sharing = CLIENTS_PER_CONNECTION.min(count - clients.len());
            clients.extend(std::iter::repeat_n(client, sharing));
        }
        Ok(clients)
    }

    pub async fn call(&mut self, path: &'static str, message: Bytes) -> Result<Bytes> {
        self.grpc.ready().await.context("wait for the connection")?;
        let answer = self.grpc.unary(Request::new(message), PathAndQuery::from_static(path), Raw).await;
        Ok(answer.with_context(|| path.to_owned())?.into_inner())
    }

    /// Calls and reads the answer as `T`.
    pub async fn ask<T: Message + Default>(
        &mut self,
        path: &'static str,
        message: &impl Message,
    ) -> Result<T> {
        let answer = self.call(path, message.encode_to_vec().into()).await?;
        T::decode(answer).context("decode the answer")
    }
}
