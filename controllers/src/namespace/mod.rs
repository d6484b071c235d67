//! namespace: empties a terminating namespace, then lets it go.
//!
//! ```text
//! deleted ──► delete pods, count ──none left──► delete the rest, count ──none left──► finalize
//!                  ▲    │ some                        │ some
//!                  └────┴── conditions ◄──────────────┘   again when one of them goes
//! ```

mod conditions;
mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;

use crate::driver::Controller;
use crate::object::{is_deleting, key_of, uid_of};
use crate::world::{Change, World};

pub const CONTROLLER: Controller = Controller { name: "namespace-controller", workers: 10, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::Namespace(delta) => {
            if delta.new.is_none() {
                world.findings.forget_namespace(uid_of(&delta.latest().metadata));
            }
            vec![key_of(&delta.latest().metadata)]
        }
        Change::Graph(change) if change.removed => {
            let key = ObjectKey::new("", &change.vertex.key.namespace);
            let Some(namespace) = world.namespaces.find(&key) else { return Vec::new() };
            if !is_deleting(&namespace.metadata) {
                return Vec::new();
            }
            world.findings.sign_namespace(uid_of(&namespace.metadata), Timestamp::now());
            vec![key]
        }
        _ => Vec::new(),
    }
}
