//! A client of a Kubernetes API as workloads use it: kube-rs, one connection each, every answer with a time limit.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;
use tower::layer::layer_fn;

use super::tampering::{Tampered, Tampering};
use crate::history::Record;
use crate::history::Recorder;
use crate::history::object::{ObjectOperation, ObjectOutcome, ObjectVerb, Seen};

/// What all clients of a run share.
#[derive(Clone)]
pub struct ApiContext {
    pub kubeconfig: Kubeconfig,
    pub recorder: Recorder,
    pub timeout: Duration,
    pub seed: u64,
    pub stop: CancellationToken,
    pub tampering: Tampering,
}

/// A kind that workloads use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ConfigMap,
    Pod,
    Service,
    EndpointSlice,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        }
    }

    pub fn resource(self) -> ApiResource {
        use k8s_openapi::api::{core::v1, discovery::v1 as discovery};
        match self {
            Self::ConfigMap => ApiResource::erase::<v1::ConfigMap>(&()),
            Self::Pod => ApiResource::erase::<v1::Pod>(&()),
            Self::Service => ApiResource::erase::<v1::Service>(&()),
            Self::EndpointSlice => ApiResource::erase::<discovery::EndpointSlice>(&()),
        }
    }
}

impl ApiContext {
    pub async fn connect(&self) -> Result<Client> {
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options)
            .await
            .context("use the kubeconfig")?;
        config.connect_timeout = Some(self.timeout);
        let builder = ClientBuilder::try_from(config).context("make a client of the API")?;
        if self.tampering == Tampering::default() {
            return Ok(builder.build());
        }
        let tampering = self.tampering;
        Ok(builder.with_layer(&layer_fn(|way| Tampered::new(way, tampering))).build())
    }

    /// Random choices of client `number`.
    pub fn choices(&self, number: u32) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number)))
    }

    /// Waits, or returns false at once when the run ends.
    pub async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    /// Asks, records, and passes the answer on.
    pub async fn record<T>(
        &self,
        client: u32,
        (verb, object, value): (ObjectVerb, String, String),
        request: impl Future<Output = kube::Result<T>>,
        version: impl FnOnce(&T) -> u64,
    ) -> Option<T> {
        let call_us = self.recorder.now_us();
        let answer = tokio::time::timeout(self.timeout, request).await;
        let (outcome, answer) = match answer {
            Ok(Ok(answer)) => (ObjectOutcome::Ok { version: version(&answer) }, Some(answer)),
            Ok(Err(error)) => (failure(verb, &error), None),
            Err(_) => (unanswered(verb, format!("no answer within {:?}", self.timeout)), None),
        };
        let return_us = self.recorder.now_us();
        let operation = ObjectOperation { client, call_us, return_us, verb, object, value, outcome };
        self.recorder.record(Record::Object(operation)).await;
        answer
    }
}

/// A refusal says that nothing was done; anything else may have been done all the same.
fn failure(verb: ObjectVerb, error: &kube::Error) -> ObjectOutcome {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) => {
            ObjectOutcome::Fail { error: format!("{} {}", status.code, status.reason) }
        }
        error => unanswered(verb, error.to_string()),
    }
}

fn unanswered(verb: ObjectVerb, error: String) -> ObjectOutcome {
    match verb {
        ObjectVerb::List => ObjectOutcome::Fail { error },
        ObjectVerb::Create | ObjectVerb::Update | ObjectVerb::Delete => ObjectOutcome::Unknown { error },
    }
}

pub fn seen(kind: Kind, object: &DynamicObject) -> Option<Seen> {
    Seen::of(kind.name(), &serde_json::to_value(object).ok()?)
}

/// Every object of a kind, in all namespaces.
pub async fn list_all(client: &Client, kind: Kind) -> Result<Vec<Seen>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let list = api.list(&ListParams::default()).await.with_context(|| format!("list {}", kind.name()))?;
    Ok(list.items.iter().filter_map(|object| seen(kind, object)).collect())
}

/// Of an object or a list; 0 for one that has none.
pub fn version_of(version: Option<&String>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}
