//! A cluster that outlives the command that started it: `./dev lab`.
//!
//! ```text
//!  <folder>/state.json     what runs and what is struck
//!  <folder>/kubeconfig  balsactl.env  m1-store.log …
//!  <folder>/machines/      certificates, and what the machines see at /run/balsa
//! ```
//! There is one such cluster on a machine at a time: its namespaces have fixed names, and so has the cable by which this
//! machine reaches it. Taking it away needs no state file, so a start that failed halfway leaves nothing behind for long.

use std::mem::ManuallyDrop;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::cgroups;
use super::kube_cluster::{Door, KubeCluster, Running, Setup};
use super::machine::{Boot, Machine};
use super::store_disk::StoreDisk;
use super::topology::{MachinePlan, Topology};
use super::unit::Unit;
use crate::faults::{Arena, Struck};
use crate::lab::host::ip;
use crate::lab::{Network, Target, sweep};
use crate::scenario::Disk;

const PREFIX: &str = "balsa-lab";
/// The cable's end on this machine; an interface's name has at most 15 bytes.
const CABLE: &str = "balsa-lab0";
/// This machine's own address in the cluster's network.
const OWN_NUMBER: u8 = 254;

#[derive(Serialize, Deserialize)]
struct State {
    setup: Setup,
    /// In the order of the plan; none for a machine without power.
    boots: Vec<Option<Boot>>,
    /// None for a machine whose store has none of its own.
    disks: Vec<Option<StoreDisk>>,
    units: Vec<Unit>,
    struck: Struck,
}

/// Starts a cluster and leaves it running.
pub fn up(folder: &Path, topology: Topology, disk: Disk, ready_within: Duration) -> Result<()> {
    ensure!(!state_file(folder).exists(), "{} has a lab already: ./dev lab down", folder.display());
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let folder = folder.canonicalize().with_context(|| format!("find {}", folder.display()))?;
    // What a start that failed left behind.
    let data = folder.join("machines");
    clear(&data)?;
    let network = Network::create_named(PREFIX)?;
    connect()?;
    let setup = Setup { topology, data, folder, disk, store: Target::Balsa };
    let mut cluster = KubeCluster::start_behind(setup, network, Door::Uplink)?;
    cluster.wait_ready(ready_within)?;
    save(&cluster)?;
    cluster.leave();
    Ok(())
}

/// Does something to the running cluster, and notes what became of it also if that failed. Says first which parts have
/// ended by themselves since the last command.
pub fn with<T>(folder: &Path, work: impl FnOnce(&mut KubeCluster) -> Result<T>) -> Result<T> {
    // Never dropped, which would take the cluster away, not even by a panic: whoever reads our output may leave early.
    let mut cluster = ManuallyDrop::new(adopt(folder)?);
    for (_, text) in cluster.deaths() {
        println!("{text}");
    }
    let result = work(&mut cluster);
    let saved = save(&cluster);
    let value = result?;
    saved.map(|()| value)
}

/// Takes everything away, also what a start that failed or a lost state file left.
pub fn down(folder: &Path) -> Result<()> {
    let machines = folder.join("machines");
    clear(&machines.canonicalize().unwrap_or_else(|_| machines.clone()))?;
    for machine in std::fs::read_dir(&machines).into_iter().flatten().flatten() {
        cgroups::remove_of_pods(&machine.path());
    }
    if folder.exists() {
        ensure!(
            state_file(folder).exists() || machines.exists(),
            "{} is no folder of a lab: nothing in it was removed",
            folder.display()
        );
        std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

fn state_file(folder: &Path) -> PathBuf {
    folder.join("state.json")
}

/// Namespaces with all that runs in them, and the disks that are mounted below `machines`.
fn clear(machines: &Path) -> Result<()> {
    sweep::clear(|name| name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('-')))?;
    sweep::unmount(|place| Path::new(place).starts_with(machines))
}

fn adopt(folder: &Path) -> Result<KubeCluster> {
    let path = state_file(folder);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("no lab runs from {}: ./dev lab up", folder.display()))?;
    let state: State =
        serde_json::from_str(&text).with_context(|| format!("{} is not understood", path.display()))?;
    let network = Network::adopt(PREFIX);
    let plans = state.setup.topology.machines();
    let machine = |((plan, boot), disk): ((&MachinePlan, Option<Boot>), Option<StoreDisk>)| {
        Machine::new(plan.name.clone(), network.adopt_host(&plan.name, plan.number), disk, boot)
    };
    let machines = plans.iter().zip(state.boots).zip(state.disks).map(machine).collect();
    let running = Running { machines, units: state.units, struck: state.struck };
    KubeCluster::take_over(state.setup, network, Door::Uplink, running)
}

fn save(cluster: &KubeCluster) -> Result<()> {
    let state = State {
        setup: cluster.setup().clone(),
        boots: cluster.machines().iter().map(|machine| machine.power().cloned()).collect(),
        disks: cluster.machines().iter().map(|machine| machine.disk().cloned()).collect(),
        units: cluster.units().to_vec(),
        struck: cluster.struck().clone(),
    };
    let path = state_file(&cluster.setup().folder);
    let text = serde_json::to_string_pretty(&state).context("write down what runs")?;
    // Renamed into place: a command that is stopped halfway must not lose what runs.
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text).with_context(|| format!("write {}", partial.display()))?;
    std::fs::rename(&partial, &path).with_context(|| format!("write {}", path.display()))
}

/// Lays a cable from this machine to the cluster's bridge. It goes away with the bridge's namespace.
fn connect() -> Result<()> {
    let own = Network::address(OWN_NUMBER);
    let range = format!("{}/24", Ipv4Addr::from(u32::from(own) & 0xffff_ff00));
    let taken = ip(&format!("-4 -o addr show to {range}"))?;
    ensure!(taken.is_empty(), "this machine has an address in {range}, which the lab needs:\n{taken}");
    let bridge = format!("{PREFIX}-net");
    for line in [
        format!("link add {CABLE} type veth peer name uplink netns {bridge}"),
        format!("-n {bridge} link set uplink master br0"),
        format!("-n {bridge} link set uplink up"),
        format!("addr add {own}/24 dev {CABLE}"),
        format!("link set {CABLE} up"),
    ] {
        ip(&line)?;
    }
    Ok(())
}
