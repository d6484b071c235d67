//! Waits until this machine's Node says Ready, by watching it.

use anyhow::{Context, Result};
use balsa_proto::client::{Client, ClientConfig, Event, Reflector, Scope};
use k8s_openapi::api::core::v1::Node;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;

pub async fn wait(settings: &Settings) -> Result<()> {
    let config = ClientConfig::from_kubeconfig(&settings.layout.kubeconfig(), "balsa-up")?;
    let scope = Scope { field_selector: format!("metadata.name={}", settings.node_name), ..Scope::default() };
    let mut reflector = Reflector::<Node>::new(Client::new(config)?, scope);
    let mut events = reflector.subscribe();
    let stop = CancellationToken::new();
    let _stop_when_done = stop.clone().drop_guard();
    tokio::spawn(reflector.run(stop));
    loop {
        match events.recv().await.context("the watch on the node ended")? {
            Event::Applied { new, .. } if is_ready(&new) => return Ok(()),
            Event::Applied { .. } | Event::Deleted(_) | Event::Synced => {}
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
