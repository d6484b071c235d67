//! What goes wrong, and when: a list that the seed makes, that can be printed, and of which a part can be kept.

use std::fmt;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::trace::{Place, name};

/// Faults strike in this part of a run.
pub const FIRST_MS: u64 = 2_500;
pub const LAST_MS: u64 = 11_000;
/// And last for so long.
const LENGTH_MS: std::ops::Range<u64> = 200..3_000;
/// How much slower or faster a clock may run, in millionths. Hardly faster: that would rightly end leases early.
const SLOWER_PPM: i64 = -50_000;
const FASTER_PPM: i64 = 200;
const FAULTS: std::ops::RangeInclusive<usize> = 2..=9;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    pub at_ms: u64,
    pub for_ms: u64,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Member(Place),
    /// Whoever leads when the fault strikes.
    Leader,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed.
    Kill(Target),
    PowerCut(Target),
    /// All machines at once.
    PowerCutAll,
    /// The process stands still.
    Pause(Target),
    /// Cut off from all others, and from clients too if so.
    Isolate {
        target: Target,
        from_clients: bool,
    },
    /// Nothing goes out of it; what is sent to it arrives.
    Mute(Target),
    /// Nothing comes to it.
    Deaf(Target),
    /// Two members do not hear one another; both hear the rest.
    CutLink(Place, Place),
    Loss {
        percent: u32,
    },
    Delay {
        up_to_ms: u64,
    },
    Duplicates {
        percent: u32,
    },
    SlowDisk(Target),
    /// Syncs do not return.
    HangingDisk(Target),
    FailingSync(Target),
    FullDisk(Target),
    Drift {
        target: Target,
        ppm: i64,
    },
    WallJump {
        target: Target,
        seconds: i64,
    },
    /// Leadership is handed to this member.
    MoveLeader(Place),
    /// It is removed, its disk is wiped, and it joins again as a new member.
    Replace(Place),
}

/// The faults of a run.
pub fn generate(seed: u64, members: usize) -> Vec<Timed> {
    let mut random = SmallRng::seed_from_u64(seed ^ 0x5eed_fa17);
    let count = random.random_range(FAULTS);
    let mut schedule: Vec<Timed> = (0..count)
        .map(|_| Timed {
            at_ms: random.random_range(FIRST_MS..LAST_MS),
            for_ms: random.random_range(LENGTH_MS),
            fault: fault(&mut random, members),
        })
        .collect();
    schedule.sort_by_key(|timed| timed.at_ms);
    schedule
}

fn fault(random: &mut SmallRng, members: usize) -> Fault {
    let place = random.random_range(0..members);
    let other = (place + random.random_range(1..members)) % members;
    let target = if random.random_bool(0.4) { Target::Leader } else { Target::Member(place) };
    match random.random_range(0..22) {
        0 | 1 => Fault::Kill(target),
        2..=4 => Fault::PowerCut(target),
        5 => Fault::PowerCutAll,
        6 => Fault::Pause(target),
        7 | 8 => Fault::Isolate { target, from_clients: random.random_bool(0.3) },
        9 => Fault::Mute(target),
        10 => Fault::Deaf(target),
        11 => Fault::CutLink(place, other),
        12 => Fault::Loss { percent: random.random_range(1..20) },
        13 => Fault::Delay { up_to_ms: random.random_range(10..250) },
        14 => Fault::Duplicates { percent: random.random_range(5..50) },
        // Told from a slow one without another choice: the schedules of older seeds stay what they were.
        15 if other == 0 => Fault::HangingDisk(target),
        15 => Fault::SlowDisk(target),
        16 => Fault::FailingSync(target),
        17 => Fault::FullDisk(target),
        18 => Fault::Drift { target, ppm: random.random_range(SLOWER_PPM..FASTER_PPM) },
        19 => Fault::WallJump { target, seconds: random.random_range(-7200..7200) },
        20 => Fault::MoveLeader(place),
        _ => Fault::Replace(place),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Member(place) => f.write_str(&name(*place)),
            Target::Leader => f.write_str("the leader"),
        }
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at_ms, for_ms) = (self.at_ms, self.for_ms);
        write!(f, "{:>2}.{:03} s, {for_ms} ms: {}", at_ms / 1000, at_ms % 1000, self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(target) => write!(f, "kill {target}"),
            Fault::PowerCut(target) => write!(f, "cut the power of {target}"),
            Fault::PowerCutAll => write!(f, "cut the power of all members"),
            Fault::Pause(target) => write!(f, "pause {target}"),
            Fault::Isolate { target, from_clients: true } => {
                write!(f, "cut {target} off from members and clients")
            }
            Fault::Isolate { target, from_clients: false } => write!(f, "cut {target} off from members"),
            Fault::Mute(target) => write!(f, "nothing gets out of {target}"),
            Fault::Deaf(target) => write!(f, "nothing gets to {target}"),
            Fault::CutLink(one, two) => write!(f, "cut the link between {} and {}", name(*one), name(*two)),
            Fault::Loss { percent } => write!(f, "{percent} % of calls break"),
            Fault::Delay { up_to_ms } => write!(f, "packets take up to {up_to_ms} ms"),
            Fault::Duplicates { percent } => write!(f, "{percent} % of lone messages arrive twice"),
            Fault::HangingDisk(target) => write!(f, "the disk of {target} hangs"),
            Fault::SlowDisk(target) => write!(f, "the disk of {target} is slow"),
            Fault::FailingSync(target) => write!(f, "the next sync of {target} fails"),
            Fault::FullDisk(target) => write!(f, "the disk of {target} is full"),
            Fault::Drift { target, ppm } => write!(f, "the clock of {target} drifts by {ppm} ppm"),
            Fault::WallJump { target, seconds } => {
                write!(f, "the wall clock of {target} jumps by {seconds} s")
            }
            Fault::MoveLeader(place) => write!(f, "leadership goes to {}", name(*place)),
            Fault::Replace(place) => write!(f, "{} is removed and joins anew", name(*place)),
        }
    }
}
