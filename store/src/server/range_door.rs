//! `KV.Range` past the generated code: the reply is bytes already, which the generated service cannot say, and which nobody
//! need copy any more.
//!
//! Everything else of the KV service goes on to the generated one.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use balsa_proto::etcd::etcdserverpb::RangeRequest;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tower::Service;

use super::kv::KvService;

const RANGE_PATH: &str = "/etcdserverpb.KV/Range";
/// Of a gRPC message: whether it is compressed, and its length.
const MESSAGE_HEAD_BYTES: usize = 5;

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

    /// The reply becomes the body as it is. tonic would copy it into a buffer of its own, so that it is given an empty one.
    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let mut grpc = Grpc::new(RangeCodec).max_decoding_message_size(self.recv_bytes);
        let reply = Arc::default();
        let range = Range { kv: self.kv, send_bytes: self.send_bytes, reply: Arc::clone(&reply) };
        let response = grpc.unary(range, request).await;
        match reply.lock().take() {
            Some(reply) => response.map(|_| whole(reply)),
            None => response,
        }
    }
}

/// One message, framed, and the trailers of a call that went well.
fn whole(message: Bytes) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    Body::new(Full::new(message).with_trailers(async move { Some(Ok(trailers)) }))
}

struct Range {
    kv: Arc<KvService>,
    send_bytes: usize,
    /// Set when the range went well: the message and the head of its frame.
    reply: Arc<Mutex<Option<Bytes>>>,
}

impl UnaryService<RangeRequest> for Range {
    type Response = ();
    type Future = BoxFuture<'static, Result<tonic::Response<()>, Status>>;

    fn call(&mut self, request: tonic::Request<RangeRequest>) -> Self::Future {
        let (kv, send_bytes, slot) = (self.kv.clone(), self.send_bytes, self.reply.clone());
        Box::pin(async move {
            let reply = kv.range_wire(request, MESSAGE_HEAD_BYTES).await?;
            *slot.lock() = Some(framed(reply, send_bytes)?);
            Ok(tonic::Response::new(()))
        })
    }
}

/// Fills in the head, for which there is room in front: not compressed, and how long the message is.
fn framed(mut reply: BytesMut, limit_bytes: usize) -> Result<Bytes, Status> {
    let message_bytes = reply.len() - MESSAGE_HEAD_BYTES;
    let fits = u32::try_from(message_bytes).ok().filter(|_| message_bytes <= limit_bytes);
    let length = fits.ok_or_else(|| {
        Status::out_of_range(format!(
            "the answer has {message_bytes} bytes, and a message may have {limit_bytes}: ask with a limit, or use RangeStream"
        ))
    })?;
    reply[1..MESSAGE_HEAD_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(reply.freeze())
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

/// Requests are messages; replies are made elsewhere.
#[derive(Debug, Clone, Copy)]
struct RangeCodec;

impl Codec for RangeCodec {
    type Encode = ();
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
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
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
