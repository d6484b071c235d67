//! The task that follows Node objects: own pod range → CNI file and masquerading, other nodes → routes.

use std::path::Path;
use std::time::Duration;

use balsa_proto::client::{Event, Reflector, Store};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::cni::{self, Wiring};
use super::routes::{self, RouteTable, Routes};
use super::{Error, NetworkConfig, address, masquerade, sysctl};
use crate::proxy::apply_rules;

const RETRY: Duration = Duration::from_secs(5);
/// The kernel drops routes when a link goes down, so they are compared with it this often.
const REVISIT: Duration = Duration::from_secs(60);

pub struct Network {
    config: NetworkConfig,
    nodes: Store<Node>,
    events: Receiver<Event<Node>>,
    /// True once pods can get addresses.
    ready: watch::Sender<bool>,
    routes: Routes,
    configured: Option<Ipv4Net>,
    routed: Option<RouteTable>,
}

impl Network {
    /// Sets the kernel switches.
    pub fn open(config: NetworkConfig, nodes: &mut Reflector<Node>) -> Result<Self, Error> {
        sysctl::ensure()?;
        let routes = Routes::open()?;
        let (ready, _) = watch::channel(false);
        Ok(Self {
            config,
            nodes: nodes.store(),
            events: nodes.subscribe(),
            ready,
            routes,
            configured: None,
            routed: None,
        })
    }

    /// Turns true when the CNI configuration is written: the node's network condition.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Leaves everything in place at shutdown: running pods need it.
    pub async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        loop {
            if let Err(error) = self.sync().await {
                warn!(error = &error as &dyn std::error::Error, "pod network is not complete");
                sleep(RETRY).await;
                continue;
            }
            match timeout(REVISIT, self.events.recv()).await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => self.routed = None,
            }
            // A burst is one sync; anything that comes during it is seen by the next.
            while self.events.try_recv().is_ok() {}
        }
    }

    async fn sync(&mut self) -> Result<(), Error> {
        let nodes = self.nodes.list();
        let own = nodes.iter().find(|node| node.metadata.name.as_deref() == Some(&self.config.node_name));
        if let Some(pod_cidr) = own.and_then(|node| routes::pod_cidr(node))
            && self.configured != Some(pod_cidr)
        {
            self.configure(pod_cidr).await?;
        }
        // Before the first listing is complete, a missing node means nothing.
        if self.nodes.is_synced() {
            let wanted = routes::wanted(nodes.iter().map(AsRef::as_ref), &self.config.node_name);
            if self.routed.as_ref() != Some(&wanted) {
                self.routes.look().await?;
                self.routes.apply(&wanted).await?;
                self.routed = Some(wanted);
            }
        }
        Ok(())
    }

    async fn configure(&mut self, pod_cidr: Ipv4Net) -> Result<(), Error> {
        let cluster_cidr = self.config.cluster_cidr.unwrap_or(pod_cidr);
        apply_rules(&masquerade::rules(pod_cidr, cluster_cidr)).await.map_err(Error::Rules)?;
        let text = cni::conflist(Wiring::of_this_host(), pod_cidr, &self.config);
        write_file(&self.config.cni_config_directory, &text)?;
        info!(%pod_cidr, "pod network configured");
        self.configured = Some(pod_cidr);
        self.ready.send_replace(true);
        Ok(())
    }
}

/// Takes everything away that this module and the CNI plugins made; the pods must be gone before.
pub async fn remove(config: &NetworkConfig) -> Result<(), Error> {
    let path = config.cni_config_directory.join(cni::FILE_NAME);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::Write { path, source });
        }
        _ => {}
    }
    let mut routes = Routes::open()?;
    routes.look().await?;
    routes.apply(&RouteTable::new()).await?;
    address::remove_bridge().await?;
    if let Some(address) = config.dns_address {
        address::remove_local_address(address).await?;
    }
    apply_rules(masquerade::removal()).await.map_err(Error::Rules)
}

/// The runtime watches the directory, so the file must appear whole.
fn write_file(directory: &Path, text: &str) -> Result<(), Error> {
    let path = directory.join(cni::FILE_NAME);
    // Not ending in `.conflist`: runtimes would read it.
    let temporary = directory.join(format!("{}.new", cni::FILE_NAME));
    if std::fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&temporary, text))
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|source| Error::Write { path, source })
}
