//! The front: one TLS port for REST (HTTP/1.1 and 2) and gRPC.
//!
//! `serve` accepts connections; `front` takes each request through authentication and authorization and sends it
//! to the right place; `resource` turns REST on kinds into calls of verbs; the rest is content negotiation and bodies.

pub mod body;
pub mod front;
pub mod health;
pub mod metrics;
pub mod negotiate;
pub mod protobuf;
pub mod query;
pub mod reading;
pub mod render;
pub mod resource;
pub mod serve;
pub mod tls;
pub mod watching;
pub mod writing;
