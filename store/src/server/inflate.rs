//! Requests that a client compressed with gzip, made plain before anybody reads them. Answers are always plain, which
//! every client takes.
//!
//! A message is five bytes of head (is it compressed, how long is it) and its body, however the stream is cut.

use std::convert::Infallible;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

const ENCODING: &str = "grpc-encoding";
const HEAD_BYTES: usize = 5;

#[derive(Debug, Clone, Copy)]
pub struct InflateLayer {
    /// Of one message, compressed or not.
    pub max_bytes: usize,
}

impl<S> Layer<S> for InflateLayer {
    type Service = Inflate<S>;

    fn layer(&self, inner: S) -> Inflate<S> {
        Inflate { max_bytes: self.max_bytes, inner }
    }
}

#[derive(Clone)]
pub struct Inflate<S> {
    max_bytes: usize,
    inner: S,
}

impl<S> Service<Request<Body>> for Inflate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        if request.headers().get(ENCODING).is_none_or(|encoding| encoding != "gzip") {
            return self.inner.call(request);
        }
        request.headers_mut().remove(ENCODING);
        let messages = Messages { max_bytes: self.max_bytes, buffer: BytesMut::new() };
        self.inner.call(request.map(|inner| Body::new(Inflated { inner, messages })))
    }
}

struct Inflated {
    inner: Body,
    messages: Messages,
}

impl HttpBody for Inflated {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(message) = self.messages.next()? {
                return Poll::Ready(Some(Ok(Frame::data(message))));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)?) {
                Some(frame) => match frame.into_data() {
                    Ok(data) => self.messages.buffer.put(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                None => return Poll::Ready(None),
            }
        }
    }
}

/// What has come of a stream, as far as it was not handed on.
struct Messages {
    max_bytes: usize,
    buffer: BytesMut,
}

impl Messages {
    /// The next message that is there as a whole, with the head of a plain one.
    fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(&[flag, a, b, c, d]) = self.buffer.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > self.max_bytes {
            let max = self.max_bytes;
            let text = format!("grpc: received message larger than max ({length} vs. {max})");
            return Err(Status::resource_exhausted(text));
        }
        if self.buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD_BYTES);
        let body = self.buffer.split_to(length);
        Ok(Some(framed(&if flag == 0 { body.to_vec() } else { self.plain(&body)? })))
    }

    fn plain(&self, body: &[u8]) -> Result<Vec<u8>, Status> {
        let mut plain = Vec::new();
        let mut reader = GzDecoder::new(body).take(self.max_bytes as u64 + 1);
        let read = reader.read_to_end(&mut plain);
        read.map_err(|error| Status::internal(format!("grpc: failed to decompress the message: {error}")))?;
        if plain.len() > self.max_bytes {
            let text =
                format!("grpc: received message after decompression larger than max {}", self.max_bytes);
            return Err(Status::resource_exhausted(text));
        }
        Ok(plain)
    }
}

/// At most [`Messages::max_bytes`] long, which has fitted into the head of a message.
fn framed(plain: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + plain.len());
    message.put_u8(0);
    message.put_u32(u32::try_from(plain.len()).expect("bounded by the length of a request"));
    message.put_slice(plain);
    message.freeze()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn message(flag: u8, body: &[u8]) -> Vec<u8> {
        [&[flag], &(body.len() as u32).to_be_bytes()[..], body].concat()
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).expect("into memory");
        encoder.finish().expect("into memory")
    }

    #[test]
    fn messages_become_plain_however_they_are_cut() {
        let wire = [message(1, &gzip(b"one")), message(0, b"two"), message(1, &gzip(b""))].concat();
        for cut in 0..wire.len() {
            let mut messages = Messages { max_bytes: 100, buffer: BytesMut::new() };
            let mut out = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                messages.buffer.put_slice(part);
                while let Some(message) = messages.next().expect("well-formed") {
                    out.extend_from_slice(&message);
                }
            }
            assert_eq!(
                out,
                [message(0, b"one"), message(0, b"two"), message(0, b"")].concat(),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn neither_a_bomb_nor_garbage_gets_through() {
        let refusal = |wire: Vec<u8>| {
            let mut messages = Messages { max_bytes: 1000, buffer: BytesMut::from(&wire[..]) };
            messages.next().expect_err("refused").message().to_owned()
        };
        let bomb = refusal(message(1, &gzip(&[0; 1001])));
        assert_eq!(bomb, "grpc: received message after decompression larger than max 1000");
        let large = refusal(vec![1, 0, 0, 4, 0]);
        assert_eq!(large, "grpc: received message larger than max (1024 vs. 1000)");
        assert!(refusal(message(1, b"garbage")).starts_with("grpc: failed to decompress the message: "));
    }
}
