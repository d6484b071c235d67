//! The one binary of Balsa: each verb reads its flags and calls `run(config)` of a crate.

mod down;
mod log_file;
mod logging;
mod shutdown;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use balsa_nodeagent::image_archive::ImageArchiveArgs;
use balsa_store::flags::{environment, spelling};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

/// One allocator for Rust and for RocksDB's C++.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A Kubernetes control plane and node agent, built on its own Raft-replicated etcd.
#[derive(Parser)]
#[command(name = "balsa", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start everything on this machine in one process: store, apiserver, controllers, scheduler, node agent.
    Up(up::Args),
    /// Stop what `up` left running on this machine: the process, its containers and their network.
    Down(down::Args),
    /// Serve one member of the store, with etcd's flags.
    Store(Box<balsa_store::Args>),
    /// Serve the Kubernetes API over an etcd, with kube-apiserver's flags.
    Apiserver(Box<balsa_apiserver::Args>),
    /// Run the controllers, with kube-controller-manager's flags.
    Controllers(balsa_controllers::ControllersArgs),
    /// Run the scheduler, with kube-scheduler's flags.
    Scheduler(balsa_controllers::SchedulerArgs),
    /// Run this machine as a node, with the kubelet's flags.
    Nodeagent(Box<balsa_nodeagent::Args>),
    /// Make an image archive from one static binary.
    #[command(hide = true)]
    ImageTar(ImageArchiveArgs),
}

fn main() -> ExitCode {
    // Both TLS and tests may have chosen the provider already; the first choice stands.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("start the async runtime")),
    };
    match runtime.block_on(run(cli.verb)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Exits with a message if the command line is wrong.
fn parse() -> Cli {
    let words = spelling::with_two_dashes(std::env::args_os());
    let without_overruled = |store| environment::without_overruled(store, words.iter().cloned());
    let matches = Cli::command().mut_subcommand("store", without_overruled).get_matches_from(&words);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("balsa: {error:#}");
    ExitCode::FAILURE
}

async fn run(verb: Verb) -> Result<()> {
    let shutdown = CancellationToken::new();
    match verb {
        Verb::Up(args) => {
            logging::init_for_people(&args.log_level);
            shutdown::on_signal(&shutdown)?;
            up::run(args, shutdown).await
        }
        Verb::Down(args) => down::run(&args).await,
        Verb::ImageTar(args) => balsa_nodeagent::image_archive::run(args).map_err(Into::into),
        Verb::Store(args) => {
            if args.version {
                println!("etcd Version: {}", balsa_store::status::SERVER_VERSION);
                println!("Balsa Version: {}", env!("CARGO_PKG_VERSION"));
                return Ok(());
            }
            let file = args.config_file.clone();
            let args = args.resolve()?;
            logging::init(&args.log_level, &args.log.settings()?)?;
            match file {
                Some(path) => tracing::info!(
                    path = %path.display(),
                    "loaded server configuration, other configuration command line flags and environment variables will be ignored if provided"
                ),
                None => environment::warn_about_unrecognized(),
            }
            shutdown::on_signal(&shutdown)?;
            balsa_store::run(args.into_config()?, unobserved(), shutdown).await.map_err(Into::into)
        }
        Verb::Apiserver(args) => {
            logging::init_json("info");
            shutdown::on_signal(&shutdown)?;
            balsa_apiserver::run(args.into_config()?, unobserved(), shutdown).await.map_err(Into::into)
        }
        Verb::Controllers(args) => {
            logging::init_json("info");
            shutdown::on_signal(&shutdown)?;
            balsa_controllers::run_controllers(args.into_config()?, unobserved(), shutdown)
                .await
                .map_err(Into::into)
        }
        Verb::Scheduler(args) => {
            logging::init_json("info");
            shutdown::on_signal(&shutdown)?;
            balsa_controllers::run_scheduler(args.into_config()?, unobserved(), shutdown)
                .await
                .map_err(Into::into)
        }
        Verb::Nodeagent(args) => {
            logging::init_json("info");
            shutdown::on_signal(&shutdown)?;
            balsa_nodeagent::run(args.into_config()?, unobserved(), shutdown).await.map_err(Into::into)
        }
    }
}

/// Readiness of a part that runs alone is told by its log and its health endpoints.
fn unobserved() -> tokio::sync::oneshot::Sender<()> {
    tokio::sync::oneshot::channel().0
}
