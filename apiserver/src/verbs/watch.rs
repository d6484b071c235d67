//! Watch: one subscription over a resource's window, for either door.
//!
//! Contract: after the start, every event of the selection once, in revision order; an object that a change moves
//! into the selection is ADDED, one moved out is DELETED. A `Bookmark(r)` promises that everything up to r has
//! been given. `Gone` ends the subscription: it lagged so far behind that history left the window.
//!
//! States: initial objects (optional) → their end → following.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::list::present;
use super::select::Selection;
use crate::cache::{CachedObject, Event, EventKind, Position, ResourceCache};
use crate::error::ApiError;
use crate::pipeline::{Api, Target};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Events after this revision.
    After(u64),
    /// Events from now on.
    Newest,
    /// The present objects as ADDED, then events. The state is not older than `at_least`; None: the newest.
    State { at_least: Option<u64>, marks_end: bool },
}

/// What a subscriber is given.
pub enum Given {
    /// An object of the initial state.
    Initial(Arc<CachedObject>),
    /// The initial state is complete; it is that of the revision.
    InitialEnd(u64),
    /// A change, as this subscriber sees it.
    Event(EventKind, Arc<Event>),
}

impl Given {
    /// For events that leave the selection: the state before, at the revision of the change.
    pub fn object(&self) -> Option<Arc<CachedObject>> {
        match self {
            Given::Initial(object) => Some(object.clone()),
            Given::InitialEnd(_) => None,
            Given::Event(EventKind::Deleted, event) if event.kind != EventKind::Deleted => {
                let before = event.previous.as_ref()?;
                Some(Arc::new(before.deleted_at(event.revision())))
            }
            Given::Event(_, event) => Some(event.object.clone()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

pub struct Watcher {
    resource: Arc<ResourceCache>,
    selection: Selection,
    position: Position,
    news: watch::Receiver<u64>,
    initial: VecDeque<Arc<CachedObject>>,
    /// Given once the initial objects are out.
    initial_end: Option<u64>,
    batch: Vec<Arc<Event>>,
}

pub async fn watch(
    api: &Api,
    target: &Target,
    selection: Selection,
    start: Start,
) -> Result<Watcher, ApiError> {
    let resource = api.cache.resource(target.kind).ok_or_else(ApiError::method_not_allowed)?.clone();
    match start {
        Start::After(revision) => {
            api.cache.wait_for(revision.max(1)).await?;
            after(resource, selection, revision)
        }
        Start::Newest => {
            let revision = current_revision(api, target).await?;
            api.cache.wait_for(revision).await?;
            after(resource, selection, revision)
        }
        Start::State { at_least, marks_end } => {
            let at_least = match at_least {
                Some(revision) => revision,
                None => current_revision(api, target).await?,
            };
            api.cache.wait_for(at_least.max(1)).await?;
            from_state(api, resource, selection, marks_end)
        }
    }
}

async fn current_revision(api: &Api, target: &Target) -> Result<u64, ApiError> {
    api.store.current_revision().await.map_err(|error| error.into_api(&target.group_resource(), ""))
}

fn after(resource: Arc<ResourceCache>, selection: Selection, revision: u64) -> Result<Watcher, ApiError> {
    let position = resource
        .position_after(revision)
        .map_err(|oldest| ApiError::too_old_resource_version(revision, oldest))?;
    Ok(Watcher::new(resource, selection, position))
}

fn from_state(
    api: &Api,
    resource: Arc<ResourceCache>,
    selection: Selection,
    marks_end: bool,
) -> Result<Watcher, ApiError> {
    let (snapshot, revision) = present(api, &resource);
    let initial = match (selection.name(), selection.namespace.is_empty()) {
        (Some(name), false) => snapshot
            .get(&selection.namespace, name)
            .filter(|object| selection.matches(object))
            .into_iter()
            .collect(),
        _ => snapshot.iter(&selection.namespace, None).filter(|o| selection.matches(o)).cloned().collect(),
    };
    let mut watcher = after(resource, selection, revision)?;
    watcher.initial = initial;
    watcher.initial_end = marks_end.then_some(revision);
    Ok(watcher)
}

impl Watcher {
    fn new(resource: Arc<ResourceCache>, selection: Selection, position: Position) -> Watcher {
        let mut news = resource.subscribe();
        // Events between `position` and now are in the window but may not be news any more.
        news.mark_changed();
        Watcher {
            resource,
            selection,
            position,
            news,
            initial: VecDeque::new(),
            initial_end: None,
            batch: Vec::new(),
        }
    }

    /// Waits until `poll` may have something. Cancel-safe.
    pub async fn ready(&mut self) {
        if self.has_initial() {
            return;
        }
        // The resource, and with it the sender, lives in `self`.
        let _ = self.news.changed().await;
    }

    pub fn has_initial(&self) -> bool {
        !self.initial.is_empty() || self.initial_end.is_some()
    }

    /// Takes what is there, without waiting: at most a batch. True: call again, there may be more.
    pub fn take(&mut self, out: &mut Vec<Given>) -> Result<bool, Gone> {
        if self.has_initial() {
            let most = crate::limits::WINDOW_BATCH.min(self.initial.len());
            out.extend(self.initial.drain(..most).map(Given::Initial));
            if self.initial.is_empty() {
                out.extend(self.initial_end.take().map(Given::InitialEnd));
                self.news.mark_changed();
            }
            return Ok(true);
        }
        self.batch.clear();
        self.resource.read(&mut self.position, &mut self.batch).map_err(|_| Gone)?;
        let selection = &self.selection;
        let seen = self.batch.iter().filter_map(|event| Some((seen_as(selection, event)?, event)));
        out.extend(seen.map(|(kind, event)| Given::Event(kind, event.clone())));
        Ok(self.batch.len() == crate::limits::WINDOW_BATCH)
    }
}

/// What a change is to a watcher of the selection; None: nothing.
fn seen_as(selection: &Selection, event: &Event) -> Option<EventKind> {
    let before = event.previous.as_ref().is_some_and(|previous| selection.matches(previous));
    let after = event.kind != EventKind::Deleted && selection.matches(&event.object);
    match (before, after) {
        (false, false) => None,
        (false, true) => Some(EventKind::Added),
        (true, true) => Some(EventKind::Modified),
        (true, false) => Some(EventKind::Deleted),
    }
}
