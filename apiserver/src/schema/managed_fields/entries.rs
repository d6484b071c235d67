//! `metadata.managedFields` as a table of managers and their field sets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::set::Set;
use super::{Manager, Operation};
use crate::schema::scalar::format_time;

/// Update entries of one object; older ones are folded together.
const MAX_UPDATE_MANAGERS: usize = 10;
/// The name under which they are folded.
const OLD_UPDATES: &str = "ancient-changes";

/// What tells entries apart. An applier is the same one in every API version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) manager: String,
    pub(super) operation: Operation,
    /// Empty for appliers.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) api_version: String,
    pub(super) set: Set,
    pub(super) time: Option<Timestamp>,
}

pub(super) type Entries = BTreeMap<Id, Entry>;

impl Id {
    pub(super) fn of(manager: &Manager) -> Id {
        let name = if manager.name.is_empty() { "unknown" } else { &manager.name };
        Id {
            manager: name.to_owned(),
            operation: manager.operation(),
            api_version: match manager.operation() {
                Operation::Apply => String::new(),
                Operation::Update => manager.api_version.clone(),
            },
            subresource: manager.subresource.clone(),
        }
    }
}

/// None if any entry is malformed: the whole list is then as good as absent.
pub(super) fn decode(managed_fields: Option<&Value>) -> Option<Entries> {
    let mut entries = Entries::new();
    for entry in managed_fields.and_then(Value::as_array).into_iter().flatten() {
        let (id, entry) = decode_entry(entry)?;
        entries.insert(id, entry);
    }
    Some(entries)
}

fn decode_entry(entry: &Value) -> Option<(Id, Entry)> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
        return None;
    }
    let set = match entry.get("fieldsV1") {
        None | Some(Value::Null) => Set::default(),
        Some(fields) => Set::from_fields_v1(fields)?,
    };
    let id = Id {
        manager: text("manager"),
        operation,
        api_version: if operation == Operation::Apply { String::new() } else { api_version.clone() },
        subresource: text("subresource"),
    };
    Some((id, Entry { api_version, set, time: text("time").parse().ok() }))
}

/// Appliers first, then by time, name, version, subresource. None if nobody manages anything.
pub(super) fn encode(entries: &Entries) -> Option<Value> {
    let mut sorted: Vec<(&Id, &Entry)> = entries.iter().collect();
    sorted.sort_by_key(|(id, entry)| {
        let seconds = entry.time.map_or(0, Timestamp::as_second);
        (id.operation, seconds, &id.manager, &entry.api_version, &id.subresource)
    });
    let encoded: Vec<Value> = sorted.into_iter().map(|(id, entry)| encode_entry(id, entry)).collect();
    (!encoded.is_empty()).then_some(Value::Array(encoded))
}

fn encode_entry(id: &Id, entry: &Entry) -> Value {
    let operation = match id.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut encoded = json!({
        "apiVersion": entry.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": entry.set.to_fields_v1(),
        "operation": operation,
    });
    let object = encoded.as_object_mut().expect("made an object above");
    if !id.manager.is_empty() {
        object.insert("manager".into(), id.manager.clone().into());
    }
    if !id.subresource.is_empty() {
        object.insert("subresource".into(), id.subresource.clone().into());
    }
    if let Some(time) = entry.time {
        object.insert("time".into(), format_time(time, 0).into());
    }
    encoded
}

/// Folds the oldest Update entries of an API version into one, until at most [`MAX_UPDATE_MANAGERS`] remain.
/// Each version's first (oldest) entry only becomes the fold when a second one of its version has to go.
pub(super) fn cap(entries: &mut Entries) {
    let mut updaters: Vec<(i64, Id)> = entries
        .iter()
        .filter(|(id, _)| id.operation == Operation::Update)
        .map(|(id, entry)| (entry.time.map_or(0, Timestamp::as_second), id.clone()))
        .collect();
    updaters.sort();
    let mut count = updaters.len();
    let mut first_of: BTreeMap<String, Id> = BTreeMap::new();
    for (_, id) in updaters {
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        let version = id.api_version.clone();
        let Some(first) = first_of.get(&version) else {
            first_of.insert(version, id);
            continue;
        };
        let fold = Id {
            manager: OLD_UPDATES.to_owned(),
            operation: Operation::Update,
            api_version: version,
            subresource: String::new(),
        };
        if !entries.contains_key(&fold)
            && let Some(entry) = entries.remove(first)
        {
            entries.insert(fold.clone(), entry);
        }
        if let (Some(entry), Some(folded)) = (entries.remove(&id), entries.get_mut(&fold)) {
            folded.set = std::mem::take(&mut folded.set).union(&entry.set);
            folded.time = entry.time;
            count -= 1;
        }
    }
}

/// The list of an object.
pub(super) fn of(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields")
}

/// Replaces the list of an object; None takes it away.
pub(super) fn set(object: &mut Value, managed_fields: Option<Value>) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else { return };
    match managed_fields {
        Some(list) => metadata.insert("managedFields".into(), list),
        None => metadata.remove("managedFields"),
    };
}
