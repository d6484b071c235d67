//! The simulated network: carries calls between machines, packet by packet, and is told which of them get through.
//!
//! A call is a request and its answer on one connection: what goes one way stays in order, as on TCP, and different calls
//! overtake one another. What is sent at one moment mostly travels as one segment, as it does there: a small request arrives
//! whole, and now and then in parts. Where a way is cut, segments wait and are sent again, until both ends give the
//! connection up.
//! A lost call is a connection that breaks: before the request arrived, or before its answer did. Messages of raft that
//! stand alone may arrive twice; nothing else may, since nothing in gRPC sends a request again by itself.
//!
//! Who listens is not known here: [`Network::deliver`] hands arrivals to the world.

mod calls;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tonic::Status;
use tonic::body::Body;

use crate::sim::call::{Guard, incoming, outgoing};
use crate::sim::observe::Observer;
use crate::sim::sabotage::{Sabotage, Tampering};
use crate::sim::trace::{Place, Trace, WORLD};

/// A segment that does not get through is sent again after this.
const RESEND_MS: u64 = 100;
/// A connection on which nothing gets through is given up after this.
const GIVE_UP_MS: u64 = 900;
/// One packet of so many does not travel with the one that was sent just before it.
const SEGMENT_ENDS_ONCE_IN: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Peer,
    Client,
}

/// What holds for all ways at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    pub delay_ms: std::ops::RangeInclusive<u64>,
    /// Of calls that break, in percent.
    pub loss_percent: u32,
    /// Of lone raft messages that arrive twice.
    pub duplicate_percent: u32,
}

impl Default for Weather {
    fn default() -> Self {
        Weather { delay_ms: 1..=4, loss_percent: 0, duplicate_percent: 0 }
    }
}

/// A request that has come to a machine.
pub struct Arrival {
    pub call: u64,
    pub to: Place,
    pub port: Port,
    pub request: Request<Body>,
}

/// What came at one moment.
pub struct Delivered {
    /// For the machines to answer.
    pub requests: Vec<Arrival>,
    /// Those that something has changed for.
    pub machines: BTreeSet<Place>,
}

pub type AnswerHead = Result<Response<Body>, tower::BoxError>;

/// Cheap to clone.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Mutex<Inner>>,
    /// Calls whose caller has gone. A list of its own: guards are dropped at any time, also while the other is locked.
    gone: Arc<Mutex<Vec<u64>>>,
}

struct Inner {
    trace: Trace,
    random: SmallRng,
    now_ms: u64,
    next: u64,
    /// A segment each: due time and a number to (call, to the server).
    due: BTreeMap<(u64, u64), (u64, bool)>,
    /// Machines that something came to since the last look.
    touched: BTreeSet<Place>,
    calls: BTreeMap<u64, Call>,
    /// How many faults cut the way from one machine to another.
    cuts: BTreeMap<(Place, Place), u32>,
    weather: Weather,
    observer: Observer,
    sabotage: Option<Sabotage>,
}

struct Call {
    from: Place,
    to: Place,
    port: Port,
    path: String,
    ways: [Way; 2],
    head: Option<oneshot::Sender<AnswerHead>>,
    to_client: Option<mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>>,
    to_server: Option<mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>>,
    /// Tasks that end with the call: what sends the rest of the request, and what answers it.
    tasks: Vec<AbortHandle>,
    tampering: Tampering,
}

/// What is under way in one direction, in order.
#[derive(Default)]
struct Way {
    segments: VecDeque<Segment>,
    last_due_ms: u64,
    stuck_since_ms: Option<u64>,
}

/// What was sent at one moment.
struct Segment {
    sent_ms: u64,
    packets: Vec<Packet>,
}

pub enum Packet {
    Open(Box<Request<()>>),
    Head(Box<Response<()>>),
    Refused,
    Frame(Frame<Bytes>),
    End,
    /// The other end has gone, or the connection broke.
    Reset(&'static str),
}

impl Network {
    pub fn new(trace: Trace, seed: u64, observer: Observer, sabotage: Option<Sabotage>) -> Network {
        let inner = Inner {
            trace,
            random: SmallRng::seed_from_u64(seed),
            now_ms: 0,
            next: 0,
            due: BTreeMap::new(),
            touched: BTreeSet::new(),
            calls: BTreeMap::new(),
            cuts: BTreeMap::new(),
            weather: Weather::default(),
            observer,
            sabotage,
        };
        Network { inner: Arc::new(Mutex::new(inner)), gone: Arc::default() }
    }

    /// Cuts one way, or heals it. Cuts add up: each is healed by itself.
    pub fn cut(&self, from: Place, to: Place, cut: bool) {
        let mut inner = self.inner.lock();
        let count = inner.cuts.entry((from, to)).or_insert(0);
        *count = if cut { *count + 1 } else { count.saturating_sub(1) };
    }

    pub fn heal_all(&self) {
        let mut inner = self.inner.lock();
        inner.cuts.clear();
        inner.weather = Weather::default();
    }

    pub fn set_weather(&self, weather: Weather) {
        self.inner.lock().weather = weather;
    }

    /// Runs a call from the machine that asks. To be polled there.
    pub async fn call(self, from: Place, to: Place, port: Port, request: Request<Body>) -> AnswerHead {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let open = Request::from_parts(parts, ());
        // A lone message travels whole, so that it can arrive twice.
        if is_lone(&path) {
            let whole = outgoing::collect(body).await?;
            let (head, call) = self.open(from, to, port, open, path, Some(whole));
            return self.answer(call, head).await;
        }
        let (head, call) = self.open(from, to, port, open, path, None);
        if let Some(rest) = outgoing::send_body(self.clone(), call, true, body) {
            self.ends_with(call, rest);
        }
        self.answer(call, head).await
    }

    async fn answer(&self, call: u64, head: oneshot::Receiver<AnswerHead>) -> AnswerHead {
        let guard = Guard::new(call, self.gone.clone());
        let answer = head.await.unwrap_or_else(|_| Err(broken("the network is gone").into()))?;
        Ok(answer.map(|body| incoming::guarded(body, guard)))
    }

    fn open(
        &self,
        from: Place,
        to: Place,
        port: Port,
        request: Request<()>,
        path: String,
        whole: Option<Vec<Frame<Bytes>>>,
    ) -> (oneshot::Receiver<AnswerHead>, u64) {
        let mut inner = self.inner.lock();
        let (head, receiver) = oneshot::channel();
        let lost = inner.is_lost();
        let again = whole.is_some() && inner.is_doubled();
        if let (Some(frames), true) = (&whole, again) {
            let ghost = inner.new_call(from, to, port, path.clone(), None);
            inner.send_whole(ghost, copy(&request), frames.iter().map(copy_frame).collect());
        }
        let call = inner.new_call(from, to, port, path, Some(head));
        if lost {
            inner.send(call, false, Packet::Reset("the connection broke"));
            return (receiver, call);
        }
        match whole {
            Some(frames) => inner.send_whole(call, request, frames),
            None => inner.send(call, true, Packet::Open(Box::new(request))),
        }
        (receiver, call)
    }

    /// The task is stopped once the call is over.
    pub fn ends_with(&self, call: u64, task: AbortHandle) {
        match self.inner.lock().calls.get_mut(&call) {
            Some(call) => call.tasks.push(task),
            None => task.abort(),
        }
    }

    /// A machine sends a packet of a call that it has a part in.
    pub fn send(&self, call: u64, to_server: bool, packet: Packet) {
        let mut inner = self.inner.lock();
        if matches!(packet, Packet::Head(_)) && inner.is_lost() {
            inner.trace.event(WORLD, || format!("net: the answer of #{call} is lost"));
            return inner.break_call(call, "the connection broke");
        }
        inner.send(call, to_server, packet);
    }

    /// Everything that is due until now arrives.
    pub fn deliver(&self, now_ms: u64) -> Delivered {
        let gone = std::mem::take(&mut *self.gone.lock());
        let mut requests = Vec::new();
        // Dropped when the lock is not held any more: it may hold guards.
        let mut dropped = Vec::new();
        let mut inner = self.inner.lock();
        inner.now_ms = now_ms;
        for call in gone {
            inner.hang_up(call);
        }
        while let Some(entry) = inner.due.first_entry() {
            if entry.key().0 > now_ms {
                break;
            }
            let (call, to_server) = entry.remove();
            requests.extend(inner.arrive(call, to_server, &mut dropped));
        }
        let machines = std::mem::take(&mut inner.touched);
        drop(inner);
        drop(dropped);
        Delivered { requests, machines }
    }

    /// When the next segment is due.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.inner.lock().due.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }

    /// All calls of a machine that has stopped break.
    pub fn machine_stopped(&self, place: Place) {
        let mut inner = self.inner.lock();
        let calls = inner.calls.iter().filter(|(_, call)| call.from == place || call.to == place);
        let calls: Vec<(u64, bool)> = calls.map(|(number, call)| (*number, call.from == place)).collect();
        for (call, is_caller) in calls {
            inner.send(call, is_caller, Packet::Reset("the other side stopped"));
        }
    }
}

pub fn broken(reason: &str) -> Status {
    Status::unavailable(reason.to_owned())
}

/// Of the messages between members, those that raft sends by themselves and that do no harm twice.
fn is_lone(path: &str) -> bool {
    path.strip_prefix("/balsa.store.v1.Peer/")
        .is_some_and(|method| ["Vote", "PreVote", "ReadIndex", "TransferLeader"].contains(&method))
}

fn copy(request: &Request<()>) -> Request<()> {
    let mut copied = Request::new(());
    *copied.method_mut() = request.method().clone();
    *copied.uri_mut() = request.uri().clone();
    *copied.version_mut() = request.version();
    *copied.headers_mut() = request.headers().clone();
    copied
}

fn copy_frame(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Frame::data(data.clone()),
        (None, Some(trailers)) => Frame::trailers(trailers.clone()),
        (None, None) => Frame::data(Bytes::new()),
    }
}
