//! The Kubernetes API, generic over kinds, on any etcd.
//!
//! The life of a request, one step and one module each:
//! [`http`] (or [`grpc`]) → [`authn`] → [`authz`] → [`pipeline`] (decode, default, admit, validate) →
//! [`verbs`] → [`storage`] (one etcd Txn). Reads never touch etcd's values: they come from [`cache`], which
//! only the store's watch feeds. What differs per kind is a row in [`kinds`].

pub mod error;
pub mod request;

pub mod limits;

pub mod args;
pub mod config;
pub mod run;

pub mod grpc;
pub mod http;
pub mod pipeline;
pub mod verbs;

pub mod cache;
pub mod storage;

pub mod admission;
pub mod alloc;
pub mod authn;
pub mod authz;
pub mod bootstrap;
pub mod discovery;
pub mod kinds;
pub mod openapi;
pub mod pki;
pub mod proxy;
pub mod schema;
pub mod table;

pub use args::Args;
pub use config::Config;
pub use run::{Error, run};
