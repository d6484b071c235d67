//! endpoints: the v1 Endpoints of each service, for clients older than endpoint slices.

mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;

use crate::driver::Controller;
use crate::endpoint_ports::services_of;
use crate::object::key_of;
use crate::world::{Change, World};

pub const CONTROLLER: Controller = Controller { name: "endpoints-controller", workers: 5, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::Service(delta) => vec![key_of(&delta.latest().metadata)],
        Change::Pod(delta) => services_of(world, delta),
        Change::Endpoints(delta) => vec![key_of(&delta.latest().metadata)],
        _ => Vec::new(),
    }
}
