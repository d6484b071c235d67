//! Takes out of a merged object what its manager applied before and no longer does, unless another one owns it.

use serde_json::Value;

use super::entries::Entries;
use super::extract::field_set;
use super::remove::remove_items;
use super::set::Set;
use crate::schema::Typed;

/// `entries` already hold the manager's new set; `last` is its set before.
pub(super) fn prune(merged: Value, entries: &Entries, last: &Set, ty: Typed<'_>) -> Value {
    if last.is_empty() {
        return merged;
    }
    let last = last.with_named_parents(Some(ty));
    let pruned = remove_items(&merged, &last, ty);
    let pruned = add_back_owned(&merged, &pruned, entries, ty);
    add_back_dangling(&merged, &pruned, &last, ty)
}

/// Removing an element or struct removes everything in it; what anyone owns in there comes back.
fn add_back_owned(merged: &Value, pruned: &Value, entries: &Entries, ty: Typed<'_>) -> Value {
    let owned = entries.values().fold(Set::default(), |owned, entry| owned.union(&entry.set));
    let keep = named(pruned, ty).union(&owned.with_named_parents(Some(ty)));
    remove_items(merged, &named(merged, ty).difference(&keep), ty)
}

/// Only what the manager itself owned may go: fields that nobody owns come back, too.
fn add_back_dangling(merged: &Value, pruned: &Value, last: &Set, ty: Typed<'_>) -> Value {
    let gone = named(merged, ty).difference(&named(pruned, ty)).intersection(last);
    remove_items(merged, &gone, ty)
}

fn named(value: &Value, ty: Typed<'_>) -> Set {
    field_set(value, ty).with_named_parents(Some(ty))
}
