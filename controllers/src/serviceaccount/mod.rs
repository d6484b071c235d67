//! serviceaccount: every namespace has a service account `default`.

mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;

use crate::driver::Controller;
use crate::object::key_of;
use crate::world::{Change, World};

pub const CONTROLLER: Controller = Controller { name: "serviceaccount-controller", workers: 1, keys, plan };

/// Keys are namespaces.
fn keys(_: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::Namespace(delta) => vec![key_of(&delta.latest().metadata)],
        Change::ServiceAccount(delta) if delta.new.is_none() => {
            delta.latest().metadata.namespace.iter().map(|namespace| ObjectKey::new("", namespace)).collect()
        }
        _ => Vec::new(),
    }
}
