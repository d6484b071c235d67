//! Faults as they strike, and how they end.

use super::{EXPLAINED_MS, Undo, World};
use crate::history::{FaultRecord, Record};
use crate::sim::disk::Trouble;
use crate::sim::machine::Clock;
use crate::sim::network::Weather;
use crate::sim::replace;
use crate::sim::schedule::{Fault, Target, Timed};
use crate::sim::trace::{CLIENTS, Place, WORLD, name};

impl World {
    pub fn strike(&mut self, timed: &Timed) {
        self.trace.event(WORLD, || format!("fault: {}", timed.fault));
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
    pub(super) fn strike_fault(&mut self, fault: &Fault, until_ms: u64) -> Vec<Place> {
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
            Fault::HangingDisk(target) => self.disk(*target, until_ms, |trouble| trouble.hanging = true),
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
        self.trace.event(WORLD, || "everything is healed".to_owned());
        self.network.heal_all();
        // Ways are healed already; healing them again one by one must not count below nothing.
        let undo = std::mem::take(&mut self.undo);
        undo.into_values().filter(|undo| !matches!(undo, Undo::Uncut(_))).for_each(|undo| self.undo(undo));
        for place in 0..self.members.len() {
            self.start(place);
        }
    }

    pub(super) fn on(&mut self, target: Target, strike: impl FnOnce(&mut World, Place)) -> Vec<Place> {
        let place = match target {
            Target::Member(place) => Some(place),
            Target::Leader => self.leader(),
        };
        if let Some(place) = place {
            strike(self, place);
        }
        place.into_iter().collect()
    }

    pub(super) fn leader(&self) -> Option<Place> {
        (0..self.members.len())
            .filter(|place| self.leaders[*place].is_some())
            .max_by_key(|p| self.leaders[*p])
    }

    pub(super) fn ways_out(&self, place: Place, to_clients: bool) -> Vec<(Place, Place)> {
        let others = (0..self.members.len()).filter(|other| *other != place);
        others.chain(to_clients.then_some(CLIENTS)).map(|other| (place, other)).collect()
    }

    pub(super) fn ways_in(&self, place: Place, from_clients: bool) -> Vec<(Place, Place)> {
        self.ways_out(place, from_clients).into_iter().map(|(place, other)| (other, place)).collect()
    }

    pub(super) fn cut(&mut self, ways: Vec<(Place, Place)>, until_ms: u64) {
        ways.iter().for_each(|(from, to)| self.network.cut(*from, *to, true));
        self.undo_at(until_ms, Undo::Uncut(ways));
    }

    pub(super) fn weather(&mut self, weather: Weather, until_ms: u64) -> Vec<Place> {
        self.network.set_weather(weather);
        self.undo_at(until_ms, Undo::Weather);
        Vec::new()
    }

    pub(super) fn disk(&mut self, target: Target, until_ms: u64, change: fn(&mut Trouble)) -> Vec<Place> {
        self.on(target, |world, place| {
            world.members[place].disk.trouble(change);
            world.explained.insert(place, until_ms + EXPLAINED_MS);
            world.undo_at(until_ms, Undo::Disk(place));
        })
    }

    pub(super) fn undo_at(&mut self, at_ms: u64, undo: Undo) {
        self.next_undo += 1;
        self.undo.insert((at_ms, self.next_undo), undo);
    }

    pub(super) fn undo_due(&mut self) {
        while let Some(entry) = self.undo.first_entry() {
            if entry.key().0 > self.now_ms {
                return;
            }
            let undo = entry.remove();
            self.undo(undo);
        }
    }

    pub(super) fn undo(&mut self, undo: Undo) {
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
}
