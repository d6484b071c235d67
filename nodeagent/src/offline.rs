//! The link of a node without a control plane: there is nothing to read and nobody to tell.

use std::sync::Arc;

use async_trait::async_trait;
use balsa_proto::client::{Error, ObjectKey};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, Service};
use serde_json::Value;

use crate::api_link::{ApiLink, References};

pub struct Offline;

fn nobody<T>() -> Result<T, Error> {
    Err(Error::Config("this node runs without a control plane".to_owned()))
}

#[async_trait]
impl ApiLink for Offline {
    async fn write_pod_status(&self, _key: &ObjectKey, _uid: &str, _status: Value) -> Result<Pod, Error> {
        nobody()
    }
    async fn delete_pod(&self, _key: &ObjectKey, _uid: &str) -> Result<(), Error> {
        nobody()
    }
    async fn create_pod(&self, _pod: &Pod) -> Result<Pod, Error> {
        nobody()
    }
    async fn config_map(&self, _key: &ObjectKey) -> Option<Arc<ConfigMap>> {
        None
    }
    async fn secret(&self, _key: &ObjectKey) -> Option<Arc<Secret>> {
        None
    }
    fn retain(&self, _references: &References) {}
    async fn services(&self, _namespace: &str) -> Vec<Arc<Service>> {
        Vec::new()
    }
    async fn service_account_token(
        &self,
        _account: &ObjectKey,
        _request: &TokenRequest,
    ) -> Result<TokenRequest, Error> {
        nobody()
    }
    async fn create_event(&self, _event: &Event) -> Result<(), Error> {
        Ok(())
    }
    async fn patch_event(&self, _key: &ObjectKey, _patch: Value) -> Result<(), Error> {
        Ok(())
    }
    async fn node(&self, _name: &str) -> Result<Node, Error> {
        nobody()
    }
    async fn create_node(&self, _node: &Node) -> Result<Node, Error> {
        nobody()
    }
    async fn patch_node(&self, _name: &str, _patch: Value) -> Result<Node, Error> {
        nobody()
    }
    async fn patch_node_status(&self, _name: &str, _patch: Value) -> Result<Node, Error> {
        nobody()
    }
    async fn lease(&self, _key: &ObjectKey) -> Result<Lease, Error> {
        nobody()
    }
    async fn create_lease(&self, _lease: &Lease) -> Result<Lease, Error> {
        nobody()
    }
    async fn update_lease(&self, _lease: &Lease) -> Result<Lease, Error> {
        nobody()
    }
    async fn is_allowed(&self, _review: SubjectAccessReviewSpec) -> Result<bool, Error> {
        Ok(false)
    }
}
