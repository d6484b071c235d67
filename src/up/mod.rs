//! `balsa up`: a whole cluster on one machine, in one process.
//!
//! The parts are those that run alone on many machines, with the flags they would have there ([`flags`]), and they
//! speak to each other over the same authenticated gRPC and HTTPS. What is added here: the certificates, an order of
//! starting and stopping, and one line per part for the person who waits.

mod certificates;
mod cluster_dns;
mod flags;
pub mod layout;
mod lock;
mod part;
mod preflight;
mod settings;

use std::time::Instant;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

pub use settings::Args;

use part::{Part, Parts};
use settings::Settings;

/// Runs until shutdown, or until a part fails.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<()> {
    let started = Instant::now();
    let settings = Settings::resolve(args)?;
    preflight::check_root()?;
    // Before the ports: a second start on the same data finds them taken, which is not what is wrong.
    let _lock = lock::DataDirLock::acquire(&settings)?;
    preflight::check(&settings)?;
    note_process(&settings).context("note what runs for balsa down")?;
    let manifests = settings.layout.manifests_dir();
    std::fs::create_dir_all(&manifests).with_context(|| format!("create {}", manifests.display()))?;
    certificates::ensure(&settings)?;
    println!(
        "balsa {}: node {}, data in {}",
        env!("CARGO_PKG_VERSION"),
        settings.node_name,
        settings.layout.data_dir.display()
    );

    let mut parts = Parts::new(started, shutdown.clone());
    let result = start(&settings, &mut parts, started).await;
    let ended = match result {
        Ok(()) => parts.run_until_shutdown().await,
        Err(error) => Err(error),
    };
    parts.stop().await;
    ended
}

/// Starts the parts as their dependencies become ready; returns when the node is Ready, or on shutdown.
async fn start(settings: &Settings, parts: &mut Parts, started: Instant) -> Result<()> {
    // The container runtime takes as long as the store and the apiserver together, so the node starts first.
    let node = flags::nodeagent(settings)?;
    let node = parts.start(Part::NodeAgent, |ready, token| balsa_nodeagent::run(node, ready, token));
    if settings.etcd_servers.is_none() {
        let store = flags::store(settings)?;
        let ready = parts.start(Part::Store, |ready, token| balsa_store::run(store, ready, token));
        parts.wait(ready, Part::Store, &settings.store_url()).await?;
    }
    let apiserver = flags::apiserver(settings)?;
    let ready = parts.start(Part::Apiserver, |ready, token| balsa_apiserver::run(apiserver, ready, token));
    parts.wait(ready, Part::Apiserver, &settings.server_url()).await?;
    if !parts.is_stopping() {
        cluster_dns::ensure(settings).await?;
    }

    let controllers = flags::controllers(settings)?;
    let controllers = parts.start(Part::Controllers, |ready, token| {
        balsa_controllers::run_controllers(controllers, ready, token)
    });
    let scheduler = flags::scheduler(settings)?;
    let scheduler = parts
        .start(Part::Scheduler, |ready, token| balsa_controllers::run_scheduler(scheduler, ready, token));
    parts.wait(controllers, Part::Controllers, "").await?;
    parts.wait(scheduler, Part::Scheduler, "").await?;
    // The node agent is ready when its Node is.
    parts.wait(node, Part::NodeAgent, &settings.node_url()).await?;
    if !parts.is_stopping() {
        let kubeconfig = settings.layout.kubeconfig();
        println!("the cluster is up after {:.2} s; use it with", started.elapsed().as_secs_f64());
        println!("  export KUBECONFIG={}", kubeconfig.display());
    }
    Ok(())
}

/// The process id and the runtime, for `balsa down`.
fn note_process(settings: &Settings) -> std::io::Result<()> {
    if let Some(socket) = settings.runtime_socket() {
        std::fs::write(settings.layout.runtime_endpoint_file(), socket)?;
    }
    std::fs::write(settings.layout.pid_file(), format!("{}\n", std::process::id()))
}
