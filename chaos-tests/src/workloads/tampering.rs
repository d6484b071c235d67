//! Bugs made on purpose between a client and the API: answers of the real API that are changed on their way.
//!
//! Only the traffic of `super::kubernetes` is touched, so that the rest of a run can be looked at undisturbed. One answer in
//! [`ONE_OF`] is changed, counted by each client and each watch.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::{Future, TryStreamExt};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use parking_lot::Mutex;
use tower::{BoxError, Service};

use super::kubernetes::NAMESPACE;

const ONE_OF: u64 = 5;

/// What is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tampering {
    /// A list is answered with what an earlier one was answered.
    pub old_lists: bool,
    /// A watch loses an event.
    pub lost_events: bool,
}

/// A client's way to the API with somebody on it.
pub struct Tampered<S> {
    way: S,
    tampering: Tampering,
    lists: Arc<Mutex<Lists>>,
}

#[derive(Default)]
struct Lists {
    answered: u64,
    last: Bytes,
}

/// What becomes of an answer.
enum Change {
    None,
    Old,
    Thinned,
}

impl Tampering {
    fn change(self, request: &Request<Body>) -> Change {
        let traffic = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
        if request.method() != Method::GET || request.uri().path() != traffic {
            return Change::None;
        }
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        match is_watch {
            true if self.lost_events => Change::Thinned,
            false if self.old_lists => Change::Old,
            true | false => Change::None,
        }
    }
}

impl<S> Tampered<S> {
    pub fn new(way: S, tampering: Tampering) -> Self {
        Self { way, tampering, lists: Arc::default() }
    }
}

impl<S, B> Service<Request<Body>> for Tampered<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.way.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let change = self.tampering.change(&request);
        let lists = self.lists.clone();
        let answer = self.way.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            match change {
                _ if !answer.status().is_success() => Ok(answer.map(BodyExt::boxed_unsync)),
                Change::None => Ok(answer.map(BodyExt::boxed_unsync)),
                Change::Thinned => Ok(answer.map(thinned)),
                Change::Old => {
                    let (head, body) = answer.into_parts();
                    let answer = body.collect().await?.to_bytes();
                    let told = lists.lock().instead_of(answer);
                    let body = Full::new(told).map_err(|never| match never {});
                    Ok(Response::from_parts(head, body.boxed_unsync()))
                }
            }
        })
    }
}

impl Lists {
    fn instead_of(&mut self, answer: Bytes) -> Bytes {
        self.answered += 1;
        if !self.answered.is_multiple_of(ONE_OF) {
            self.last = answer;
        }
        self.last.clone()
    }
}

/// A stream of events, each a line, without some of them.
fn thinned<B>(events: B) -> UnsyncBoxBody<Bytes, BoxError>
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let mut thinner = Thinner::default();
    let left = events.into_data_stream().map_ok(move |data| Frame::data(thinner.pass(&data)));
    StreamBody::new(left).boxed_unsync()
}

#[derive(Default)]
struct Thinner {
    told: u64,
    /// The beginning of a line whose end has not come yet.
    rest: BytesMut,
}

impl Thinner {
    fn pass(&mut self, data: &[u8]) -> Bytes {
        self.rest.extend_from_slice(data);
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = self.rest.split_to(whole);
        let mut left = BytesMut::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.told += 1;
            if !self.told.is_multiple_of(ONE_OF) {
                left.extend_from_slice(line);
            }
        }
        left.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_five_events_one_is_lost_wherever_a_frame_ends() {
        let mut thinner = Thinner::default();
        let frames = ["a\nb", "\nc\n", "", "d\ne", "\nf\n"];
        let left: Vec<u8> = frames.iter().flat_map(|frame| thinner.pass(frame.as_bytes())).collect();
        assert_eq!(left, b"a\nb\nc\nd\nf\n");
    }

    #[test]
    fn of_five_lists_one_is_answered_as_the_one_before() {
        let mut lists = Lists::default();
        let told: Vec<Bytes> = ["1", "2", "3", "4", "5", "6"]
            .map(|answer| lists.instead_of(Bytes::from_static(answer.as_bytes())))
            .into();
        assert_eq!(told, ["1", "2", "3", "4", "4", "6"]);
    }

    #[test]
    fn only_the_traffic_is_touched() {
        let all = Tampering { old_lists: true, lost_events: true };
        let ask = |method: Method, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
            all.change(&request)
        };
        let traffic = "https://a/api/v1/namespaces/chaos-traffic/configmaps";
        assert!(matches!(ask(Method::GET, traffic), Change::Old));
        assert!(matches!(ask(Method::GET, &format!("{traffic}?&watch=true")), Change::Thinned));
        assert!(matches!(ask(Method::POST, traffic), Change::None));
        assert!(matches!(ask(Method::GET, "https://a/api/v1/configmaps"), Change::None));
    }
}
