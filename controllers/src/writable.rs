//! A typed object with its kind forgotten, so that one [`Action`](crate::action::Action) type serves all kinds.

use std::fmt;

use balsa_proto::client::{Client, Error, ObjectKey, Resource};
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::object::{key_of, namespace_of, revision_of};

/// What the apiserver answered to a write.
#[derive(Clone, Debug)]
pub struct Written {
    pub key: ObjectKey,
    pub revision: u64,
}

/// Implemented by every resource type.
pub trait Writable: Send + Sync + fmt::Debug {
    fn create<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Written, Error>>;
    fn update<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Written, Error>>;
    fn update_status<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Written, Error>>;
    fn group(&self) -> &'static str;
    fn kind(&self) -> &'static str;
    fn metadata(&self) -> &ObjectMeta;
    /// The object as JSON, `apiVersion` and `kind` included.
    fn to_json(&self) -> Value;
    /// Kind, name and what matters of the rest, on one line.
    fn describe(&self) -> String;
}

impl<K: Resource + fmt::Debug> Writable for K {
    fn create<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Written, Error>> {
        Box::pin(async move { client.create(self).await.map(|object| written(&object)) })
    }

    fn update<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Written, Error>> {
        Box::pin(async move { client.update(self).await.map(|object| written(&object)) })
    }

    fn update_status<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Written, Error>> {
        Box::pin(async move { client.update_status(self).await.map(|object| written(&object)) })
    }

    fn group(&self) -> &'static str {
        K::GROUP
    }

    fn kind(&self) -> &'static str {
        K::KIND
    }

    fn metadata(&self) -> &ObjectMeta {
        k8s_openapi::Metadata::metadata(self)
    }

    fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("API objects are plain data")
    }

    fn describe(&self) -> String {
        let meta = k8s_openapi::Metadata::metadata(self);
        let name = match (&meta.name, &meta.generate_name) {
            (Some(name), _) => name.clone(),
            (None, Some(prefix)) => format!("{prefix}*"),
            (None, None) => String::new(),
        };
        let namespace = namespace_of(meta);
        let slash = if namespace.is_empty() { "" } else { "/" };
        format!("{} {namespace}{slash}{name}", K::KIND)
    }
}

fn written<K: Resource>(object: &K) -> Written {
    Written { key: key_of(object.metadata()), revision: revision_of(object.metadata()) }
}
