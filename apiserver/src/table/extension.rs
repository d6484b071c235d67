//! API services, and the components that the server looks at.

use serde_json::Value;

use super::cell::{NONE, age, name};
use super::{AGE, NAME, Printer, string};
use crate::kinds::walk::{items, text};

pub const API_SERVICE: Printer = Printer {
    columns: &[
        NAME,
        string("Service", "The Service behind it, or Local for what this server answers itself."),
        string("Available", "Whether requests can be answered."),
        AGE,
    ],
    row: |object, now| {
        let service = match text(object, "/spec/service/name") {
            "" => "Local".to_owned(),
            service => format!("{}/{service}", text(object, "/spec/service/namespace")),
        };
        vec![name(object), service.into(), available(object).into(), age(object, now)]
    },
};

pub const COMPONENT_STATUS: Printer = Printer {
    columns: &[
        NAME,
        string("Status", "Healthy or not."),
        string("Message", "What the component said."),
        string("Error", "Why it could not be asked."),
    ],
    row: |object, _| {
        let healthy = items(object, "/conditions").iter().find(|c| text(c, "/type") == "Healthy");
        let (status, message, error) = match healthy {
            None => ("Unknown", "", ""),
            Some(condition) => {
                let word = match text(condition, "/status") {
                    "True" => "Healthy",
                    "False" => "Unhealthy",
                    _ => "Unknown",
                };
                (word, text(condition, "/message"), text(condition, "/error"))
            }
        };
        vec![name(object), status.into(), message.into(), error.into()]
    },
};

/// `True`, or `False (Reason)`.
fn available(object: &Value) -> String {
    let condition = items(object, "/status/conditions").iter().find(|c| text(c, "/type") == "Available");
    match condition.map(|condition| (text(condition, "/status"), text(condition, "/reason"))) {
        None => NONE.to_owned(),
        Some(("True", _)) => "True".to_owned(),
        Some((status, reason)) => format!("{status} ({reason})"),
    }
}
