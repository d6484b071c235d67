//! One simulated machine: a paused runtime whose clock the world moves on, a wall clock, and chance from the seed.
//!
//! The clock of a machine may run fast or slow, its wall clock may jump, and the whole of it may stand still for a while;
//! when it goes on, its clock has gone on as well, as that of a process does that was stopped.

use std::rc::Rc;
use std::time::Duration;

use balsa_store::host::Simulated;
use tokio::runtime::{Handle, Runtime};

/// Makes a runtime of one thread whose clock is paused. It comes from outside, since only tests are built with it.
pub type MakeRuntime = fn() -> Runtime;

/// Where all wall clocks begin: the year 2026.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
const MILLION: i64 = 1_000_000;

pub struct Machine {
    /// `None` once it is switched off.
    runtime: Option<Runtime>,
    simulated: Rc<Simulated>,
    /// What its clock shows, and how much of that it has lived through.
    local_us: i64,
    lived_ms: i64,
    /// When it last had its turn, by the world's clock.
    turn_ms: u64,
}

/// How the clocks of a machine go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// How much faster than the world, in millionths.
    pub drift_ppm: i64,
    pub wall_offset_seconds: i64,
    pub stands_still: bool,
}

impl Machine {
    pub fn new(make: MakeRuntime, seed: u64) -> Machine {
        Machine {
            runtime: Some(make()),
            simulated: Simulated::new(seed),
            local_us: 0,
            lived_ms: 0,
            turn_ms: 0,
        }
    }

    pub fn handle(&self) -> Handle {
        self.runtime.as_ref().expect("only its drop takes the runtime").handle().clone()
    }

    /// When it last had its turn; a new machine had none.
    pub fn turn_ms(&self) -> u64 {
        self.turn_ms
    }

    /// The world has moved on by `step_ms`.
    pub fn pass(&mut self, step_ms: u64, clock: Clock) {
        let step_us = i64::try_from(step_ms).expect("steps are short") * 1000;
        self.local_us += step_us + step_us * clock.drift_ppm / MILLION;
    }

    /// Lives through what has passed until `now_ms`.
    pub fn live(&mut self, now_ms: u64, clock: Clock) {
        self.turn_ms = now_ms;
        let live_ms = self.local_us / 1000 - self.lived_ms;
        if clock.stands_still || live_ms <= 0 {
            return;
        }
        self.lived_ms += live_ms;
        let wall = EPOCH + Duration::from_millis(now_ms);
        let offset = Duration::from_secs(clock.wall_offset_seconds.unsigned_abs());
        self.simulated.set_wall_clock(if clock.wall_offset_seconds < 0 {
            wall - offset
        } else {
            wall + offset
        });
        let _playing = self.simulated.play();
        let runtime = self.runtime.as_ref().expect("only its drop takes the runtime");
        let time = Duration::from_millis(live_ms.unsigned_abs());
        runtime.block_on(async { tokio::time::sleep(time).await });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What runs there ends in the middle of what it does, and still on this machine.
        let _playing = self.simulated.play();
        drop(self.runtime.take());
    }
}
