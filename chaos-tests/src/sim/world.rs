//! The simulated world: machines, the network between them, and time, which this alone moves on.
//!
//! A step delivers what the network holds for this moment, then lets each machine live through it, in a fixed order. All
//! of it happens on one thread, and every choice comes from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use balsa_store::Config;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clients::Desk;
use super::disk::{SimDisk, Trouble};
use super::machine::{Clock, Machine, MakeRuntime};
use super::member::{self, Identity, SimMember};
use super::network::{Network, Weather};
use super::observe::Observer;
use super::panics;
use super::replace::{self, Order, Orders};
use super::sabotage::Sabotage;
use super::schedule::{Fault, Target, Timed};
use super::state::{Ledger, StateDisk};
use super::trace::{CLIENTS, Place, Trace, WORLD, name};
use crate::history::{FaultRecord, History, Incident, Record};

/// The longest step: what is sent within one arrives at its end at the earliest.
const STEP_MAX_MS: u64 = 4;
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
    pub observer: Observer,
    pub ledger: Ledger,
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
        let observer = Observer::default();
        let network = Network::new(trace.clone(), seed, observer.clone(), sabotage);
        let ledger = Ledger::default();
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
            seed,
        };
        let mut world = World {
            trace,
            network,
            observer,
            ledger,
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
        let step_ms = due_ms.saturating_sub(self.now_ms).clamp(1, STEP_MAX_MS);
        self.now_ms += step_ms;
        self.trace.set_now(self.now_ms);
        for arrival in self.network.deliver(self.now_ms) {
            self.members[arrival.to].answer(&self.network, arrival);
        }
        let mut panicked = Vec::new();
        for member in &mut self.members {
            if let Some(machine) = &mut member.machine {
                machine.step(self.now_ms, step_ms, member.clock);
            }
            panicked.extend(panics::take().into_iter().map(|text| (member.place, text)));
        }
        for (place, text) in panicked {
            self.incident(Some(place), format!("panicked: {text}"));
        }
        self.clients.step(self.now_ms, step_ms, Clock::default());
        self.notice_leaders();
        self.notice_ends();
        self.obey_orders();
        self.undo_due();
    }

    pub fn is_serving(&self, place: Place) -> bool {
        self.members[place].serves_clients()
    }

    pub fn incident(&self, place: Option<Place>, text: String) {
        self.trace.event(place.unwrap_or(WORLD), text.clone());
        let member = place.map(name).unwrap_or_default();
        self.desk.record(Record::Incident(Incident { member, at_us: self.now_ms * 1000, text }));
    }

    pub fn strike(&mut self, timed: &Timed) {
        self.trace.event(WORLD, format!("fault: {}", timed.fault));
        let until_ms = self.now_ms + timed.for_ms;
        let struck = self.strike_fault(&timed.fault, until_ms);
        let record = FaultRecord {
            verb: timed.fault.to_string(),
            what: timed.fault.to_string(),
            members: struck.into_iter().map(name).collect(),
            from_us: self.now_ms * 1000,
            until_us: until_ms * 1000,
        };
        self.desk.record(Record::Fault(record));
    }

    /// Returns whom it struck.
    fn strike_fault(&mut self, fault: &Fault, until_ms: u64) -> Vec<Place> {
        match fault {
            Fault::Kill(target) => self.on(*target, |world, place| world.kill(place, until_ms)),
            Fault::PowerCut(target) => self.on(*target, |world, place| world.power_cut(place, until_ms)),
            Fault::PowerCutAll => {
                let places: Vec<Place> = (0..self.members.len()).collect();
                places.iter().for_each(|place| self.power_cut(*place, until_ms));
                places
            }
            Fault::Pause(target) => self.on(*target, |world, place| {
                world.members[place].clock.stands_still = true;
                world.undo_at(until_ms, Undo::GoOn(place));
            }),
            Fault::Isolate { target, from_clients } => {
                let from_clients = *from_clients;
                self.on(*target, |world, place| {
                    let mut ways = world.ways_out(place, from_clients);
                    ways.extend(world.ways_in(place, from_clients));
                    world.cut(ways, until_ms);
                })
            }
            Fault::Mute(target) => {
                self.on(*target, |world, place| world.cut(world.ways_out(place, false), until_ms))
            }
            Fault::Deaf(target) => {
                self.on(*target, |world, place| world.cut(world.ways_in(place, false), until_ms))
            }
            Fault::CutLink(one, two) => {
                self.cut(vec![(*one, *two), (*two, *one)], until_ms);
                vec![*one, *two]
            }
            Fault::Loss { percent } => {
                self.weather(Weather { loss_percent: *percent, ..Weather::default() }, until_ms)
            }
            Fault::Delay { up_to_ms } => {
                self.weather(Weather { delay_ms: 1..=*up_to_ms, ..Weather::default() }, until_ms)
            }
            Fault::Duplicates { percent } => {
                self.weather(Weather { duplicate_percent: *percent, ..Weather::default() }, until_ms)
            }
            Fault::SlowDisk(target) => self.disk(*target, until_ms, |trouble| trouble.slow = true),
            Fault::FailingSync(target) => self.disk(*target, until_ms, |trouble| trouble.failing = true),
            Fault::FullDisk(target) => self.disk(*target, until_ms, |trouble| trouble.full = true),
            Fault::Drift { target, ppm } => {
                let ppm = *ppm;
                self.on(*target, |world, place| {
                    world.members[place].clock.drift_ppm = ppm;
                    world.undo_at(until_ms, Undo::Clock(place));
                })
            }
            Fault::WallJump { target, seconds } => {
                let seconds = *seconds;
                self.on(*target, |world, place| {
                    world.members[place].clock.wall_offset_seconds += seconds;
                    world.undo_at(until_ms, Undo::Clock(place));
                })
            }
            Fault::MoveLeader(place) => {
                if let Some(leader) = self.leader() {
                    self.spawn(replace::move_leader(
                        self.desk.clone(),
                        leader,
                        self.members[*place].identity.ids.1,
                    ));
                }
                vec![*place]
            }
            Fault::Replace(place) => {
                self.spawn(replace::remove(
                    self.desk.clone(),
                    *place,
                    self.members[*place].identity.ids.1,
                    self.orders.clone(),
                ));
                vec![*place]
            }
        }
    }

    /// Ends every fault and starts whoever is down.
    pub fn heal(&mut self) {
        self.trace.event(WORLD, "everything is healed".to_owned());
        self.network.heal_all();
        // Ways are healed already; healing them again one by one must not count below nothing.
        let undo = std::mem::take(&mut self.undo);
        undo.into_values().filter(|undo| !matches!(undo, Undo::Uncut(_))).for_each(|undo| self.undo(undo));
        for place in 0..self.members.len() {
            self.start(place);
        }
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
            state: StateDisk::new(place, seed, self.ledger.clone(), splits_batches),
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

    fn on(&mut self, target: Target, strike: impl FnOnce(&mut World, Place)) -> Vec<Place> {
        let place = match target {
            Target::Member(place) => Some(place),
            Target::Leader => self.leader(),
        };
        if let Some(place) = place {
            strike(self, place);
        }
        place.into_iter().collect()
    }

    fn leader(&self) -> Option<Place> {
        (0..self.members.len())
            .filter(|place| self.leaders[*place].is_some())
            .max_by_key(|p| self.leaders[*p])
    }

    fn ways_out(&self, place: Place, to_clients: bool) -> Vec<(Place, Place)> {
        let others = (0..self.members.len()).filter(|other| *other != place);
        others.chain(to_clients.then_some(CLIENTS)).map(|other| (place, other)).collect()
    }

    fn ways_in(&self, place: Place, from_clients: bool) -> Vec<(Place, Place)> {
        self.ways_out(place, from_clients).into_iter().map(|(place, other)| (other, place)).collect()
    }

    fn cut(&mut self, ways: Vec<(Place, Place)>, until_ms: u64) {
        ways.iter().for_each(|(from, to)| self.network.cut(*from, *to, true));
        self.undo_at(until_ms, Undo::Uncut(ways));
    }

    fn weather(&mut self, weather: Weather, until_ms: u64) -> Vec<Place> {
        self.network.set_weather(weather);
        self.undo_at(until_ms, Undo::Weather);
        Vec::new()
    }

    fn disk(&mut self, target: Target, until_ms: u64, change: fn(&mut Trouble)) -> Vec<Place> {
        self.on(target, |world, place| {
            world.members[place].disk.trouble(change);
            world.explained.insert(place, until_ms + EXPLAINED_MS);
            world.undo_at(until_ms, Undo::Disk(place));
        })
    }

    fn undo_at(&mut self, at_ms: u64, undo: Undo) {
        self.next_undo += 1;
        self.undo.insert((at_ms, self.next_undo), undo);
    }

    fn undo_due(&mut self) {
        while let Some(entry) = self.undo.first_entry() {
            if entry.key().0 > self.now_ms {
                return;
            }
            let undo = entry.remove();
            self.undo(undo);
        }
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Start(place) => self.start(place),
            Undo::GoOn(place) => self.members[place].clock.stands_still = false,
            Undo::Uncut(ways) => ways.iter().for_each(|(from, to)| self.network.cut(*from, *to, false)),
            Undo::Weather => self.network.set_weather(Weather::default()),
            Undo::Disk(place) => self.members[place].disk.trouble(|trouble| {
                *trouble = Trouble { lying: trouble.lying, ..Trouble::default() };
            }),
            Undo::Clock(place) => {
                let stands_still = self.members[place].clock.stands_still;
                self.members[place].clock = Clock { stands_still, ..self.true_clock() };
            }
        }
    }

    fn notice_leaders(&mut self) {
        for member in &self.members {
            let term = member.leads_in();
            if self.leaders[member.place] != term {
                let text = match term {
                    Some(term) => format!("leads in term {term}"),
                    None => "leads no more".to_owned(),
                };
                self.trace.event(member.place, text);
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
                self.trace.event(place, "ends: it was removed".to_owned());
                self.orders.give(Order::Removed(place));
                continue;
            }
            let dir = self.dir.path().display().to_string();
            let text = format!("ended by itself: {}", reason.replace(&dir, ""));
            if self.explained.get(&place).is_some_and(|until_ms| self.now_ms < *until_ms) {
                self.trace.event(place, text);
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
                    self.trace.event(place, "is removed, and its disk is wiped".to_owned());
                    let Identity { config, ids } = self.members[place].identity.clone();
                    self.members[place].stop(&self.network);
                    let mut fresh = self.new_member(place, config, (ids.0, ids.1.wrapping_add(1)));
                    fresh.is_replaced = true;
                    fresh.starts = self.members[place].starts;
                    self.members[place] = fresh;
                    self.observer.forget(place);
                    self.spawn(replace::add(self.desk.clone(), place, self.orders.clone()));
                }
                Order::Removed(_) => {}
                Order::Added(place, id) => {
                    self.trace.event(place, format!("joins as {id:x}"));
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

/// Long enough for every call of a client to end.
pub const DRAIN: Duration = Duration::from_millis(2_000);
