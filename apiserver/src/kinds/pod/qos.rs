//! The quality-of-service class: who is evicted first when a node runs short.

use balsa_proto::meta::quantity::Quantity;
use serde_json::Value;

use super::super::walk::{entries, items};

/// `Guaranteed`: cpu and memory limits everywhere, equal to the requests. `BestEffort`: none anywhere.
pub fn class(pod: &Value) -> &'static str {
    let containers = || items(pod, "/spec/containers").iter().chain(items(pod, "/spec/initContainers"));
    if containers().all(asks_nothing) {
        return "BestEffort";
    }
    if containers().all(is_guaranteed) { "Guaranteed" } else { "Burstable" }
}

fn asks_nothing(container: &Value) -> bool {
    ["cpu", "memory"].iter().all(|name| amount(container, "requests", name).is_none())
        && ["cpu", "memory"].iter().all(|name| amount(container, "limits", name).is_none())
}

fn is_guaranteed(container: &Value) -> bool {
    ["cpu", "memory"].iter().all(|name| {
        let limit = amount(container, "limits", name);
        let request = amount(container, "requests", name).or(limit);
        limit.is_some() && limit == request
    })
}

/// Thousandths; `None` for absent and for zero.
fn amount(container: &Value, side: &str, name: &str) -> Option<i64> {
    let (_, quantity) = entries(container, &format!("/resources/{side}")).find(|(key, _)| *key == name)?;
    let parsed = parse_quantity(quantity)?;
    (!parsed.is_zero()).then(|| parsed.milli_value())
}

/// A quantity is a string, or a bare number.
pub(crate) fn parse_quantity(quantity: &Value) -> Option<Quantity> {
    match quantity {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}
