//! Bookkeeping of writes that are not applies: create, update, the other patches, subresources.

use serde_json::{Map, Value};

use super::compare::compare;
use super::entries::{self, Entries, Entry, Id};
use super::{Manager, ownership, unwritable, without_bookkeeping};
use crate::schema::{Gvk, Typed};

/// Sets `new`'s managed fields. `new` may carry the client's own list: that counts (kubectl migrates this way),
/// an empty list or `[{}]` resets, a malformed one is ignored. `old` is None for a create.
pub fn update<'k>(kind: impl Into<Gvk<'k>>, old: Option<&Value>, new: &mut Value, manager: &Manager) {
    let Some(ty) = kind.into().typed() else { return };
    let mut known = known_entries(old, new, manager);
    entries::set(new, None);
    // An object that nobody tracks stays so until it is applied or created anew.
    if !(known.is_empty() && old.is_some()) {
        record(&mut known, old, new, ty, manager);
        entries::cap(&mut known);
    }
    entries::set(new, entries::encode(&known));
}

/// Attributes every change from `old` to `new` to the manager.
pub(super) fn record(
    known: &mut Entries,
    old: Option<&Value>,
    new: &Value,
    ty: Typed<'_>,
    manager: &Manager,
) {
    let nothing = Value::Object(Map::new());
    let mut change = compare(old.unwrap_or(&nothing), new, ty);
    if let Some(field) = unwritable(ty, &manager.subresource) {
        change.ignore(field);
    }
    ownership::take_from_others(known, None, &change);
    let set = without_bookkeeping(&change.set_now().difference(&change.removed));
    if !set.is_empty() {
        let entry = Entry { api_version: manager.api_version.clone(), set, time: manager.time() };
        ownership::give(known, Id::of(manager), entry);
    }
}

fn known_entries(old: Option<&Value>, new: &Value, manager: &Manager) -> Entries {
    let live = || old.and_then(|old| entries::decode(entries::of(old))).unwrap_or_default();
    // A subresource's body is not the object: its list is not looked at.
    if !manager.subresource.is_empty() {
        return live();
    }
    let sent = entries::of(new);
    if sent.is_some_and(is_reset) {
        return Entries::new();
    }
    match entries::decode(sent) {
        Some(sent) if !sent.is_empty() => sent,
        Some(_) | None => live(),
    }
}

fn is_reset(list: &Value) -> bool {
    match list.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(only)]) => only.is_empty(),
        Some(_) | None => false,
    }
}
