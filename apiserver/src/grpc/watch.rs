//! One watch stream: many subscriptions, one bounded way out.
//!
//! Contract, per subscription: after `resource_version` every event of the selection once, in order; with
//! `resource_version` 0 first the present objects as ADDED and `synced`. `progress` promises that all up to its
//! revision has been sent. `compacted` ends the subscription: its history is gone, the client must start at 0.
//! Back-pressure: a full queue makes subscriptions wait; one that lags out of the window gets `compacted`.

use std::collections::HashMap;

use balsa_proto::resources as pb;
use balsa_proto::resources::watch_request::Request as Asked;
use balsa_proto::resources::watch_response::Response as Told;
use bytes::Bytes;
use futures::Stream;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{Door, admitted, to_status};
use crate::cache::EventKind;
use crate::error::ApiError;
use crate::http::render;
use crate::limits;
use crate::pipeline::{SharedApi, Target};
use crate::request::User;
use crate::verbs::select::Selection;
use crate::verbs::watch::{Given, Start, Watcher, watch as open};

type Out = mpsc::Sender<Result<pb::WatchResponse, Status>>;

pub struct Session {
    door: Door,
    user: User,
    out: Out,
    answers: Option<mpsc::Receiver<Result<pb::WatchResponse, Status>>>,
    subscriptions: HashMap<u64, CancellationToken>,
    /// The store's revision at the last progress request; told to every subscription.
    progress: watch::Sender<u64>,
    shutdown: CancellationToken,
}

impl Session {
    pub fn new(api: SharedApi, user: User, shutdown: CancellationToken) -> Session {
        let (out, answers) = mpsc::channel(limits::GRPC_WATCH_QUEUE);
        Session {
            door: Door { api, shutdown: shutdown.clone() },
            user,
            out,
            answers: Some(answers),
            subscriptions: HashMap::new(),
            progress: watch::channel(0).0,
            shutdown,
        }
    }

    /// The answers; the session's own task reads the requests.
    pub fn run(
        mut self,
        requests: Streaming<pb::WatchRequest>,
    ) -> impl Stream<Item = Result<pb::WatchResponse, Status>> + Send {
        let answers = self.answers.take().expect("made by `new`, taken only here");
        tokio::spawn(self.read(requests));
        ReceiverStream::new(answers)
    }

    async fn read(mut self, mut requests: Streaming<pb::WatchRequest>) {
        loop {
            let message = tokio::select! {
                message = requests.message() => message,
                () = self.out.closed() => break,
                () = self.shutdown.cancelled() => {
                    let status = Status::unavailable("the API server is shutting down");
                    let _ = self.out.send(Err(status)).await;
                    break;
                }
            };
            match message {
                Ok(Some(message)) => self.take(message).await,
                Ok(None) | Err(_) => break,
            }
        }
        self.subscriptions.values().for_each(CancellationToken::cancel);
    }

    async fn take(&mut self, message: pb::WatchRequest) {
        match message.request {
            Some(Asked::Create(create)) => self.create(create).await,
            Some(Asked::Cancel(cancel)) => self.cancel(cancel.watch_id).await,
            Some(Asked::Progress(_)) => self.report_progress(),
            None => {}
        }
    }

    async fn create(&mut self, create: pb::WatchCreate) {
        let watch_id = create.watch_id;
        self.subscriptions.retain(|_, token| !token.is_cancelled());
        if self.subscriptions.contains_key(&watch_id) {
            let error = ApiError::bad_request(format!("watch {watch_id} is open already"));
            return end(&self.out, watch_id, &error).await;
        }
        if self.subscriptions.len() >= limits::SUBSCRIPTIONS_PER_STREAM {
            let error = ApiError::too_many_requests("too many watches on one stream", 1);
            return end(&self.out, watch_id, &error).await;
        }
        let target = create.target.clone().map(|target| named(collection(target), &create.field_selector));
        let target = match admitted(&self.door, &self.user, "watch", target) {
            Ok(target) => target,
            Err(error) => return end(&self.out, watch_id, &error).await,
        };
        let token = CancellationToken::new();
        self.subscriptions.insert(watch_id, token.clone());
        let subscription = Subscription {
            api: self.door.api.clone(),
            watch_id,
            target,
            is_metadata: create.projection() == pb::Projection::Metadata,
            out: self.out.clone(),
            progress: self.progress.subscribe(),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = subscription.run(create) => {}
                () = token.cancelled() => {}
            }
            token.cancel();
        });
    }

    async fn cancel(&mut self, watch_id: u64) {
        if let Some(token) = self.subscriptions.remove(&watch_id) {
            token.cancel();
            let _ = self.out.send(Ok(told(watch_id, Told::Ended(pb::WatchEnd::default())))).await;
        }
    }

    /// Reads the store's revision, waits until the cache has it, then has every subscription report it.
    fn report_progress(&self) {
        let (api, progress) = (self.door.api.clone(), self.progress.clone());
        tokio::spawn(async move {
            let Ok(revision) = api.store.current_revision().await else { return };
            if api.cache.wait_for(revision).await.is_ok() {
                progress.send_replace(revision);
            }
        });
    }
}

/// A watch that pins `metadata.name` is authorized as for that name: node agents watch single objects.
fn named(mut target: pb::Target, field_selector: &str) -> pb::Target {
    let selector = balsa_proto::meta::FieldSelector::parse(field_selector);
    if let (true, Ok(selector)) = (target.name.is_empty(), selector) {
        target.name = selector.required_value("metadata.name").unwrap_or_default().to_owned();
    }
    target
}

/// A watch of one object is one of the collection, narrowed to its name (and authorized so).
fn collection(target: pb::Target) -> pb::Target {
    pb::Target { subresource: String::new(), ..target }
}

struct Subscription {
    api: SharedApi,
    watch_id: u64,
    target: Target,
    is_metadata: bool,
    out: Out,
    progress: watch::Receiver<u64>,
}

impl Subscription {
    async fn run(mut self, create: pb::WatchCreate) {
        let mut watcher = match self.open(&create).await {
            Ok(watcher) => watcher,
            Err(error) if error.code() == 410 => return self.tell_compacted().await,
            Err(error) => return end(&self.out, self.watch_id, &error).await,
        };
        loop {
            let reports = tokio::select! {
                () = watcher.ready() => None,
                changed = self.progress.changed() => match changed {
                    Ok(()) => Some(*self.progress.borrow_and_update()),
                    Err(_) => return,
                },
            };
            if self.drain(&mut watcher).await.is_err() {
                return;
            }
            if let Some(revision) = reports {
                let mark = pb::WatchMark { resource_version: revision };
                if self.tell(Told::Progress(mark)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn open(&self, create: &pb::WatchCreate) -> Result<Watcher, ApiError> {
        let mut selection = Selection::parse(&self.target, &create.label_selector, &create.field_selector)?;
        if !self.target.name.is_empty() && selection.name().is_none() {
            let fields = format!("metadata.name={},{}", self.target.name, create.field_selector);
            selection = Selection::parse(&self.target, &create.label_selector, &fields)?;
        }
        let start = match create.resource_version {
            0 => Start::State { at_least: None, marks_end: true },
            revision => Start::After(revision),
        };
        open(&self.api, &self.target, selection, start).await
    }

    /// Sends all that is there; Err: the subscription is over.
    async fn drain(&self, watcher: &mut Watcher) -> Result<(), ()> {
        let mut given = Vec::new();
        loop {
            let Ok(more) = watcher.take(&mut given) else {
                self.tell_compacted().await;
                return Err(());
            };
            let mut synced = None;
            let mut events = Vec::with_capacity(given.len());
            for one in given.drain(..) {
                match &one {
                    Given::InitialEnd(revision) => synced = Some(*revision),
                    Given::Initial(_) | Given::Event(..) => events.extend(self.event(&one)),
                }
            }
            if !events.is_empty() {
                self.tell(Told::Events(pb::WatchEvents { events })).await?;
            }
            if let Some(resource_version) = synced {
                self.tell(Told::Synced(pb::WatchMark { resource_version })).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn event(&self, given: &Given) -> Option<pb::WatchEvent> {
        let kind = match given {
            Given::Event(kind, _) => *kind,
            Given::Initial(_) | Given::InitialEnd(_) => EventKind::Added,
        };
        let object = given.object()?;
        let json = match given {
            Given::Event(kind, event) if !self.is_metadata && self.is_plain() && *kind == event.kind => {
                event.json_object()
            }
            _ if self.is_metadata => render::metadata_json(&object),
            _ => render::object_json(self.target.kind, &object),
        };
        let r#type = match kind {
            EventKind::Added => pb::watch_event::Type::Added,
            EventKind::Modified => pb::watch_event::Type::Modified,
            EventKind::Deleted => pb::watch_event::Type::Deleted,
        };
        Some(pb::WatchEvent { r#type: r#type as i32, json, resource_version: object.revision })
    }

    fn is_plain(&self) -> bool {
        self.target.kind.conversion.is_none()
    }

    async fn tell(&self, what: Told) -> Result<(), ()> {
        self.out.send(Ok(told(self.watch_id, what))).await.map_err(drop)
    }

    async fn tell_compacted(&self) {
        let mark = pb::WatchMark { resource_version: self.api.cache.revision() };
        let _ = self.tell(Told::Compacted(mark)).await;
    }
}

fn told(watch_id: u64, response: Told) -> pb::WatchResponse {
    pb::WatchResponse { watch_id, response: Some(response) }
}

async fn end(out: &Out, watch_id: u64, error: &ApiError) {
    tracing::debug!(watch_id, status = %to_status(error), "subscription refused");
    let status = Bytes::from(error.status().to_json());
    let _ = out.send(Ok(told(watch_id, Told::Ended(pb::WatchEnd { status })))).await;
}
