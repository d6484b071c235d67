//! The simulated world: machines, the network between them, and time, which this alone moves on.
//!
//! A step delivers what the network holds for this moment, then lets the machines that something came to live through the
//! time since their last turn, in a fixed order; to all others a turn comes after [`TURN_MAX_MS`]. All of it happens on one
//! thread, and every choice comes from the seed.

mod strike;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use balsa_store::Config;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::history::{History, Incident, Record};
use crate::sim::clients::Desk;
use crate::sim::disk::SimDisk;
use crate::sim::machine::{Clock, Machine, MakeRuntime};
use crate::sim::member::{self, Identity, SimMember};
use crate::sim::network::Network;
use crate::sim::observe::Observer;
use crate::sim::panics;
use crate::sim::replace::{self, Order, Orders};
use crate::sim::sabotage::Sabotage;
use crate::sim::sightings::{Sighting, Sightings};
use crate::sim::state::StateDisk;
use crate::sim::trace::{CLIENTS, Place, Trace, WORLD, name};

/// The longest time between two turns of a machine: its timers are late by as much.
const TURN_MAX_MS: u64 = 4;
/// A member that ended by itself is started again after this.
const RESTART_MS: u64 = 300;
/// Trouble with a disk may end a member for as long after it.
const EXPLAINED_MS: u64 = 1_000;
/// One that keeps ending by itself is left alone after so many times.
const RESTARTS_MAX: usize = 6;
/// How much faster the clocks of [`Sabotage::LeaseEarly`] run, in millionths.
const RACING_PPM: i64 = 1_000_000;

pub struct World {
    pub trace: Trace,
    pub network: Network,
    pub sightings: Sightings,
    pub members: Vec<SimMember>,
    pub desk: Desk,
    pub now_ms: u64,
    clients: Machine,
    make: MakeRuntime,
    seed: u64,
    sabotage: Option<Sabotage>,
    undo: BTreeMap<(u64, u64), Undo>,
    next_undo: u64,
    orders: Orders,
    /// Members whose end something explains, and until when.
    explained: BTreeMap<Place, u64>,
    unexplained: usize,
    leaders: Vec<Option<u64>>,
    /// Snapshots are files; nothing of their place is in any trace.
    dir: TempDir,
}

enum Undo {
    Start(Place),
    GoOn(Place),
    Uncut(Vec<(Place, Place)>),
    Weather,
    Disk(Place),
    Clock(Place),
}

impl World {
    pub fn new(
        seed: u64,
        count: usize,
        sabotage: Option<Sabotage>,
        keep_trace: bool,
        make: MakeRuntime,
    ) -> Result<World> {
        let trace = Trace::new(keep_trace);
        let sightings = Sightings::new(keep_trace);
        let network = Network::new(trace.clone(), seed, Observer::new(sightings.clone()), sabotage);
        let dir = tempfile::tempdir().context("make a directory for snapshots")?;
        let places: Vec<Place> = (0..count).collect();
        let clients = Machine::new(make, seed ^ 0xc11e);
        let started = clients.handle().block_on(async { Instant::now() });
        let desk = Desk {
            network: network.clone(),
            trace: trace.clone(),
            history: Arc::new(Mutex::new(History::default())),
            started,
            places: places.clone(),
            stop: CancellationToken::new(),
            clients: TaskTracker::new(),
            seed,
        };
        let mut world = World {
            trace,
            network,
            sightings,
            members: Vec::new(),
            desk,
            now_ms: 0,
            clients,
            make,
            seed,
            sabotage,
            undo: BTreeMap::new(),
            next_undo: 0,
            orders: Orders::default(),
            explained: BTreeMap::new(),
            unexplained: 0,
            leaders: vec![None; count],
            dir,
        };
        for place in &places {
            let config = member::config(*place, &places, world.dir.path());
            let ids = (config.cluster_id(), config.own_id());
            let member = world.new_member(*place, config, ids);
            world.members.push(member);
            world.start(*place);
        }
        Ok(world)
    }

    /// Runs a task of a client.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.clients.handle().spawn(task);
    }

    pub fn step(&mut self) {
        let due_ms = self.network.next_due_ms().unwrap_or(u64::MAX);
        let turns = self.members.iter().filter_map(|member| member.machine.as_ref()).chain([&self.clients]);
        let turn_ms = turns.map(Machine::turn_ms).min().map_or(0, |last| last + TURN_MAX_MS);
        let step_ms = due_ms.min(turn_ms).saturating_sub(self.now_ms).max(1);
        self.now_ms += step_ms;
        self.trace.set_now(self.now_ms);
        let delivered = self.network.deliver(self.now_ms);
        for arrival in delivered.requests {
            self.members[arrival.to].answer(&self.network, arrival);
        }
        self.give_turns(step_ms, &delivered.machines);
        self.notice_leaders();
        self.notice_ends();
        self.obey_orders();
        self.undo_due();
    }

    fn give_turns(&mut self, step_ms: u64, woken: &BTreeSet<Place>) {
        let now_ms = self.now_ms;
        let turn = |place, machine: &mut Machine, clock| {
            machine.pass(step_ms, clock);
            if woken.contains(&place) || now_ms - machine.turn_ms() >= TURN_MAX_MS {
                machine.live(now_ms, clock);
            }
        };
        let mut panicked = Vec::new();
        for member in &mut self.members {
            if let Some(machine) = &mut member.machine {
                turn(member.place, machine, member.clock);
            }
            panicked.extend(panics::take().into_iter().map(|text| (Some(member.place), text)));
        }
        turn(CLIENTS, &mut self.clients, Clock::default());
        panicked.extend(panics::take().into_iter().map(|text| (None, format!("of the clients: {text}"))));
        for (place, text) in panicked {
            self.incident(place, format!("panicked: {text}"));
        }
    }

    pub fn is_serving(&self, place: Place) -> bool {
        self.members[place].serves_clients()
    }

    pub fn incident(&self, place: Option<Place>, text: String) {
        self.trace.event(place.unwrap_or(WORLD), || text.clone());
        let member = place.map(name).unwrap_or_default();
        self.desk.record(Record::Incident(Incident { member, at_us: self.now_ms * 1000, text }));
    }

    fn new_member(&self, place: Place, config: Config, ids: (u64, u64)) -> SimMember {
        let seed = self.seed ^ ((place as u64 + 1) << 32) ^ ids.1;
        let disk = SimDisk::new(place, self.trace.clone(), seed);
        disk.trouble(|trouble| trouble.lying = self.sabotage == Some(Sabotage::AckBeforeFsync));
        let splits_batches = self.sabotage == Some(Sabotage::SplitBatch);
        SimMember {
            place,
            identity: Identity { config, ids },
            disk,
            state: StateDisk::new(place, seed, self.sightings.clone(), splits_batches),
            clock: self.true_clock(),
            machine: None,
            seat: Arc::default(),
            starts: 0,
            is_replaced: false,
        }
    }

    fn true_clock(&self) -> Clock {
        let races = self.sabotage == Some(Sabotage::LeaseEarly);
        Clock { drift_ppm: if races { RACING_PPM } else { 0 }, ..Clock::default() }
    }

    fn start(&mut self, place: Place) {
        let seed = self.seed.wrapping_mul(31).wrapping_add(place as u64 * 1_000);
        let member = &mut self.members[place];
        if member.machine.is_none() && !member.is_replaced {
            member.clock.stands_still = false;
            member.start(self.make, seed, &self.network, &self.trace);
        }
    }

    fn kill(&mut self, place: Place, until_ms: u64) {
        let member = &mut self.members[place];
        if member.machine.is_some() {
            member.stop(&self.network);
            member.disk.killed();
        }
        self.undo_at(until_ms, Undo::Start(place));
    }

    fn power_cut(&mut self, place: Place, until_ms: u64) {
        let member = &mut self.members[place];
        member.stop(&self.network);
        member.disk.power_cut();
        member.state.power_cut();
        self.undo_at(until_ms, Undo::Start(place));
    }

    fn notice_leaders(&mut self) {
        for member in &self.members {
            let term = member.leads_in();
            if self.leaders[member.place] != term {
                self.trace.event(member.place, || match term {
                    Some(term) => format!("leads in term {term}"),
                    None => "leads no more".to_owned(),
                });
                self.leaders[member.place] = term;
            }
        }
    }

    /// A member that ended by itself.
    fn notice_ends(&mut self) {
        for place in 0..self.members.len() {
            let Some(reason) = self.members[place].seat.lock().ended.take() else { continue };
            let member = &mut self.members[place];
            member.stop(&self.network);
            member.disk.killed();
            if reason == "removed" {
                self.trace.event(place, || "ends: it was removed".to_owned());
                self.orders.give(Order::Removed(place));
                continue;
            }
            let dir = self.dir.path().display().to_string();
            let text = format!("ended by itself: {}", reason.replace(&dir, ""));
            if self.explained.get(&place).is_some_and(|until_ms| self.now_ms < *until_ms) {
                self.trace.event(place, || text);
            } else {
                self.incident(Some(place), text);
                self.unexplained += 1;
            }
            if self.unexplained < RESTARTS_MAX {
                self.undo_at(self.now_ms + RESTART_MS, Undo::Start(place));
            }
        }
    }

    fn obey_orders(&mut self) {
        while let Some(order) = self.orders.take() {
            match order {
                Order::Removed(place) if !self.members[place].is_replaced => {
                    self.trace.event(place, || "is removed, and its disk is wiped".to_owned());
                    let Identity { config, ids } = self.members[place].identity.clone();
                    self.members[place].stop(&self.network);
                    let mut fresh = self.new_member(place, config, (ids.0, ids.1.wrapping_add(1)));
                    fresh.is_replaced = true;
                    fresh.starts = self.members[place].starts;
                    self.members[place] = fresh;
                    self.sightings.see(Sighting::Forgotten { place });
                    self.spawn(replace::add(self.desk.clone(), place, self.orders.clone()));
                }
                Order::Removed(_) => {}
                Order::Added(place, id) => {
                    self.trace.event(place, || format!("joins as {id:x}"));
                    let member = &mut self.members[place];
                    member.identity.config.joins_existing_cluster = true;
                    member.identity.ids.1 = id;
                    member.is_replaced = false;
                    self.start(place);
                }
            }
        }
    }
}
