//! Faults on time: the schedule, step by step, at whatever a scenario runs on.
//!
//! Every fault that began is recorded once, when it ends; one that found nobody to strike is recorded as left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Plan;
use super::finish::incident;
use super::run::{INTERRUPTED, Options};
use super::schedule::{Step, schedule};
use crate::faults::{self, Arena, Fault};
use crate::history::{FaultRecord, Record, Recorder};

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(20);
const LINE_EVERY: Duration = Duration::from_secs(1);

/// A fault that has begun.
struct Active {
    fault: Fault,
    /// To undo it by.
    struck: u64,
    /// Of the schedule.
    number: usize,
    record: FaultRecord,
}

pub struct Strikes {
    recorder: Recorder,
    random: StdRng,
    active: Vec<Active>,
}

impl Strikes {
    /// The same seed gives the same schedule and, as far as the clusters do alike, the same victims.
    pub fn new(recorder: Recorder, seed: u64) -> Self {
        Self { recorder, random: StdRng::seed_from_u64(seed), active: Vec::new() }
    }

    /// The whole schedule of `length`, or up to an interruption. `look` is called at every tick.
    pub fn run<A: Arena>(
        &mut self,
        arena: &mut A,
        plans: &[Plan],
        length: Duration,
        options: &Options,
        mut look: impl FnMut(&A),
    ) -> Result<()> {
        let mut steps = schedule(plans, length, &mut self.random).into_iter().peekable();
        let started = Instant::now();
        let mut next_line = LINE_EVERY;
        while started.elapsed() < length && !INTERRUPTED.load(Ordering::Relaxed) {
            while let Some(step) = steps.next_if(|step| step.at <= started.elapsed()) {
                self.step(arena, plans, step)?;
            }
            self.notice_deaths(arena);
            look(arena);
            if started.elapsed() >= next_line {
                (options.progress)(&self.line(started.elapsed(), length));
                next_line += LINE_EVERY;
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Ends what still goes on.
    pub fn heal(&mut self, arena: &mut dyn Arena) -> Result<()> {
        let mut result = Ok(());
        for number in self.active.iter().map(|active| active.number).collect::<Vec<_>>() {
            result = result.and(self.end(arena, number));
        }
        // One that failed halfway is no active fault.
        result.and(faults::heal(arena))
    }

    fn step(&mut self, arena: &mut dyn Arena, plans: &[Plan], step: Step) -> Result<()> {
        if !step.begins {
            return self.end(arena, step.fault);
        }
        let verb = &plans[step.plan].verb;
        let now = self.recorder.now_us();
        let mut record = FaultRecord {
            verb: verb.name().to_owned(),
            what: String::new(),
            members: Vec::new(),
            from_us: now,
            until_us: now,
        };
        match verb.aim(arena, &mut self.random) {
            Ok(fault) => {
                record.what = fault.what(arena);
                record.members = fault.victims(arena);
                let struck = faults::strike(arena, fault.clone()).with_context(|| record.what.clone())?;
                self.active.push(Active { fault, struck, number: step.fault, record });
            }
            // Faults overlap, so that there may be nobody left to strike; the report says so.
            Err(error) => {
                record.what = format!("{} left out: {error:#}", verb.name());
                self.recorder.record_blocking(Record::Fault(record));
            }
        }
        Ok(())
    }

    /// Nothing to do for a fault that never began.
    fn end(&mut self, arena: &mut dyn Arena, number: usize) -> Result<()> {
        // The end of a part belongs to the fault that it ended of, and only what is known to have ended is started again.
        self.notice_deaths(arena);
        let Some(position) = self.active.iter().position(|active| active.number == number) else {
            return Ok(());
        };
        let mut active = self.active.remove(position);
        faults::undo(arena, active.struck).with_context(|| format!("undo: {}", active.record.what))?;
        active.record.until_us = self.recorder.now_us();
        self.recorder.record_blocking(Record::Fault(active.record));
        Ok(())
    }

    /// A part that ends itself is an incident, unless a fault gave it good reason to.
    fn notice_deaths(&mut self, arena: &mut dyn Arena) {
        for (part, text) in arena.deaths() {
            match self.active.iter_mut().find(|active| active.fault.may_end(part)) {
                Some(active) => active.record.what.push_str("; it ended itself"),
                None => incident(&self.recorder, arena, part, text),
            }
        }
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
