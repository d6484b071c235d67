//! `KV.Range` past the generated code: the reply is bytes already, which the generated service cannot say.
//!
//! Everything else of the KV service goes on to the generated one.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use balsa_proto::etcd::etcdserverpb::RangeRequest;
use bytes::{BufMut, Bytes};
use futures::future::BoxFuture;
use http::{Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tower::Service;

use super::kv::KvService;

const RANGE_PATH: &str = "/etcdserverpb.KV/Range";

#[derive(Clone)]
pub struct RangeDoor {
    pub kv: Arc<KvService>,
    pub recv_bytes: usize,
    pub send_bytes: usize,
}

impl RangeDoor {
    /// `inner` gets what is no range.
    pub fn before<S>(self, inner: S) -> WithRange<S> {
        WithRange { door: self, inner }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let mut grpc = Grpc::new(RangeCodec)
            .max_decoding_message_size(self.recv_bytes)
            .max_encoding_message_size(self.send_bytes);
        grpc.unary(Range(self.kv), request).await
    }
}

struct Range(Arc<KvService>);

impl UnaryService<RangeRequest> for Range {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<RangeRequest>) -> Self::Future {
        let kv = self.0.clone();
        Box::pin(async move { kv.range_wire(request).await })
    }
}

/// The KV service with its ranges answered here.
#[derive(Clone)]
pub struct WithRange<S> {
    door: RangeDoor,
    inner: S,
}

impl<S: NamedService> NamedService for WithRange<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for WithRange<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() == RANGE_PATH {
            let door = self.door.clone();
            return Box::pin(async move { Ok(door.answer(request).await) });
        }
        Box::pin(self.inner.call(request))
    }
}

/// Requests are messages, replies are bytes.
#[derive(Debug, Clone, Copy)]
struct RangeCodec;

impl Codec for RangeCodec {
    type Encode = Bytes;
    type Decode = RangeRequest;
    type Encoder = RangeCodec;
    type Decoder = RangeCodec;

    fn encoder(&mut self) -> RangeCodec {
        RangeCodec
    }

    fn decoder(&mut self) -> RangeCodec {
        RangeCodec
    }
}

impl Encoder for RangeCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, reply: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(reply.len());
        into.put(reply);
        Ok(())
    }
}

impl Decoder for RangeCodec {
    type Item = RangeRequest;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<RangeRequest>, Status> {
        RangeRequest::decode(from).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
