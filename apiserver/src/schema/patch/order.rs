//! The order of a merged list: elements of the patch in the patch's order, the others where they were.
//!
//! Worked example: server `[a, b, c]`, order of the patch `[c, x, a]` → `[b, c, x, a]`: `b` is only on the server and
//! stood before `c`, so it comes before it.

use serde_json::Value;

/// Tells elements apart: scalars by value, objects by their merge key.
#[derive(Clone, Copy)]
pub(super) struct Identity<'k>(pub(super) Option<&'k str>);

impl Identity<'_> {
    pub(super) fn same(self, a: &Value, b: &Value) -> bool {
        match self.0 {
            None => a == b,
            Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        }
    }

    pub(super) fn position(self, list: &[Value], item: &Value) -> Option<usize> {
        list.iter().position(|one| self.same(one, item))
    }
}

/// `merged` in the order that `wanted` asks for and `server` had.
pub(super) fn arrange(
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
    by: Identity<'_>,
) -> Vec<Value> {
    let (mut patch, mut server_only): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| by.position(wanted, item).is_some());
    patch.sort_by_key(|item| by.position(wanted, item));
    server_only.sort_by_key(|item| by.position(server, item).unwrap_or(usize::MAX));
    interleave(server_only, patch, server, by)
}

/// Merges the two lists; an element of the server goes first only if it stood before the other on the server.
fn interleave(server_only: Vec<Value>, patch: Vec<Value>, server: &[Value], by: Identity<'_>) -> Vec<Value> {
    let mut merged = Vec::with_capacity(server_only.len() + patch.len());
    let mut left = server_only.into_iter().peekable();
    let mut right = patch.into_iter().peekable();
    while let (Some(kept), Some(patched)) = (left.peek(), right.peek()) {
        let before = match (by.position(server, kept), by.position(server, patched)) {
            (Some(kept), Some(patched)) => kept < patched,
            _ => false,
        };
        let next = if before { left.next() } else { right.next() };
        merged.extend(next);
    }
    merged.extend(left.chain(right));
    merged
}
