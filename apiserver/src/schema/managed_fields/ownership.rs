//! Moves fields between managers when an object changes.

use std::collections::BTreeMap;

use super::compare::Comparison;
use super::entries::{Entries, Entry, Id};
use super::set::Set;

/// The fields of each other manager that the change sets.
pub(super) type Conflicts = BTreeMap<Id, Set>;

/// Which fields of others than `writer` a change would take.
pub(super) fn conflicts(entries: &Entries, writer: Option<&Id>, change: &Comparison) -> Conflicts {
    let set_now = change.set_now();
    let others = entries.iter().filter(|(id, _)| Some(*id) != writer);
    let taken = others.map(|(id, entry)| (id.clone(), entry.set.intersection(&set_now)));
    taken.filter(|(_, set)| !set.is_empty()).collect()
}

/// Takes from others what the change sets or removes; entries without fields go.
pub(super) fn take_from_others(entries: &mut Entries, writer: Option<&Id>, change: &Comparison) {
    let set_now = change.set_now();
    for (_, entry) in entries.iter_mut().filter(|(id, _)| Some(*id) != writer) {
        entry.set = entry.set.difference(&set_now).difference(&change.removed);
    }
    entries.retain(|_, entry| !entry.set.is_empty());
}

/// Adds fields to a manager, new or known.
pub(super) fn give(entries: &mut Entries, writer: Id, entry: Entry) {
    match entries.get_mut(&writer) {
        Some(known) => {
            known.set = std::mem::take(&mut known.set).union(&entry.set);
            known.api_version = entry.api_version;
            known.time = entry.time;
        }
        None => {
            entries.insert(writer, entry);
        }
    }
}
