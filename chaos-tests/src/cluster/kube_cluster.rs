//! A cluster on machines of the lab: made, waited for, struck, healed, taken away.
//!
//! All that a fault changes lives in its machines, so dropping it, also while a panic unwinds, undoes every fault and ends
//! every process. [`KubeCluster::leave`] is the way to let it go on instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tonic::transport::ClientTlsConfig;

use super::entrances;
use super::flags::{self, CLUSTER_DNS, STORE_DATA, STORE_DISK};
use super::life::Life;
use super::machine::Machine;
use super::pki::Authorities;
use super::store_disk::StoreDisk;
use super::topology::{MachinePlan, Role, Topology};
use super::unit::{Unit, units};
use crate::faults::{self, Arena, Struck};
use crate::lab::cluster::make_busybox_image;
use crate::lab::{Gateway, Host, Network, Target, binary, eventually};
use crate::scenario::Disk;

/// How a cluster is to be, and where it keeps its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    pub topology: Topology,
    /// Certificates and the machines' data go below it.
    pub data: PathBuf,
    /// Logs, `kubeconfig` and `balsactl.env`.
    pub folder: PathBuf,
    /// What members of the store keep their data on.
    pub disk: Disk,
    /// And what they run; all else is Balsa.
    pub store: Target,
}

/// Where commands that use the cluster run.
pub(super) enum Door {
    /// On a host of the cluster's network.
    Clients(Host),
    /// On this machine, which has a cable to that network.
    Uplink,
}

/// Machines and units are in the order of the plan.
#[derive(Default)]
pub(super) struct Running {
    pub machines: Vec<Machine>,
    pub units: Vec<Unit>,
    pub struck: Struck,
}

pub struct KubeCluster {
    // Dropped in this order: the lab's own clients, machines with their processes, the clients' host, then the bridge.
    gateway: Gateway,
    machines: Vec<Machine>,
    door: Door,
    network: Network,
    setup: Setup,
    plans: Vec<MachinePlan>,
    units: Vec<Unit>,
    authorities: Authorities,
    store_client: ClientTlsConfig,
    pub(super) struck: Struck,
}

impl KubeCluster {
    /// Makes machines and starts everything on them; nothing of it may serve yet.
    pub fn start(setup: Setup, network: Network) -> Result<Self> {
        let clients = network.clients_host()?;
        Self::start_behind(setup, network, Door::Clients(clients))
    }

    pub(super) fn start_behind(setup: Setup, network: Network, door: Door) -> Result<Self> {
        setup.topology.check()?;
        let units = units(&setup.topology.machines());
        let mut cluster = Self::take_over(setup, network, door, Running { units, ..Running::default() })?;
        entrances::write(&cluster.setup, &cluster.authorities)?;
        for plan in cluster.plans.clone() {
            let machine = cluster.make_machine(&plan).with_context(|| format!("make {}", plan.name))?;
            cluster.machines.push(machine);
        }
        for unit in 0..cluster.units.len() {
            cluster.start_unit(unit)?;
        }
        Ok(cluster)
    }

    /// With what runs already, because an earlier process has left it running.
    pub(super) fn take_over(setup: Setup, network: Network, door: Door, running: Running) -> Result<Self> {
        let Running { machines, units, struck } = running;
        let authorities = Authorities::ensure(&setup.data.join("pki"), setup.topology)?;
        let store_client = authorities.store_client()?;
        let gateway = match &door {
            Door::Clients(host) => Gateway::on(host)?,
            Door::Uplink => Gateway::here()?,
        };
        let plans = setup.topology.machines();
        Ok(Self { gateway, machines, door, network, setup, plans, units, authorities, store_client, struck })
    }

    /// Ends this handle and leaves the cluster running.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }

    /// Boots a machine with all that it needs.
    fn make_machine(&self, plan: &MachinePlan) -> Result<Machine> {
        self.prepare(plan)?;
        let host = self.network.host(&plan.name, plan.number)?;
        host.route_everything_out()?;
        let data = self.data_of(plan);
        let forgetful = self.setup.disk.forgetful().filter(|_| plan.roles.contains(&Role::Store));
        let mount = |metadata| StoreDisk::mount(&host, &data.join(STORE_DISK), metadata);
        let disk = forgetful.map(mount).transpose()?;
        let mut machine = Machine::new(plan.name.clone(), host, disk, None);
        machine.switch_on(&data)?;
        Ok(machine)
    }

    fn prepare(&self, plan: &MachinePlan) -> Result<()> {
        let data = self.data_of(plan);
        self.authorities.equip(plan, &data.join("pki"))?;
        if plan.roles.contains(&Role::Nodeagent) {
            make_busybox_image(&data.join("node/runtime/images"))?;
            // Nobody outside of the cluster is there to be asked for names.
            let resolver = data.join("resolv.conf");
            std::fs::write(&resolver, "search cluster.local\n")
                .with_context(|| format!("write {}", resolver.display()))?;
        }
        Ok(())
    }

    fn data_of(&self, plan: &MachinePlan) -> PathBuf {
        self.setup.data.join(&plan.name)
    }

    pub(super) fn pki_of(&self, machine: usize) -> PathBuf {
        self.data_of(&self.plans[machine]).join("pki")
    }

    pub(super) fn store_data_of(&self, machine: usize) -> PathBuf {
        self.data_of(&self.plans[machine]).join(STORE_DATA)
    }

    pub(super) fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// What the lab's own clients show to members of the store.
    pub(super) fn store_client(&self) -> &ClientTlsConfig {
        &self.store_client
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    pub(super) fn unit_mut(&mut self, number: usize) -> &mut Unit {
        &mut self.units[number]
    }

    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    pub fn plans(&self) -> &[MachinePlan] {
        &self.plans
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.setup.folder.join("kubeconfig")
    }

    /// Where the lab's own clients run; a cluster of `./dev lab` has none.
    pub fn clients_host(&self) -> Option<&Host> {
        match &self.door {
            Door::Clients(host) => Some(host),
            Door::Uplink => None,
        }
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    pub fn log_of(&self, unit: &Unit) -> PathBuf {
        self.setup.folder.join(format!("{}.log", unit.name.replace('/', "-")))
    }

    pub fn start_unit(&mut self, number: usize) -> Result<()> {
        let unit = &self.units[number];
        ensure!(unit.life.is_none(), "{} runs already", unit.name);
        let mut arguments = flags::arguments(unit.role, &self.plans[unit.machine], &self.setup.topology);
        let program = match (unit.role, &self.setup.store) {
            (Role::Balancer, _) => absolute(&binary("lab")?)?,
            (Role::Store, Target::Etcd(program)) => {
                // A program of its own and not a command of another one; the flags are the same.
                arguments.remove(0);
                absolute(program)?
            }
            _ => absolute(&binary("balsa")?)?,
        };
        if unit.joins {
            arguments.push("--initial-cluster-state=existing".to_owned());
        }
        let log = self.log_of(unit);
        let life = self.machines[unit.machine].start(&program, &arguments, &log)?;
        let unit = &mut self.units[number];
        (unit.life, unit.paused, unit.clock) = (Some(life), false, None);
        Ok(())
    }

    /// SIGKILL; nothing to do for one that does not run.
    pub fn kill_unit(&mut self, number: usize) -> Result<()> {
        let unit = &mut self.units[number];
        if let Some(life) = unit.life.take() {
            life.kill().with_context(|| format!("kill {}", unit.name))?;
            unit.paused = false;
        }
        Ok(())
    }

    pub fn pause_unit(&mut self, number: usize) -> Result<()> {
        self.signal(number, Signal::SIGSTOP, true)
    }

    pub fn resume_unit(&mut self, number: usize) -> Result<()> {
        self.signal(number, Signal::SIGCONT, false)
    }

    fn signal(&mut self, number: usize, signal: Signal, paused: bool) -> Result<()> {
        let unit = &mut self.units[number];
        if let Some(life) = unit.life {
            life.signal(signal)?;
            unit.paused = paused;
        }
        Ok(())
    }

    /// All processes of the machine end at once, containers too.
    pub fn power_off(&mut self, machine: usize) -> Result<()> {
        self.machines[machine].power_off()?;
        for unit in self.units.iter_mut().filter(|unit| unit.machine == machine) {
            if let Some(life) = unit.life.take() {
                life.reap();
            }
            unit.paused = false;
        }
        Ok(())
    }

    /// Boots a machine that has no power; nothing to do for one that has.
    pub(super) fn switch_on(&mut self, machine: usize) -> Result<()> {
        let data = self.data_of(&self.plans[machine]);
        match self.machines[machine].power() {
            None => self.machines[machine].switch_on(&data),
            Some(_) => Ok(()),
        }
    }

    /// A program beside the cluster's parts, which ends with its machine.
    pub(super) fn start_beside(
        &mut self,
        machine: usize,
        program: &Path,
        arguments: &[String],
    ) -> Result<Life> {
        let log = self.setup.folder.join(format!("{}-beside.log", self.plans[machine].name));
        self.machines[machine].start(program, arguments, &log)
    }

    /// Undoes all faults, and starts what ended by itself.
    pub fn heal(&mut self) -> Result<()> {
        let healed = faults::heal(self);
        let stopped = (0..self.units.len()).filter(|&unit| self.units[unit].life.is_none());
        let started = stopped.collect::<Vec<_>>().into_iter().try_for_each(|unit| self.start(unit));
        healed.and(started)
    }

    /// Units that ended although nothing stopped them, and their last words.
    pub fn deaths(&mut self) -> Vec<(usize, String)> {
        let mut deaths = Vec::new();
        for number in 0..self.units.len() {
            if self.units[number].life.is_some_and(|life| !life.is_alive()) {
                let log = tail(&self.log_of(&self.units[number]), 12);
                let unit = &mut self.units[number];
                if let Some(life) = unit.life.take() {
                    life.reap();
                }
                let text = format!("{} ended by itself; its last lines:\n{log}", unit.name);
                deaths.push((number, text));
            }
        }
        deaths
    }

    /// The machine whose member says of itself that it leads.
    pub fn store_leader(&self) -> Result<usize> {
        let leader = self.membership().leader(Duration::ZERO)?;
        Ok(self.units[leader].machine)
    }

    /// Waits until the store has a leader, the API is ready and every worker is.
    pub fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        self.wait_for("the store has a leader", timeout, |cluster| cluster.store_leader().map(drop))?;
        if !self.setup.topology.has_kubernetes() {
            return Ok(());
        }
        self.wait_for("the API is ready", timeout, |cluster| {
            cluster.kubectl_ok(&["get", "--raw", "/readyz"]).map(drop)
        })?;
        self.wait_for("kube-dns is there", timeout, Self::ensure_dns_service)?;
        self.wait_for("the nodes are ready", timeout, Self::check_nodes)
    }

    fn check_nodes(&self) -> Result<()> {
        let path = "-o=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}";
        let ready = self.kubectl_ok(&["get", "nodes", path])?;
        let count = ready.split_whitespace().filter(|status| *status == "True").count();
        let workers = usize::from(self.setup.topology.workers);
        ensure!(count == workers, "{count} of {workers} nodes are ready");
        Ok(())
    }

    /// A part that ends meanwhile, for want of containerd for example, is an error with its last words.
    fn wait_for(&mut self, what: &str, timeout: Duration, look: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let died = eventually(what, timeout, || match self.deaths().pop() {
            Some((_, text)) => Ok(Some(text)),
            None => look(self).map(|()| None),
        })?;
        match died {
            Some(text) => bail!("{what}: {text}"),
            None => Ok(()),
        }
    }

    /// Keeps the DNS address from every other Service, as an installer's add-on does; the nodes answer on it themselves.
    fn ensure_dns_service(&self) -> Result<()> {
        let manifest = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: kube-dns, namespace: kube-system }}\n\
             spec:\n  clusterIP: {CLUSTER_DNS}\n  ports:\n  - {{ name: dns, protocol: UDP, port: 53 }}\n  \
             - {{ name: dns-tcp, protocol: TCP, port: 53 }}\n"
        );
        self.apply(&manifest)
    }
}

fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let skip = text.lines().count().saturating_sub(lines);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}

/// A machine has another working folder. A bare name is looked for on the path, there as here.
fn absolute(program: &Path) -> Result<PathBuf> {
    if program.components().count() == 1 {
        return Ok(program.to_owned());
    }
    program.canonicalize().with_context(|| format!("find {}", program.display()))
}
