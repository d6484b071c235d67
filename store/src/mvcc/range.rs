//! The Range request: which rows, in which order, how many, and the quirks that clients rely on.
//!
//! | option | what it does |
//! |---|---|
//! | `limit` | cuts after filters and order; one row more is looked for, and `more` says that there was one |
//! | `count` | all keys of the range at that revision, whatever limit and filters say |
//! | order NONE, target KEY | key order |
//! | order NONE, other target | ascending by the target, but among the first `limit + 1` keys only |
//! | filters, any other order | all rows are read, filtered, sorted, then cut |
//!
//! Source: etcd v3.6 `server/etcdserver/txn/txn.go`.

use balsa_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use balsa_proto::etcd::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;

use super::KeyRange;
use super::read::{ReadError, Reader};
use crate::error::Error;

impl Reader<'_> {
    /// Answers a request that [`crate::apply::check`] has passed. The header carries only the revision.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
        let order = Order::of(request)?;
        let revision = self.resolve(request.revision)?;
        let range = KeyRange::from_bytes(request.key.clone(), request.range_end.clone());
        let mut response = RangeResponse { header: Some(header(self.revision)), ..RangeResponse::default() };
        if request.count_only {
            response.count = self.count(&range, revision)? as i64;
            return Ok(response);
        }
        let fetch = fetch_limit(request, order);
        let want_values = !request.keys_only || order.target == SortTarget::Value;
        let mut rows = self.rows(&range, revision, fetch, want_values)?;
        let all_fetched = fetch == 0 || rows.len() < fetch;
        response.count = if all_fetched { rows.len() } else { self.count(&range, revision)? } as i64;
        rows.retain(|row| passes_filters(request, row));
        order.sort(&mut rows);
        if let Some(limit) = positive(request.limit)
            && rows.len() > limit
        {
            rows.truncate(limit);
            response.more = true;
        }
        if request.keys_only {
            rows.iter_mut().for_each(|row| row.value = Bytes::new());
        }
        response.kvs = rows;
        Ok(response)
    }
}

pub(crate) fn header(revision: i64) -> ResponseHeader {
    ResponseHeader { revision, ..ResponseHeader::default() }
}

fn positive(limit: i64) -> Option<usize> {
    (limit > 0).then_some(limit as usize)
}

/// How many rows to read: one more than asked for if they come in the right order already, else all (0).
fn fetch_limit(request: &RangeRequest, order: Order) -> usize {
    let in_order = !order.requested || (order.target == SortTarget::Key && !order.descending);
    match positive(request.limit) {
        Some(limit) if in_order && !has_filters(request) => limit.saturating_add(1),
        _ => 0,
    }
}

fn has_filters(request: &RangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

/// A bound of 0 is no bound.
fn passes_filters(request: &RangeRequest, row: &KeyValue) -> bool {
    let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(row.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(row.create_revision, request.min_create_revision, request.max_create_revision)
}

#[derive(Debug, Clone, Copy)]
struct Order {
    target: SortTarget,
    descending: bool,
    /// The request named an order, so that all rows take part in it.
    requested: bool,
}

impl Order {
    fn of(request: &RangeRequest) -> Result<Order, Error> {
        let order = SortOrder::try_from(request.sort_order).map_err(|_| Error::InvalidSortOption)?;
        let target = SortTarget::try_from(request.sort_target).map_err(|_| Error::InvalidSortOption)?;
        Ok(Order { target, descending: order == SortOrder::Descend, requested: order != SortOrder::None })
    }

    /// Stable, so that equals stay in key order, also when larger ones come first.
    fn sort(self, rows: &mut [KeyValue]) {
        match self.target {
            // Rows come in key order.
            SortTarget::Key if self.descending => rows.reverse(),
            SortTarget::Key => {}
            SortTarget::Version => self.sort_by(rows, |row| row.version),
            SortTarget::Create => self.sort_by(rows, |row| row.create_revision),
            SortTarget::Mod => self.sort_by(rows, |row| row.mod_revision),
            SortTarget::Value => self.sort_by(rows, |row| row.value.clone()),
        }
    }

    fn sort_by<T: Ord>(self, rows: &mut [KeyValue], target: impl Fn(&KeyValue) -> T) {
        rows.sort_by(|a, b| {
            let ascending = target(a).cmp(&target(b));
            if self.descending { ascending.reverse() } else { ascending }
        });
    }
}
