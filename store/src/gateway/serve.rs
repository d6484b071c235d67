//! From an HTTP request to its answer: one JSON object, or a line for each answer of a stream.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderValue, Method as Verb, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::call::{self, Answers};
use super::schema::{MessageId, Method, schema};
use super::{PATHS, failure, from_json, to_json};

/// The second is of older clients; stock etcd takes both.
const PREFIXES: [&str; 2] = ["/v3", "/v3beta"];

pub fn is_gateway_path(path: &str) -> bool {
    below(path).is_some()
}

/// The path of [`PATHS`].
fn below(path: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')))
}

/// `max_body_bytes` bounds one message of the request as JSON.
pub async fn serve<G, B>(services: G, request: Request<B>, max_body_bytes: usize) -> Response<Body>
where
    G: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    G::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    let below = below(request.uri().path()).unwrap_or_default();
    let Some((_, name)) = PATHS.iter().find(|(path, _)| *path == below) else {
        return text(StatusCode::NOT_FOUND, "Not Found\n");
    };
    if request.method() != Verb::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    }
    let method = schema().method(name).expect("a test holds the table to the schema");
    let (head, body) = request.into_parts();
    let mut messages = Messages::new(body, method.input, max_body_bytes);
    let first = match messages.next().await {
        Ok(message) => message,
        Err(status) => return refused(&status),
    };
    let answers = if method.client_streams {
        let rest = stream::unfold(messages, |mut messages| async move {
            // What cannot be read ends the client's side: the answers so far stand.
            messages.next().await.ok().flatten().map(|message| (message, messages))
        });
        call::open(services, method, &head.headers, stream::iter(first).chain(rest)).await
    } else {
        // No body stands for a message without fields.
        let only = first.unwrap_or_default();
        call::open(services, method, &head.headers, stream::iter([only])).await
    };
    match answers {
        Ok(answers) if method.server_streams => lines(method, answers).await,
        Ok(answers) => single(method, answers).await,
        Err(status) if method.server_streams => failed_stream(&status),
        Err(status) => refused(&status),
    }
}

async fn single(method: &Method, mut answers: Answers) -> Response<Body> {
    match answers.next().await {
        Some(Ok(message)) => match json(method, message, String::new()) {
            Ok(body) => object(StatusCode::OK, body),
            Err(status) => refused(&status),
        },
        Some(Err(status)) => refused(&status),
        None => refused(&Status::internal("the method ended without an answer")),
    }
}

/// Waits for the first answer: the code of the response says whether there is one.
async fn lines(method: &'static Method, mut answers: Answers) -> Response<Body> {
    let first = match answers.next().await {
        Some(Err(status)) => return failed_stream(&status),
        first => first,
    };
    let rows = stream::iter(first).chain(answers).map(|answer| {
        let row = answer.and_then(|message| json(method, message, String::from("{\"result\":")));
        let line = row.map_or_else(|status| failure::line(&status), |row| row + "}\n");
        Ok::<_, Status>(Frame::data(Bytes::from(line)))
    });
    respond(StatusCode::OK, Body::new(StreamBody::new(rows)))
}

/// Appended to `out`.
fn json(method: &Method, message: Bytes, mut out: String) -> Result<String, Status> {
    let written = to_json::write(schema(), method.output, message, &mut out);
    written.map(|()| out).map_err(|error| Status::internal(error.to_string()))
}

fn failed_stream(status: &Status) -> Response<Body> {
    object(failure::http_status(status.code()), failure::line(status))
}

fn refused(status: &Status) -> Response<Body> {
    object(failure::http_status(status.code()), failure::body(status))
}

fn object(status: StatusCode, body: String) -> Response<Body> {
    respond(status, Body::new(Full::from(body)))
}

fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::OK {
        headers.insert("grpc-metadata-content-type", HeaderValue::from_static("application/grpc"));
    }
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// The JSON objects of a request's body, one after the other, as messages in their wire form.
struct Messages<B> {
    body: B,
    input: MessageId,
    max_bytes: usize,
    buffer: BytesMut,
    /// The body has ended.
    is_whole: bool,
}

impl<B> Messages<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    fn new(body: B, input: MessageId, max_bytes: usize) -> Self {
        let is_whole = body.is_end_stream();
        Messages { body, input, max_bytes, buffer: BytesMut::new(), is_whole }
    }

    /// `None` at the end of the body.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Status> {
        loop {
            if let Some(value) = self.take_value()? {
                let message = from_json::message(schema(), self.input, &value);
                return message.map(Some).map_err(|error| Status::invalid_argument(error.to_string()));
            }
            if self.is_whole {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Status> {
        match self.body.frame().await {
            None => self.is_whole = true,
            Some(Err(error)) => return Err(Status::invalid_argument(error.to_string())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
            }
        }
        if self.buffer.len() > self.max_bytes {
            return Err(crate::error::Error::RequestTooLarge.into());
        }
        Ok(())
    }

    /// The first value of the buffer; `None` if it may still go on, or if there is none.
    fn take_value(&mut self) -> Result<Option<Value>, Status> {
        let mut values = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
        match values.next() {
            None => Ok(None),
            Some(Ok(value)) => {
                let taken = values.byte_offset();
                drop(self.buffer.split_to(taken));
                Ok(Some(value))
            }
            Some(Err(error)) if error.is_eof() && !self.is_whole => Ok(None),
            Some(Err(error)) => Err(Status::invalid_argument(error.to_string())),
        }
    }
}

#[cfg(test)]
#[path = "gateway_test.rs"]
mod tests;
