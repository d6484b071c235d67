//! The state machine of one client stream: requests in, responses out.
//!
//! One task drives it: [`WatchStream::handle`] for each request, [`WatchStream::next`] for the next response (safe to
//! cancel). Back-pressure is simply not calling `next`: the inbox fills, the watchers fall behind, the hub goes on.

mod outgoing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::watch_create_request::FilterType;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use bytes::Bytes;
use rand::RngExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::outgoing::Ready;
use super::catch_up::{self, Caught, Follower, Outcome};
use super::counts::Listed;
use super::hub::{Joined, WatchHub};
use super::inbox::Inbox;
use super::watcher::{Token, Watcher};
use crate::backend::BackendError;
use crate::host;
use crate::mvcc::KeyRange;
use crate::mvcc::limits::{PROGRESS_NOTIFY_INTERVAL, PROGRESS_NOTIFY_JITTER_PERCENT};
use crate::mvcc::range::header;

/// In answers that belong to no watcher.
pub const NO_WATCH_ID: i64 = -1;

const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
const NEGATIVE_START: &str = "mvcc: required revision has been compacted";

#[derive(Debug, Clone, Copy)]
pub struct StreamOptions {
    /// Between two progress notifications of an idle watcher, before jitter.
    pub progress_interval: Duration,
    /// Responses of watchers with `fragment` stay below this: the request limit and the gRPC overhead.
    pub fragment_bytes: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { progress_interval: PROGRESS_NOTIFY_INTERVAL, fragment_bytes: (1536 + 512) << 10 }
    }
}

#[derive(Debug)]
pub struct WatchStream {
    hub: WatchHub,
    options: StreamOptions,
    inbox: Arc<Inbox>,
    counts: Listed,
    watchers: BTreeMap<Token, Entry>,
    ids: BTreeMap<i64, Token>,
    next_id: i64,
    ready: VecDeque<Ready>,
    outbox: VecDeque<WatchResponse>,
    catching_up: Option<JoinHandle<Result<Vec<Caught>, BackendError>>>,
    next_tick: Instant,
    tick_interval: Duration,
}

#[derive(Debug)]
struct Entry {
    id: i64,
    watcher: Arc<Watcher>,
    /// As the client asked: 0 for "from now on".
    start_revision: i64,
    prev_kv: bool,
    fragment: bool,
    progress_notify: bool,
    /// Nothing was sent since the last tick.
    quiet: bool,
    /// Where to catch up from; `None` while the hub serves it.
    behind: Option<i64>,
}

impl WatchStream {
    pub(crate) fn new(hub: WatchHub, options: StreamOptions) -> Self {
        let jitter = options.progress_interval.as_millis() as u64 * PROGRESS_NOTIFY_JITTER_PERCENT / 100;
        let tick_interval =
            options.progress_interval + Duration::from_millis(host::chance().random_range(0..=jitter));
        let inbox = Arc::new(Inbox::default());
        Self {
            counts: hub.counts().list(&inbox),
            hub,
            options,
            inbox,
            watchers: BTreeMap::new(),
            ids: BTreeMap::new(),
            next_id: 0,
            ready: VecDeque::new(),
            outbox: VecDeque::new(),
            catching_up: None,
            next_tick: Instant::now() + tick_interval,
            tick_interval,
        }
    }

    pub fn watcher_count(&self) -> usize {
        self.watchers.len()
    }

    pub fn handle(&mut self, request: WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(request),
            Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.request_progress(),
            None => {}
        }
    }

    /// The next response; the header carries the revision only. Waits for as long as there is none.
    pub async fn next(&mut self) -> WatchResponse {
        loop {
            if let Some(response) = self.ready() {
                return response;
            }
            self.start_catching_up();
            let ticking = self.watchers.values().any(|entry| entry.progress_notify);
            tokio::select! {
                biased;
                () = self.inbox.filled() => {}
                caught = finished(&mut self.catching_up) => self.caught_up(caught),
                () = tokio::time::sleep_until(self.next_tick), if ticking => self.tick(),
            }
        }
    }

    fn create(&mut self, request: WatchCreateRequest) {
        let revision = self.hub.revision();
        let range = watched_range(request.key, request.range_end);
        if let Some(reason) = self.refusal(request.watch_id, &range, request.start_revision) {
            return self.refuse(reason);
        }
        let id = if request.watch_id == 0 { self.free_id() } else { request.watch_id };
        let created = WatchResponse { created: true, ..response(revision, id) };
        self.ready.push_back(Ready::Response(created));
        let token = self.hub.new_token();
        let watcher = Arc::new(Watcher {
            token,
            range,
            no_put: request.filters.contains(&(FilterType::Noput as i32)),
            no_delete: request.filters.contains(&(FilterType::Nodelete as i32)),
            inbox: self.inbox.clone(),
        });
        let entry = Entry {
            id,
            watcher,
            start_revision: request.start_revision,
            prev_kv: request.prev_kv,
            fragment: request.fragment,
            progress_notify: request.progress_notify,
            quiet: true,
            behind: None,
        };
        self.ids.insert(id, token);
        self.watchers.insert(token, entry);
        self.counts.watchers.fetch_add(1, Ordering::Relaxed);
        self.join(token, if request.start_revision == 0 { revision + 1 } else { request.start_revision });
    }

    /// Answers a request for a watcher with the reason why there is none.
    pub fn refuse(&mut self, reason: &str) {
        let revision = self.hub.revision();
        let mut refused = WatchResponse { created: true, canceled: true, ..response(revision, NO_WATCH_ID) };
        refused.cancel_reason = reason.into();
        self.ready.push_back(Ready::Response(refused));
    }

    fn refusal(&self, id: i64, range: &KeyRange, start_revision: i64) -> Option<&'static str> {
        if range.is_empty() {
            return Some(EMPTY_RANGE);
        }
        if start_revision < 0 {
            return Some(NEGATIVE_START);
        }
        (id != 0 && self.ids.contains_key(&id)).then_some(DUPLICATE_ID)
    }

    fn free_id(&mut self) -> i64 {
        while self.ids.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    fn cancel(&mut self, id: i64) {
        let Some(token) = self.ids.get(&id).copied() else { return };
        self.forget(token);
        let canceled = WatchResponse { canceled: true, ..response(self.hub.revision(), id) };
        self.ready.push_back(Ready::Response(canceled));
    }

    /// Answered only if every watcher is up to date; else silently not, and the client asks again.
    fn request_progress(&mut self) {
        let start = self.watchers.values().map(|entry| entry.start_revision).max();
        let all_synced = self.watchers.values().all(|entry| entry.behind.is_none());
        if let (Some(start), true) = (start, all_synced) {
            self.hub.progress(&self.inbox, None, start);
        }
    }

    fn tick(&mut self) {
        self.next_tick = Instant::now() + self.tick_interval;
        for (token, entry) in &mut self.watchers {
            if entry.progress_notify && entry.quiet && entry.behind.is_none() {
                self.hub.progress(&self.inbox, Some(*token), entry.start_revision);
            }
            entry.quiet = true;
        }
    }

    /// Gives the watcher its place in the hub, or leaves it behind to read from disk, or ends it.
    fn join(&mut self, token: Token, next_revision: i64) {
        let Some(entry) = self.watchers.get_mut(&token) else { return };
        match self.hub.join(&entry.watcher, next_revision) {
            Joined::Synced => self.stands(token, None),
            Joined::Behind => self.stands(token, Some(next_revision)),
            Joined::Compacted { compact_revision } => self.end_compacted(token, compact_revision),
        }
    }

    /// Notes where the watcher catches up from, or that it need not.
    fn stands(&mut self, token: Token, behind: Option<i64>) {
        let Some(entry) = self.watchers.get_mut(&token) else { return };
        match (entry.behind, behind) {
            (None, Some(_)) => self.counts.behind.fetch_add(1, Ordering::Relaxed),
            (Some(_), None) => self.counts.behind.fetch_sub(1, Ordering::Relaxed),
            (None, None) | (Some(_), Some(_)) => 0,
        };
        entry.behind = behind;
    }

    fn end_compacted(&mut self, token: Token, compact_revision: i64) {
        let Some(entry) = self.forget(token) else { return };
        // Stock etcd leaves the header's revision empty here.
        let gone = WatchResponse { canceled: true, compact_revision, ..response(0, entry.id) };
        self.ready.push_back(Ready::Response(gone));
    }

    fn forget(&mut self, token: Token) -> Option<Entry> {
        self.stands(token, None);
        let entry = self.watchers.remove(&token)?;
        self.counts.watchers.fetch_sub(1, Ordering::Relaxed);
        self.ids.remove(&entry.id);
        self.hub.leave(&entry.watcher.range, token);
        Some(entry)
    }

    /// One pass at a time, for all watchers that are behind.
    fn start_catching_up(&mut self) {
        if self.catching_up.is_some() {
            return;
        }
        let follower = |entry: &Entry| {
            entry.behind.map(|next_revision| Follower { watcher: entry.watcher.clone(), next_revision })
        };
        let followers: Vec<Follower> = self.watchers.values().filter_map(follower).collect();
        if !followers.is_empty() {
            let mvcc = self.hub.mvcc().clone();
            self.catching_up = Some(host::spawn_blocking(move || catch_up::read(&mvcc, &followers)));
        }
    }

    fn caught_up(&mut self, caught: Result<Vec<Caught>, BackendError>) {
        self.catching_up = None;
        let caught = match caught {
            Ok(caught) => caught,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "watchers cannot catch up");
                return self.end_all_behind();
            }
        };
        for Caught { watcher, outcome } in caught {
            let token = watcher.token;
            match outcome {
                Outcome::Compacted { compact_revision } => self.end_compacted(token, compact_revision),
                Outcome::Events { revision, newest, events } => {
                    if !events.is_empty() {
                        // Stock says how far the store is, and not how far the events go.
                        self.ready.push_back(Ready::Events { token, revision: newest, events, bytes: 0 });
                    }
                    self.join(token, revision + 1);
                }
            }
        }
    }

    /// The disk failed: the watchers end, and the client starts them anew, perhaps elsewhere.
    fn end_all_behind(&mut self) {
        let behind: Vec<Token> = self
            .watchers
            .iter()
            .filter(|(_, entry)| entry.behind.is_some())
            .map(|(token, _)| *token)
            .collect();
        for token in behind {
            let Some(entry) = self.forget(token) else { continue };
            let mut ended = WatchResponse { canceled: true, ..response(self.hub.revision(), entry.id) };
            ended.cancel_reason = crate::error::Error::Corrupt.text().into();
            self.ready.push_back(Ready::Response(ended));
        }
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        for (token, entry) in &self.watchers {
            self.hub.leave(&entry.watcher.range, *token);
        }
    }
}

fn response(revision: i64, watch_id: i64) -> WatchResponse {
    WatchResponse { header: Some(header(revision)), watch_id, ..WatchResponse::default() }
}

/// No key is the least key there is.
fn watched_range(key: Bytes, range_end: Bytes) -> KeyRange {
    let key = if key.is_empty() { Bytes::from_static(b"\0") } else { key };
    KeyRange::from_bytes(key, range_end)
}

/// Never, without a pass under way. A pass that panicked takes the stream with it.
async fn finished(
    pass: &mut Option<JoinHandle<Result<Vec<Caught>, BackendError>>>,
) -> Result<Vec<Caught>, BackendError> {
    match pass {
        Some(pass) => pass.await.expect("a catch-up pass does not panic and is not aborted"),
        None => std::future::pending().await,
    }
}
