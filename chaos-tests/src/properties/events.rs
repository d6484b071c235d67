//! What watches were told, sorted by watch; and all changes that anybody knows of, sorted by revision.

use std::collections::BTreeMap;

use crate::history::{Event, History, Kv, Operation, Reply, Request, WatchRecord, WatchSight};

/// One watch, through all its streams.
pub struct Watch<'a> {
    pub number: u32,
    pub prefix: &'a str,
    pub records: Vec<&'a WatchRecord>,
}

/// A change of one key: its new value, or `None` for a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    pub value: Option<&'a str>,
    /// Of an event; an acknowledged write does not tell it.
    pub event: Option<&'a Event>,
}

/// revision → key → change.
#[derive(Default)]
pub struct Changes<'a> {
    pub by_revision: BTreeMap<i64, BTreeMap<&'a str, Change<'a>>>,
    /// Two sources that do not agree.
    pub conflicts: Vec<String>,
}

pub fn watches(history: &History) -> Vec<Watch<'_>> {
    let mut found: BTreeMap<u32, Watch> = BTreeMap::new();
    for record in &history.watches {
        found
            .entry(record.watch)
            .or_insert_with(|| Watch { number: record.watch, prefix: &record.prefix, records: Vec::new() })
            .records
            .push(record);
    }
    found.into_values().collect()
}

impl<'a> Watch<'a> {
    /// Events with the record that brought them.
    pub fn events(&self) -> impl Iterator<Item = (&'a WatchRecord, &'a Event)> {
        self.records.iter().flat_map(|record| match &record.sight {
            WatchSight::Events(events) => events.iter().map(|event| (*record, event)).collect(),
            _ => Vec::new(),
        })
    }

    /// First revision that the watch owes; None before it was created.
    pub fn owed_from(&self) -> Option<i64> {
        let mut asked = 0;
        for record in &self.records {
            match &record.sight {
                WatchSight::Asked { start_revision, .. } => asked = *start_revision,
                WatchSight::Created if asked > 0 => return Some(asked),
                WatchSight::Created => return Some(record.revision + 1),
                _ => {}
            }
        }
        None
    }

    /// The watch said that it has told everything up to here.
    pub fn told_until(&self) -> i64 {
        let told = self.records.iter().filter_map(|record| match &record.sight {
            WatchSight::Events(events) => events.iter().map(|event| event.kv.mod_revision).max(),
            WatchSight::Progress => Some(record.revision),
            _ => None,
        });
        told.max().unwrap_or(0)
    }

    /// `watch 30001 (client 3 at m1) on watch/`, for messages.
    pub fn name(&self, record: &WatchRecord) -> String {
        format!("watch {} on {:?}, client {} at {}", self.number, self.prefix, record.client, record.member)
    }
}

pub fn describe(event: &Event) -> String {
    let what = if event.deleted { "delete".to_owned() } else { format!("put {}", event.kv.value) };
    format!("revision {}: {what} of {}", event.kv.mod_revision, event.kv.key)
}

impl<'a> Changes<'a> {
    /// From all watches and from every write that was acknowledged.
    pub fn known(history: &'a History) -> Self {
        let mut changes = Self::default();
        for record in &history.watches {
            if let WatchSight::Events(events) = &record.sight {
                for event in events {
                    let value = (!event.deleted).then_some(event.kv.value.as_str());
                    let change = Change { value, event: Some(event) };
                    changes.add(event.kv.mod_revision, &event.kv.key, change, || {
                        format!("watch {} at {}", record.watch, record.member)
                    });
                }
            }
        }
        for operation in &history.operations {
            for (revision, key, value) in acknowledged_writes(operation) {
                changes.add(revision, key, Change { value, event: None }, || operation.describe());
            }
        }
        changes
    }

    /// `source` is asked for only where two do not agree.
    fn add(&mut self, revision: i64, key: &'a str, change: Change<'a>, source: impl FnOnce() -> String) {
        let known = self.by_revision.entry(revision).or_default().entry(key).or_insert(change);
        if known.value != change.value {
            let text = format!(
                "revision {revision} of {key} is {:?} to one and {:?} to another: {}",
                known.value,
                change.value,
                source()
            );
            self.conflicts.push(text);
        }
        known.event = known.event.or(change.event);
    }
}

/// (revision, key, value or deletion) of what the operation certainly changed.
pub fn acknowledged_writes(operation: &Operation) -> Vec<(i64, &str, Option<&str>)> {
    let (Some(revision), Some(reply)) = (operation.revision(), operation.reply()) else { return Vec::new() };
    let mut found = Vec::new();
    writes(&operation.request, reply, &mut |key, value| found.push((revision, key, value)));
    found
}

fn writes<'a>(request: &'a Request, reply: &Reply, found: &mut dyn FnMut(&'a str, Option<&'a str>)) {
    match (request, reply) {
        (Request::Put { key, value, .. }, Reply::Put) => found(key, Some(value)),
        (Request::Delete { key }, Reply::Delete { deleted }) if *deleted > 0 => found(key, None),
        (Request::Txn { success, failure, .. }, Reply::Txn { succeeded, replies }) => {
            let chosen = if *succeeded { success } else { failure };
            for (request, reply) in chosen.iter().zip(replies) {
                writes(request, reply, found);
            }
        }
        _ => {}
    }
}

/// The newest kv of `key` before `revision`, as far as events tell.
pub fn before<'a>(changes: &Changes<'a>, key: &str, revision: i64) -> Option<&'a Kv> {
    let earlier = changes.by_revision.range(..revision).rev().find_map(|(_, keys)| keys.get(key))?;
    earlier.event.filter(|event| !event.deleted).map(|event| &event.kv)
}
