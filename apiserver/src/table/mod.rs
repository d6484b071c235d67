//! Tables: `kubectl get` prints what the server puts in these rows, so columns and words are the stock ones.
//!
//! In: an object as JSON and the time. Out: `meta.k8s.io/v1` Table parts. A kind without columns of its own
//! prints its name and its age. Wide columns have priority 1.

mod cell;
mod configuration;
mod duration;
mod extension;
mod network;
mod node;
mod pod;
mod policy;
mod rbac;
mod storage;
mod workload;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kinds::Kind;

pub use configuration::*;
pub use duration::human;
pub use extension::*;
pub use network::*;
pub use node::*;
pub use pod::{POD, POD_TEMPLATE};
pub use policy::*;
pub use rbac::*;
pub use storage::*;
pub use workload::*;

/// One column, as `columnDefinitions` describes it.
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `boolean`, `date`.
    pub ty: &'static str,
    /// `name` for the column that names the object.
    pub format: &'static str,
    pub description: &'static str,
    /// 0 is always shown, 1 only with `-o wide`.
    pub priority: i32,
}

/// How the objects of a kind print.
#[derive(Clone, Copy)]
pub struct Printer {
    pub columns: &'static [Column],
    /// As many cells as columns.
    pub row: fn(&Value, Timestamp) -> Vec<Value>,
}

const fn string(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "string", format: "", description, priority: 0 }
}

const fn integer(name: &'static str, description: &'static str) -> Column {
    Column { ty: "integer", ..string(name, description) }
}

const fn boolean(name: &'static str, description: &'static str) -> Column {
    Column { ty: "boolean", ..string(name, description) }
}

impl Column {
    const fn wide(self) -> Column {
        Column { priority: 1, ..self }
    }
}

const NAME: Column = Column {
    format: "name",
    ..string("Name", "Name of the object, unique among its kind in its namespace.")
};
const AGE: Column = string("Age", "Time since the object was created.");
const CREATED: Column = Column { ty: "date", ..string("Created At", "When the object was created.") };

pub const NAME_AND_AGE: Printer =
    Printer { columns: &[NAME, AGE], row: |object, now| vec![cell::name(object), cell::age(object, now)] };

/// Some kinds print the creation time itself.
pub const CREATED_AT: Printer = Printer {
    columns: &[NAME, CREATED],
    row: |object, _| vec![cell::name(object), cell::text(object, "/metadata/creationTimestamp")],
};

/// `columnDefinitions` of a kind.
pub fn column_definitions(kind: &Kind) -> Value {
    let definitions = kind.printer.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.ty,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    });
    Value::Array(definitions.collect())
}

/// One row. `part` is what the client asked to see of the object: nothing (null), its metadata, or all of it.
pub fn row(kind: &Kind, object: &Value, part: Value, now: Timestamp) -> Value {
    let mut row = json!({ "cells": kind.row(object, now) });
    if let Some(conditions) = pod::conditions(object) {
        row["conditions"] = conditions;
    }
    if !part.is_null() {
        row["object"] = part;
    }
    row
}

/// A whole Table. Watches send the definitions with their first event only.
pub fn table(columns: Option<Value>, list_metadata: Value, rows: Vec<Value>) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_metadata,
        "columnDefinitions": columns.unwrap_or(Value::Null),
        "rows": rows,
    })
}

/// The metadata of an object alone, as rows carry it by default.
pub fn partial_object(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

#[cfg(test)]
mod table_test;
