//! List: one consistent revision, in pages, from the cache's snapshot.
//!
//! A first page comes from the newest snapshot. A later page must show the revision of the first: the snapshot
//! serves it while the resource has not changed since, and etcd's history otherwise. When that is compacted the
//! client gets 410 with a token that goes on at the newest revision (`inconsistent continue`).

use std::sync::Arc;

use balsa_proto::etcd::mvccpb::KeyValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::select::Selection;
use crate::cache::{CachedObject, ResourceCache, Snapshot};
use crate::error::{ApiError, Status};
use crate::pipeline::{Api, Target};
use crate::storage::{StoreError, prefix_end};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// The newest state there is.
    MostRecent,
    /// Any state not older; 0 = whatever the cache has.
    NotOlderThan(u64),
    Exact(u64),
}

#[derive(Debug, Clone)]
pub struct ListOptions {
    pub version: VersionMatch,
    /// 0: no limit.
    pub limit: usize,
    /// Empty: from the beginning.
    pub continue_token: String,
}

impl Default for ListOptions {
    fn default() -> Self {
        ListOptions { version: VersionMatch::MostRecent, limit: 0, continue_token: String::new() }
    }
}

pub struct Listed {
    pub items: Vec<Arc<CachedObject>>,
    pub revision: u64,
    /// Empty on the last page.
    pub continue_token: String,
    /// Known only without selectors.
    pub remaining: Option<u64>,
}

/// What a continue token holds; the form of the stock one.
#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(rename = "v")]
    version: String,
    /// -1: any revision, after the original one was compacted.
    #[serde(rename = "rv")]
    revision: i64,
    /// Key within the resource of the last object sent.
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

pub async fn list(
    api: &Api,
    target: &Target,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Listed, ApiError> {
    if target.kind.plural == "componentstatuses" {
        return super::component_status::list(api, target, selection).await;
    }
    let resource = api.cache.resource(target.kind).ok_or_else(ApiError::method_not_allowed)?;
    if options.continue_token.is_empty() {
        return first_page(api, target, resource, selection, options).await;
    }
    let token = decode_token(&options.continue_token)?;
    if token.revision > 0 {
        return at_revision(api, target, resource, selection, options, token).await;
    }
    let (snapshot, revision) = newest(api, target, resource).await?;
    Ok(page(&snapshot, revision, selection, options.limit, Some(&token.start)))
}

async fn first_page(
    api: &Api,
    target: &Target,
    resource: &ResourceCache,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Listed, ApiError> {
    let (snapshot, revision) = match options.version {
        VersionMatch::MostRecent => newest(api, target, resource).await?,
        VersionMatch::NotOlderThan(revision) => {
            api.cache.wait_for(revision.max(1)).await?;
            present(api, resource)
        }
        VersionMatch::Exact(revision) => {
            let token = Token { version: String::new(), revision: revision as i64, start: String::new() };
            return at_revision(api, target, resource, selection, options, token).await;
        }
    };
    Ok(page(&snapshot, revision, selection, options.limit, None))
}

/// The snapshot after waiting until it holds all that the store held when asked.
async fn newest(
    api: &Api,
    target: &Target,
    resource: &ResourceCache,
) -> Result<(Arc<Snapshot>, u64), ApiError> {
    let current = api.store.current_revision().await;
    let current = current.map_err(|error| error.into_api(&target.group_resource(), ""))?;
    api.cache.wait_for(current).await?;
    Ok(present(api, resource))
}

/// A snapshot and the revision at which it is exact. The cache's revision is read first: every event up to it is
/// in the snapshot, and none after the snapshot's own last change.
pub fn present(api: &Api, resource: &ResourceCache) -> (Arc<Snapshot>, u64) {
    let revision = api.cache.revision();
    let snapshot = resource.snapshot();
    let revision = revision.max(snapshot.last_change);
    (snapshot, revision)
}

async fn at_revision(
    api: &Api,
    target: &Target,
    resource: &ResourceCache,
    selection: &Selection,
    options: &ListOptions,
    token: Token,
) -> Result<Listed, ApiError> {
    let revision = token.revision as u64;
    let after = (!token.start.is_empty()).then_some(token.start.as_str());
    if api.cache.revision() >= revision {
        let snapshot = resource.snapshot();
        if snapshot.last_change <= revision {
            return Ok(page(&snapshot, revision, selection, options.limit, after));
        }
    }
    match from_history(api, target, selection, options.limit, revision, after).await {
        Ok(listed) => Ok(listed),
        Err(StoreError::Compacted) if after.is_some() => Err(expired(&token.start)),
        Err(error) => Err(error.into_api(&target.group_resource(), "")),
    }
}

fn page(
    snapshot: &Snapshot,
    revision: u64,
    selection: &Selection,
    limit: usize,
    after: Option<&str>,
) -> Listed {
    if let (Some(name), false) = (selection.name(), selection.namespace.is_empty()) {
        let found = snapshot.get(&selection.namespace, name).filter(|object| selection.matches(object));
        return Listed {
            items: found.into_iter().collect(),
            revision,
            continue_token: String::new(),
            remaining: None,
        };
    }
    let mut candidates = snapshot.iter(&selection.namespace, after);
    let mut matching = candidates.by_ref().filter(|object| selection.matches(object));
    let most = if limit == 0 { usize::MAX } else { limit };
    let items: Vec<Arc<CachedObject>> = matching.by_ref().take(most).cloned().collect();
    let more = limit != 0 && matching.next().is_some();
    if !more {
        return Listed { items, revision, continue_token: String::new(), remaining: None };
    }
    let remaining = selection.takes_all().then(|| candidates.count() as u64 + 1);
    let continue_token =
        items.last().map(|last| encode_token(revision as i64, &last.key())).unwrap_or_default();
    Listed { items, revision, continue_token, remaining }
}

/// Pages that the snapshot cannot show any more.
async fn from_history(
    api: &Api,
    target: &Target,
    selection: &Selection,
    limit: usize,
    revision: u64,
    after: Option<&str>,
) -> Result<Listed, StoreError> {
    let root = format!("{}{}/", api.store.prefix(), target.kind.prefix().unwrap_or_default());
    let range =
        if selection.namespace.is_empty() { root.clone() } else { format!("{root}{}/", selection.namespace) };
    let end = prefix_end(range.as_bytes());
    let mut start = match after {
        Some(key) => [root.as_bytes(), key.as_bytes(), b"\0"].concat(),
        None => range.into_bytes(),
    };
    let most = if limit == 0 { usize::MAX } else { limit };
    let mut items: Vec<Arc<CachedObject>> = Vec::new();
    loop {
        let asked = most.saturating_sub(items.len()).clamp(1, crate::limits::FILL_PAGE_KEYS as usize);
        let fetched = api.store.range(start, end.clone(), asked as i64, revision).await?;
        items.extend(fetched.kvs.iter().filter_map(|kv| selected(target, selection, kv)));
        let Some(last) = fetched.kvs.last().filter(|_| fetched.more) else {
            return Ok(Listed { items, revision, continue_token: String::new(), remaining: None });
        };
        if items.len() >= most {
            let key = String::from_utf8_lossy(&last.key[root.len()..]);
            let remaining = selection.takes_all().then(|| fetched.count - fetched.kvs.len() as u64);
            let continue_token = encode_token(revision as i64, &key);
            return Ok(Listed { items, revision, continue_token, remaining });
        }
        start = [last.key.as_ref(), b"\0"].concat();
    }
}

fn selected(target: &Target, selection: &Selection, kv: &KeyValue) -> Option<Arc<CachedObject>> {
    let object = CachedObject::decode(target.kind.stored(), kv.value.clone(), kv.mod_revision as u64).ok()?;
    selection.matches(&object).then(|| Arc::new(object))
}

fn encode_token(revision: i64, start: &str) -> String {
    let token = Token { version: TOKEN_VERSION.into(), revision, start: start.to_owned() };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token is plain data"))
}

fn decode_token(text: &str) -> Result<Token, ApiError> {
    let refuse = || ApiError::bad_request("continue key is not valid: the token cannot be read");
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| refuse())?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|_| refuse())?;
    if token.version != TOKEN_VERSION || token.start.is_empty() {
        return Err(refuse());
    }
    Ok(token)
}

/// 410 that carries a way on: a token without a revision.
fn expired(start: &str) -> ApiError {
    const MESSAGE: &str = "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this response to retrieve \
         the remainder of the results. Continuing with the provided token results in an inconsistent list - \
         objects that were created, modified, or deleted between the time the first chunk was returned and now \
         may show up in the list.";
    let mut status = Status::from(ApiError::gone_expired(MESSAGE));
    status.metadata = serde_json::json!({ "continue": encode_token(-1, start) });
    ApiError::from(status)
}
