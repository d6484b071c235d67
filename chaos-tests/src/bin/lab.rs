//! `./dev lab`: a cluster on machines of namespaces, left running to work on and to break by hand.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use balsa_chaos_tests::cluster::{Kind, KubeCluster, Topology, balancer, init, state};
use balsa_chaos_tests::disk::{Metadata, server};
use balsa_chaos_tests::faults::{self, Arena, Verb as Fault};
use balsa_chaos_tests::lab::Condition;
use balsa_chaos_tests::scenario::Disk;
use clap::{Parser, Subcommand};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Until everything serves; containers and databases start on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);

#[derive(Parser)]
#[command(name = "lab", about = "A cluster of several machines on this one, to work on and to break by hand")]
struct Arguments {
    /// The folder of the cluster
    #[arg(long, global = true, default_value = "chaos-runs/lab")]
    folder: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a cluster and leave it running (needs root)
    Up {
        #[arg(long, value_enum, default_value_t = Kind::Stacked)]
        topology: Kind,
        /// Members of the store: 1, 3 or 5
        #[arg(long, default_value_t = 3)]
        members: u8,
        /// Nodes that run pods [default: 1, or none with a store alone]
        #[arg(long)]
        workers: Option<u8>,
        /// What members of the store keep their data on
        #[arg(long, value_enum, default_value_t = Disk::Plain)]
        disk: Disk,
    },
    /// What runs, and what is struck
    Status,
    /// Do harm to a machine such as m1, to a part such as m1/store, to `leader`, `follower`, `worker`, `apiserver` or `all`
    #[command(subcommand)]
    Fault(Fault),
    /// Undo all faults
    Heal,
    /// End everything and remove its files
    Down,
    /// Be the first process of a machine
    #[command(hide = true)]
    Machine { data: PathBuf },
    /// Mount a disk that forgets, and take orders for it
    #[command(hide = true)]
    Disk { place: PathBuf, metadata: Metadata },
    /// Pass connections on to apiservers
    #[command(hide = true)]
    Balancer(balancer::Args),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { folder, verb }: Arguments) -> Result<()> {
    match verb {
        Verb::Up { topology, members, workers, disk } => {
            let workers = workers.unwrap_or(u8::from(topology != Kind::Store));
            state::up(&folder, Topology { kind: topology, members, workers }, disk, READY_WITHIN)?;
            state::with(&folder, |cluster| {
                entrances(cluster);
                Ok(())
            })
        }
        Verb::Status => state::with(&folder, |cluster| {
            status(cluster);
            Ok(())
        }),
        Verb::Fault(fault) => {
            let number = state::with(&folder, |cluster| aim(cluster, &fault))?;
            // Written down by now, so that `heal` undoes also what is interrupted.
            state::with(&folder, |cluster| faults::carry_out(cluster, number))
        }
        Verb::Heal => state::with(&folder, |cluster| {
            cluster.heal()?;
            println!("healed");
            Ok(())
        }),
        Verb::Down => state::down(&folder),
        Verb::Machine { data } => init::run(&data).map(|never| match never {}),
        Verb::Disk { place, metadata } => server::serve(&place, metadata).map(|never| match never {}),
        Verb::Balancer(arguments) => balance(arguments),
    }
}

fn aim(cluster: &mut KubeCluster, verb: &Fault) -> Result<u64> {
    let fault = verb.aim(cluster, &mut StdRng::from_rng(&mut rand::rng()))?;
    println!("{}", fault.what(cluster));
    Ok(faults::note(cluster, fault))
}

/// How to use the cluster.
fn entrances(cluster: &KubeCluster) {
    let folder = &cluster.setup().folder;
    println!("the cluster is up; use it with");
    if cluster.setup().topology.has_kubernetes() {
        println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
    }
    println!("  . {}        # for balsactl and etcdctl", folder.join("balsactl.env").display());
    println!(
        "break it with ./dev lab fault partition m1, look with ./dev lab status, end it with ./dev lab down"
    );
}

fn status(cluster: &KubeCluster) {
    for (number, plan) in cluster.plans().iter().enumerate() {
        let power = if cluster.machines()[number].power().is_some() { "" } else { "  no power" };
        println!("{:<4} {}{power}", plan.name, plan.address());
        for unit in cluster.units().iter().filter(|unit| unit.machine == number) {
            let condition = match unit.condition() {
                Condition::Running => "running",
                Condition::Stopped => "stopped",
                Condition::Paused => "paused",
            };
            let pid = unit.life().map(|life| format!("pid {}", life.pid())).unwrap_or_default();
            println!("     {:<16} {condition:<8} {pid}", unit.name);
        }
    }
    for fault in cluster.struck().faults() {
        println!("struck: {}", fault.what(cluster));
    }
}

fn balance(arguments: balancer::Args) -> Result<()> {
    // The first choice stands, and it is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(balancer::run(arguments))
}
