//! The one client of the apiserver's gRPC door, for controllers, the scheduler and node agents.
//!
//! # The informer contract
//! A [`Reflector`] keeps a [`Store`] equal to the server's objects and tells subscribers what changed.
//! - **Guaranteed**: every object that exists when `Synced` is sent was `Applied` before it; afterwards every object's
//!   last state is seen, deletions included, also those that happened while the connection was away; the store
//!   already holds an event's state when the event is received.
//! - **Ordered**: the events of one object arrive in the order of its resourceVersions; events of one watch arrive in
//!   the order of the store's revisions.
//! - **Not promised**: every intermediate state (a reconnect may skip some), order between two reflectors, or that a
//!   deletion seen after a reconnect carries the very last state.
//!
//! Nothing polls: a subscription is resumed from the last seen resourceVersion, and only an explicit `compacted`
//! makes it list again.

pub mod api;
pub mod config;
pub mod error;
pub mod lease_lock;
pub mod object;
pub mod reflector;
pub mod store;
pub mod transport;
pub mod watch;
pub mod workqueue;

pub use api::{Client, ListOptions, Listed, Patch};
pub use config::{ClientConfig, ConfigError, Credential};
pub use error::Error;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
pub use lease_lock::LeaseLock;
pub use object::{ObjectKey, ObjectRef, PartialObject, Resource, ResourceType, SubresourceRef};
pub use reflector::{Event, MetadataReflector, Reflector, Scope};
pub use store::Store;
pub use workqueue::WorkQueue;
