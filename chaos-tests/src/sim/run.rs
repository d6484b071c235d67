//! One run from one seed: the cluster forms, faults strike under load, everything is healed, progress is asked for, and what
//! was seen is judged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use parking_lot::Mutex;
use tracing::subscriber::NoSubscriber;

use super::clients::{self, Client};
use super::machine::MakeRuntime;
use super::panics;
use super::sabotage::Sabotage;
use super::schedule::{self, Timed};
use super::sightings::Sightings;
use super::trace::{Event, Place};
use super::world::World;
use crate::history::{History, Request};
use crate::properties::Property;

/// A new cluster serves within this.
const FORM_MAX_MS: u64 = 6_000;
const LOAD_UNTIL_MS: u64 = 12_500;
/// After healing every member must take a write within this: an election, a snapshot, and the clients' own timeouts.
const RECOVER_MAX_MS: u64 = 15_000;
/// Every call of a client has ended by then.
const DRAIN_MAX_MS: u64 = 2_000;
const FINALS_MAX_MS: u64 = 5_000;
/// Numbers of the clients that ask for progress, and of those that read the end.
const RECOVERY_CLIENT: u32 = 200;

#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub members: usize,
    pub sabotage: Option<Sabotage>,
    pub faults: Faults,
    pub keep_trace: bool,
    pub make: MakeRuntime,
}

/// Which faults strike.
#[derive(Clone, Debug, Default)]
pub enum Faults {
    /// Those of the seed.
    #[default]
    All,
    /// Only these of the seed's, by their place in its list.
    Only(Vec<usize>),
    /// A test's own.
    Given(Vec<Timed>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Form,
    Load,
    Recover,
    Judge,
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub property: &'static str,
    pub phase: Phase,
    /// What was expected and what was seen.
    pub text: String,
}

pub struct Outcome {
    pub findings: Vec<Finding>,
    pub schedule: Vec<Timed>,
    /// What clients saw.
    pub history: History,
    /// What members showed to one another.
    pub sightings: Sightings,
    /// Empty unless the trace was asked for.
    pub last: Vec<Event>,
    /// Likewise. The same for the same options, byte for byte.
    pub trace: String,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Form => "form",
            Phase::Load => "load",
            Phase::Recover => "recover",
            Phase::Judge => "judge",
        })
    }
}

/// Runs on a thread of its own, so that nothing of an earlier run is left there.
pub fn run(options: &Options) -> Result<Outcome> {
    // Nobody reads logs here, and where nobody has said so each span is made ready for the `log` crate. Whoever has set
    // another subscriber keeps it.
    let _ = tracing::subscriber::set_global_default(NoSubscriber::new());
    let options = options.clone();
    let thread = std::thread::Builder::new().name("simulation".into()).spawn(move || play(&options))?;
    thread.join().map_err(|_| anyhow!("the thread of the run panicked"))?
}

/// The faults of a run, as its options have them.
pub fn schedule_of(options: &Options) -> Vec<Timed> {
    let all = schedule::generate(options.seed, options.members);
    match &options.faults {
        Faults::All => all,
        Faults::Only(keep) => keep.iter().filter_map(|at| all.get(*at).cloned()).collect(),
        Faults::Given(schedule) => schedule.clone(),
    }
}

fn play(options: &Options) -> Result<Outcome> {
    panics::watch();
    let played = std::panic::catch_unwind(|| play_watched(options));
    let seen = panics::take();
    panics::unwatch();
    played.unwrap_or_else(|_| {
        Err(anyhow!("seed {}: the simulator panicked: {}", options.seed, seen.join("; ")))
    })
}

fn play_watched(options: &Options) -> Result<Outcome> {
    let schedule = schedule_of(options);
    let mut world =
        World::new(options.seed, options.members, options.sabotage, options.keep_trace, options.make)?;
    let findings = phases(&mut world, &schedule);
    let history = std::mem::take(&mut *world.desk.history.lock());
    Ok(Outcome {
        findings,
        schedule,
        history,
        sightings: world.sightings.clone(),
        last: world.trace.last(),
        trace: world.trace.whole(),
    })
}

fn phases(world: &mut World, schedule: &[Timed]) -> Vec<Finding> {
    let places: Vec<Place> = world.desk.places.clone();
    let formed = until(world, FORM_MAX_MS, |world| places.iter().all(|place| world.is_serving(*place)));
    if !formed {
        world.incident(None, format!("the cluster does not form within {FORM_MAX_MS} ms"));
        return judge(world, Phase::Form);
    }
    world.spawn({
        let desk = world.desk.clone();
        async move { clients::start(&desk) }
    });
    let mut faults = schedule.iter().peekable();
    while world.now_ms < LOAD_UNTIL_MS {
        world.step();
        while let Some(timed) = faults.next_if(|timed| timed.at_ms <= world.now_ms) {
            world.strike(timed);
        }
        if let Some(finding) = wire_findings(world, Phase::Load) {
            return vec![finding];
        }
    }
    world.heal();
    recover(world, &places);
    if let Some(finding) = wire_findings(world, Phase::Recover) {
        return vec![finding];
    }
    judge(world, Phase::Judge)
}

/// All members take a write, and then show what they hold.
fn recover(world: &mut World, places: &[Place]) {
    let began_ms = world.now_ms;
    let well: Arc<Mutex<Vec<Place>>> = Arc::default();
    for place in places {
        let (desk, place, well) = (world.desk.clone(), *place, well.clone());
        world.spawn(async move {
            let number = RECOVERY_CLIENT + place as u32;
            loop {
                let put = Request::Put { key: format!("recovered/{place}"), value: "1".to_owned(), lease: 0 };
                let done = Client::at(&desk, number, place).run(put).await;
                if done.is_some_and(|done| done.reply().is_some()) {
                    return well.lock().push(place);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let recovered = until(world, RECOVER_MAX_MS, |_| well.lock().len() == places.len());
    world.desk.stop.cancel();
    if !recovered {
        for place in places.iter().filter(|place| !well.lock().contains(place)) {
            let text = format!("takes no write within {RECOVER_MAX_MS} ms after everything was healed");
            world.incident(Some(*place), text);
        }
        return;
    }
    let took_ms = world.now_ms - began_ms;
    world.trace.event(super::trace::WORLD, || format!("all members serve again after {took_ms} ms"));
    until(world, DRAIN_MAX_MS, |world| world.desk.clients.is_empty());
    let done: Arc<Mutex<bool>> = Arc::default();
    world.spawn(super::finals::read(world.desk.clone(), done.clone()));
    if !until(world, FINALS_MAX_MS, |_| *done.lock()) {
        world.incident(None, "the members do not show what they hold".to_owned());
    }
}

/// False if it did not come true in time.
fn until(world: &mut World, within_ms: u64, mut is_true: impl FnMut(&World) -> bool) -> bool {
    let deadline_ms = world.now_ms.saturating_add(within_ms);
    while !is_true(world) {
        if world.now_ms >= deadline_ms {
            return false;
        }
        world.step();
    }
    true
}

/// What is known at once.
fn wire_findings(world: &World, phase: Phase) -> Option<Finding> {
    let (property, text) = world.sightings.violation()?;
    Some(Finding { property, phase, text })
}

fn judge(world: &World, phase: Phase) -> Vec<Finding> {
    let history = world.desk.history.lock();
    let checks = Property::all().into_iter().map(|property| (property.name(), property.check(&history)));
    checks
        .flat_map(|(property, check)| {
            check.violations.into_iter().map(move |violation| Finding {
                property,
                phase,
                text: violation.text,
            })
        })
        .collect()
}
