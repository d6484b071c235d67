//! Faults on time: the schedule, step by step, at whatever cluster a scenario runs on.
//!
//! Every fault that began is recorded once, when it ends; one that found nobody to strike is recorded as left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Plan;
use super::run::{INTERRUPTED, Options};
use super::schedule::{Step, schedule};
use crate::history::{FaultRecord, Record, Recorder};

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(20);
const LINE_EVERY: Duration = Duration::from_secs(1);

/// What faults strike.
pub trait Arena {
    /// What a scenario file says.
    type Verb;
    /// The same with its victims chosen.
    type Fault;

    fn name(verb: &Self::Verb) -> &'static str;
    /// An error: there is nobody left to strike.
    fn aim(&self, verb: &Self::Verb, random: &mut StdRng) -> Result<Self::Fault>;
    /// For the timeline: what is done to whom.
    fn what(&self, fault: &Self::Fault) -> String;
    fn victims(&self, fault: &Self::Fault) -> Vec<String>;
    fn strike(&mut self, fault: &mut Self::Fault) -> Result<()>;
    fn undo(&mut self, fault: &mut Self::Fault) -> Result<()>;
}

/// A fault that has begun.
pub struct Active<F> {
    pub fault: F,
    pub record: FaultRecord,
    number: usize,
}

pub struct Strikes<A: Arena> {
    recorder: Recorder,
    random: StdRng,
    active: Vec<Active<A::Fault>>,
}

impl<A: Arena> Strikes<A> {
    /// The same seed gives the same schedule and, as far as the clusters do alike, the same victims.
    pub fn new(recorder: Recorder, seed: u64) -> Self {
        Self { recorder, random: StdRng::seed_from_u64(seed), active: Vec::new() }
    }

    /// The whole schedule of `length`, or up to an interruption. `look` is called at every tick, with what has begun.
    pub fn run(
        &mut self,
        arena: &mut A,
        plans: &[Plan<A::Verb>],
        length: Duration,
        options: &Options,
        mut look: impl FnMut(&mut A, &mut [Active<A::Fault>]),
    ) -> Result<()> {
        let mut steps = schedule(plans, length, &mut self.random).into_iter().peekable();
        let started = Instant::now();
        let mut next_line = LINE_EVERY;
        while started.elapsed() < length && !INTERRUPTED.load(Ordering::Relaxed) {
            while let Some(step) = steps.next_if(|step| step.at <= started.elapsed()) {
                self.step(arena, plans, step)?;
            }
            look(arena, &mut self.active);
            if started.elapsed() >= next_line {
                (options.progress)(&self.line(started.elapsed(), length));
                next_line += LINE_EVERY;
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Ends what still goes on.
    pub fn heal(&mut self, arena: &mut A) -> Result<()> {
        let mut result = Ok(());
        for number in self.active.iter().map(|active| active.number).collect::<Vec<_>>() {
            result = result.and(self.end(arena, number));
        }
        result
    }

    fn step(&mut self, arena: &mut A, plans: &[Plan<A::Verb>], step: Step) -> Result<()> {
        if !step.begins {
            return self.end(arena, step.fault);
        }
        let verb = &plans[step.plan].verb;
        let now = self.recorder.now_us();
        let mut record = FaultRecord {
            verb: A::name(verb).to_owned(),
            what: String::new(),
            members: Vec::new(),
            from_us: now,
            until_us: now,
        };
        match arena.aim(verb, &mut self.random) {
            Ok(mut fault) => {
                record.what = arena.what(&fault);
                record.members = arena.victims(&fault);
                arena.strike(&mut fault).with_context(|| record.what.clone())?;
                self.active.push(Active { fault, number: step.fault, record });
            }
            // Faults overlap, so that there may be nobody left to strike; the report says so.
            Err(error) => {
                record.what = format!("{} left out: {error:#}", A::name(verb));
                self.recorder.record_blocking(Record::Fault(record));
            }
        }
        Ok(())
    }

    /// Nothing to do for a fault that never began.
    fn end(&mut self, arena: &mut A, number: usize) -> Result<()> {
        let Some(position) = self.active.iter().position(|active| active.number == number) else {
            return Ok(());
        };
        let mut active = self.active.remove(position);
        arena.undo(&mut active.fault).with_context(|| format!("undo: {}", active.record.what))?;
        active.record.until_us = self.recorder.now_us();
        self.recorder.record_blocking(Record::Fault(active.record));
        Ok(())
    }

    fn line(&self, elapsed: Duration, length: Duration) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = self.recorder.counters();
        let faults: Vec<_> = self.active.iter().map(|active| active.record.what.as_str()).collect();
        format!(
            "{:>3} of {} s · {} ok, {} failed, {} unknown, {} watch records · {}",
            elapsed.as_secs(),
            length.as_secs(),
            count(&counters.ok),
            count(&counters.failed),
            count(&counters.unknown),
            count(&counters.events),
            if faults.is_empty() { "no fault".to_owned() } else { faults.join("; ") }
        )
    }
}
