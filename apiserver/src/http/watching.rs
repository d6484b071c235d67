//! Watch over REST: a stream of JSON lines, until the timeout, the server's end, or the watcher is lost.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::body::{self, Answer, BoxError};
use super::negotiate::{ACCEPTED, Encoding, View, Wanted};
use super::query::Query;
use super::render;
use crate::cache::object::CachedObject;
use crate::cache::{Cache, EventKind};
use crate::error::{ApiError, FieldError, GroupKind};
use crate::kinds::Kind;
use crate::limits;
use crate::pipeline::{Api, Target};
use crate::verbs::select::Selection;
use crate::verbs::watch::{Given, Start, Watcher, watch};

/// What a watch needs besides its target.
pub struct Asked<'a> {
    pub query: &'a Query,
    pub wanted: Wanted,
    pub selection: Selection,
    pub shutdown: CancellationToken,
}

pub async fn answer(api: &Api, target: &Target, asked: Asked<'_>) -> Result<Answer, ApiError> {
    if asked.wanted.encoding == Encoding::Yaml {
        return Err(ApiError::not_acceptable(ACCEPTED));
    }
    let start = start_of(asked.query)?;
    let deadline = Instant::now() + timeout_of(asked.query)?;
    let mut bookmarks =
        tokio::time::interval_at(Instant::now() + limits::BOOKMARK_INTERVAL, limits::BOOKMARK_INTERVAL);
    bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watcher = match watch(api, target, asked.selection, start).await {
        Ok(watcher) => watcher,
        // As the stock server: a start that is too old is told inside the stream.
        Err(error) if error.code() == 410 => {
            return Ok(lines(futures::stream::iter([Ok(error_line(&error))])));
        }
        Err(error) => return Err(error),
    };
    let stream = Stream {
        watcher,
        cache: api.cache.clone(),
        kind: target.kind,
        view: asked.wanted.view,
        wants_bookmarks: asked.query.flag("allowWatchBookmarks"),
        bookmarks,
        deadline,
        shutdown: asked.shutdown,
        table_started: false,
        ended: false,
    };
    Ok(lines(futures::stream::unfold(stream, |mut stream| async move {
        let chunk = stream.next().await?;
        Some((Ok(chunk), stream))
    })))
}

fn lines(chunks: impl futures::Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> Answer {
    let mut answer = Response::new(body::stream(chunks));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn error_line(error: &ApiError) -> Bytes {
    let mut line = b"{\"type\":\"ERROR\",\"object\":".to_vec();
    line.extend_from_slice(&error.status().to_json());
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}

fn start_of(query: &Query) -> Result<Start, ApiError> {
    let version = query.text("resourceVersion");
    let matching = query.text("resourceVersionMatch");
    let number = parse_version(version)?;
    match query.optional_flag("sendInitialEvents") {
        Some(initial) => {
            if matching != "NotOlderThan" {
                let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                return Err(invalid_options(FieldError::forbidden("resourceVersionMatch", detail)));
            }
            Ok(match (initial, number) {
                (true, None) => Start::State { at_least: None, marks_end: true },
                (true, Some(at_least)) => Start::State { at_least: Some(at_least), marks_end: true },
                (false, None | Some(0)) => Start::Newest,
                (false, Some(revision)) => Start::After(revision),
            })
        }
        None if !matching.is_empty() => {
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            Err(invalid_options(FieldError::forbidden("resourceVersionMatch", detail)))
        }
        None => Ok(match number {
            None => Start::State { at_least: None, marks_end: false },
            Some(0) => Start::State { at_least: Some(0), marks_end: false },
            Some(revision) => Start::After(revision),
        }),
    }
}

/// None if unset.
pub fn parse_version(text: &str) -> Result<Option<u64>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let why = format!("strconv.ParseUint: parsing \"{text}\": invalid syntax");
        let error = FieldError::invalid("resourceVersion", text, why);
        invalid_options(error)
    })
}

pub fn invalid_options(error: FieldError) -> ApiError {
    ApiError::invalid(&GroupKind::new("meta.k8s.io", "ListOptions"), "", vec![error])
}

fn timeout_of(query: &Query) -> Result<Duration, ApiError> {
    match query.number::<u64>("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => {
            let least = limits::WATCH_MIN_TIMEOUT.as_secs();
            Ok(Duration::from_secs(rand::random_range(least..2 * least)))
        }
    }
}

struct Stream {
    watcher: Watcher,
    cache: Cache,
    kind: &'static Kind,
    view: View,
    wants_bookmarks: bool,
    bookmarks: Interval,
    deadline: Instant,
    shutdown: CancellationToken,
    /// Column definitions go out once.
    table_started: bool,
    ended: bool,
}

enum Wake {
    Events,
    Bookmark,
    End,
}

impl Stream {
    /// The next chunk: all lines that are ready.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            let wake = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => Wake::End,
                () = tokio::time::sleep_until(self.deadline) => Wake::End,
                () = self.watcher.ready() => Wake::Events,
                _ = self.bookmarks.tick(), if self.wants_bookmarks => Wake::Bookmark,
            };
            let mut out = BytesMut::new();
            match wake {
                Wake::Events => self.drain(&mut out),
                Wake::Bookmark => self.bookmark(&mut out),
                Wake::End => {
                    if self.wants_bookmarks {
                        self.bookmark(&mut out);
                    }
                    self.ended = true;
                }
            }
            if !out.is_empty() {
                return Some(out.freeze());
            }
        }
        None
    }

    fn drain(&mut self, out: &mut BytesMut) {
        let mut given = Vec::new();
        loop {
            let more = match self.watcher.take(&mut given) {
                Ok(more) => more,
                Err(_) => {
                    // Closing tells the client to resume or to list again.
                    self.ended = true;
                    false
                }
            };
            given.drain(..).for_each(|one| self.write(&one, out));
            if !more {
                return;
            }
        }
    }

    /// Promises that everything up to the cache's revision has been sent: the revision is read before the rest
    /// of the window.
    fn bookmark(&mut self, out: &mut BytesMut) {
        let revision = self.cache.revision();
        self.drain(out);
        if !self.ended && !self.watcher.has_initial() {
            self.write_bookmark(revision, false, out);
        }
    }

    fn write(&mut self, given: &Given, out: &mut BytesMut) {
        match given {
            Given::InitialEnd(revision) => self.write_bookmark(*revision, true, out),
            Given::Initial(object) => self.write_object(EventKind::Added, object, out),
            Given::Event(kind, event) => {
                let plain = self.view == View::Object && self.kind.conversion.is_none();
                if plain && (*kind != EventKind::Deleted || event.kind == EventKind::Deleted) {
                    out.put_slice(&event.json_line(*kind));
                } else if let Some(object) = given.object() {
                    self.write_object(*kind, &object, out);
                }
            }
        }
    }

    fn write_object(&mut self, kind: EventKind, object: &CachedObject, out: &mut BytesMut) {
        match self.view {
            View::Object => write_line(kind.word(), &render::object_json(self.kind, object), out),
            View::Metadata => write_line(kind.word(), &render::metadata_json(object), out),
            View::Table(include) => {
                let metadata = json!({ "resourceVersion": object.revision.to_string() });
                let with_columns = !std::mem::replace(&mut self.table_started, true);
                let table = render::table_of(self.kind, &[object.value()], include, metadata, with_columns);
                write_line(kind.word(), table.to_string().as_bytes(), out);
            }
        }
    }

    fn write_bookmark(&self, revision: u64, initial_end: bool, out: &mut BytesMut) {
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object: Value = match self.view {
            View::Object => json!({
                "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata,
            }),
            View::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            }),
            View::Table(_) => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "columnDefinitions": [], "rows": [],
            }),
        };
        write_line("BOOKMARK", object.to_string().as_bytes(), out);
    }
}

fn write_line(word: &str, object: &[u8], out: &mut BytesMut) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(word.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
}
