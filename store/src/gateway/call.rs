//! One gRPC call to this member's own services, without a connection: framed messages in, framed messages out.

use std::convert::Infallible;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use super::schema::Method;

/// `Grpc-Metadata-Token: x` is the metadata `token: x`.
const METADATA_PREFIX: &str = "grpc-metadata-";
/// A flag byte and a length of four bytes stand before each message.
const FRAME_HEAD_BYTES: usize = 5;

/// Answers one after the other; an error is the last.
pub type Answers = BoxStream<'static, Result<Bytes, Status>>;

/// Opens the call. `messages` end the client's side of it.
pub async fn open<G>(
    services: G,
    method: &Method,
    headers: &HeaderMap,
    messages: impl Stream<Item = Vec<u8>> + Send + 'static,
) -> Result<Answers, Status>
where
    G: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    G::Future: Send,
{
    let frames = messages.map(|message| Ok::<_, Status>(Frame::data(framed(&message))));
    let mut request = Request::new(Body::new(StreamBody::new(frames)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = method.path.parse().expect("the path of a method is a URI");
    *request.headers_mut() = metadata(headers);
    let response = match services.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    // A call that is refused at once has its status in the headers.
    if let Some(status) =
        Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
    {
        return Err(status);
    }
    Ok(answers(response.into_body()))
}

fn metadata(headers: &HeaderMap) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    metadata.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    metadata.insert(header::TE, HeaderValue::from_static("trailers"));
    if let Some(token) = headers.get(header::AUTHORIZATION) {
        metadata.insert(header::AUTHORIZATION, token.clone());
    }
    for (name, value) in headers {
        let inner = name.as_str().strip_prefix(METADATA_PREFIX);
        if let Some(name) = inner.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
            metadata.insert(name, value.clone());
        }
    }
    metadata
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a request body is far smaller than 4 GiB"));
    frame.put_slice(message);
    frame.freeze()
}

/// What has come of the response and is not yet said.
struct Reading {
    body: Body,
    buffer: BytesMut,
    is_over: bool,
}

fn answers(body: Body) -> Answers {
    let reading = Reading { body, buffer: BytesMut::new(), is_over: false };
    futures::stream::unfold(reading, |mut reading| async move {
        let next = reading.next().await?;
        reading.is_over = next.is_err();
        Some((next, reading))
    })
    .boxed()
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            if self.is_over {
                return None;
            }
            if let Some(message) = self.take_message() {
                return Some(Ok(message));
            }
            match self.body.frame().await? {
                Err(status) => return Some(Err(status)),
                Ok(frame) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(other) => {
                        self.is_over = true;
                        let trailers = other.into_trailers().unwrap_or_default();
                        let status = Status::from_header_map(&trailers);
                        return status.filter(|status| status.code() != Code::Ok).map(Err);
                    }
                },
            }
        }
    }

    fn take_message(&mut self) -> Option<Bytes> {
        let length = self.buffer.get(1..FRAME_HEAD_BYTES)?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        if self.buffer.len() < FRAME_HEAD_BYTES + length {
            return None;
        }
        self.buffer.advance(FRAME_HEAD_BYTES);
        Some(self.buffer.split_to(length).freeze())
    }
}
