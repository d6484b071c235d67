//! The one task that owns the table: events in, transactions out.
//!
//! Waits for both stores, rewrites the table, then turns bursts of events into one transaction each. A failed
//! transaction is followed by a rewrite, with growing pauses while that fails, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use balsa_proto::client::{Event, ObjectKey, Store};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::feed::{BY_SERVICE, Feed, service_of};
use super::model::Model;
use super::plan::{NodeView, plan};
use super::{Error, conntrack, diff, nft};

/// Events that come this soon after the first share its transaction.
const GATHER: Duration = Duration::from_millis(50);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

pub struct Proxy {
    node: NodeView,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    service_events: Receiver<Event<Service>>,
    slice_events: Receiver<Event<EndpointSlice>>,
    /// The plan of each service, by `namespace/name`.
    plans: BTreeMap<String, Model>,
    dirty: BTreeSet<String>,
    /// What the kernel holds; None when that is not sure.
    applied: Option<Model>,
    /// Deletions that have not succeeded yet.
    cleanup: String,
}

impl Proxy {
    /// Fails if nft is missing or not permitted.
    pub async fn open(node: NodeView, feed: &mut Feed) -> Result<Self, Error> {
        // A transaction that changes nothing shows whether nft works at all.
        nft::apply(nft::PROBE).await?;
        Ok(Self {
            node,
            services: feed.services.store(),
            slices: feed.slices.store(),
            service_events: feed.services.subscribe(),
            slice_events: feed.slices.subscribe(),
            plans: BTreeMap::new(),
            dirty: BTreeSet::new(),
            applied: None,
            cleanup: String::new(),
        })
    }

    /// Runs until shutdown and leaves the table in place, so that services keep working while the agent restarts.
    pub async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
        }
    }

    /// Ends only when a reflector did.
    async fn follow(&mut self) {
        let mut retry = FIRST_RETRY;
        loop {
            if self.services.is_synced() && self.slices.is_synced() {
                if let Err(error) = self.sync().await {
                    warn!(%error, retry_in = ?retry, "service rules were not applied");
                    self.applied = None;
                    sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                    continue;
                }
                retry = FIRST_RETRY;
            }
            if !self.gather().await {
                return;
            }
        }
    }

    /// Waits for an event, then for those right behind it; false when no more can come.
    async fn gather(&mut self) -> bool {
        let Some(names) = self.next_event().await else { return false };
        self.dirty.extend(names);
        let until = Instant::now() + GATHER;
        while let Ok(Some(names)) = timeout_at(until, self.next_event()).await {
            self.dirty.extend(names);
        }
        true
    }

    /// The services that the next event is about.
    async fn next_event(&mut self) -> Option<Vec<String>> {
        tokio::select! {
            event = self.service_events.recv() => event.as_ref().map(dirty_by_service),
            event = self.slice_events.recv() => event.as_ref().map(dirty_by_slice),
        }
    }

    async fn sync(&mut self) -> Result<(), Error> {
        for name in std::mem::take(&mut self.dirty) {
            self.replan(name);
        }
        let mut model = Model::default();
        self.plans.values().for_each(|plan| model.merge(plan));
        let Some(applied) = self.applied.take_if(|applied| !diff::needs_rewrite(applied, &model)) else {
            nft::apply(&nft::rewrite(&model)).await?;
            info!(services = self.plans.len(), "service rules written");
            self.cleanup.clear();
            self.applied = Some(model);
            return Ok(());
        };
        let transaction = diff::transaction(&applied, &model);
        if !transaction.change.is_empty() {
            // Deletions of an earlier round are moot if this one uses the chain again.
            let pending = std::mem::take(&mut self.cleanup);
            self.cleanup = pending
                .lines()
                .filter(|line| !revives(line, &model))
                .map(|line| format!("{line}\n"))
                .collect();
            nft::apply(&transaction.change).await?;
        }
        self.cleanup.push_str(&transaction.cleanup);
        self.clean().await;
        for flush in conntrack::flushes(&applied, &model) {
            conntrack::run(&flush).await;
        }
        self.applied = Some(model);
        Ok(())
    }

    async fn clean(&mut self) {
        if !self.cleanup.is_empty() && nft::apply(&self.cleanup).await.is_ok() {
            self.cleanup.clear();
        }
    }

    fn replan(&mut self, name: String) {
        let Some((namespace, service_name)) = name.split_once('/') else { return };
        let key = ObjectKey { namespace: namespace.to_owned(), name: service_name.to_owned() };
        let Some(service) = self.services.get(&key) else {
            self.plans.remove(&name);
            return;
        };
        let slices = self.slices.by_index(BY_SERVICE, &name);
        let model = plan(&service, slices.iter().map(AsRef::as_ref), &self.node);
        if model == Model::default() {
            self.plans.remove(&name);
        } else {
            self.plans.insert(name, model);
        }
    }
}

/// Whether a pending `delete chain|set ip kube-proxy NAME` names something that is in use again.
fn revives(line: &str, model: &Model) -> bool {
    let name = line.rsplit(' ').next().unwrap_or_default();
    model.chains.contains_key(name) || model.affinity_seconds.contains_key(name)
}

fn dirty_by_service(event: &Event<Service>) -> Vec<String> {
    match event {
        Event::Applied { new: service, .. } | Event::Deleted(service) => {
            let meta = &service.metadata;
            vec![format!(
                "{}/{}",
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default()
            )]
        }
        Event::Synced => Vec::new(),
    }
}

fn dirty_by_slice(event: &Event<EndpointSlice>) -> Vec<String> {
    match event {
        Event::Applied { old, new } => {
            let old = old.as_ref().and_then(|slice| service_of(slice));
            old.into_iter().chain(service_of(new)).collect()
        }
        Event::Deleted(slice) => service_of(slice).into_iter().collect(),
        Event::Synced => Vec::new(),
    }
}
