//! Role bindings; roles print their creation time only.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{age, name};
use super::{AGE, NAME, Printer, string};
use crate::kinds::walk::{items, text};

pub const ROLE_BINDING: Printer = Printer {
    columns: &[
        NAME,
        string("Role", "What is granted."),
        AGE,
        string("Users", "Users it is granted to.").wide(),
        string("Groups", "Groups it is granted to.").wide(),
        string("ServiceAccounts", "Service accounts it is granted to.").wide(),
    ],
    row,
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name"));
    let of = |kind: &str| -> Value {
        let subjects = items(object, "/subjects").iter().filter(|subject| text(subject, "/kind") == kind);
        let names = subjects.map(|subject| match (kind, text(subject, "/namespace")) {
            ("ServiceAccount", namespace) => format!("{namespace}/{}", text(subject, "/name")),
            _ => text(subject, "/name").to_owned(),
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    vec![name(object), role.into(), age(object, now), of("User"), of("Group"), of("ServiceAccount")]
}
