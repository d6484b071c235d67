//! Places where a test ends the process, as a power failure of the process would: at once, without cleaning up.
//!
//! `BALSA_FAILPOINT=<name>` or `<name>=<n>` (the n-th time, from 1) in the environment of a process arms one of them.
//! Release builds have none. A pass through a point that is not armed costs one load.

#[cfg(failpoints)]
use std::sync::LazyLock;
#[cfg(failpoints)]
use std::sync::atomic::{AtomicU64, Ordering};

/// The steps of a write, and of what happens behind its back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Entries are about to be written to the raft log.
    LogBeforeSync,
    /// Entries are on disk; raft does not know yet.
    LogAfterSync,
    /// Committed entries are about to be written to the state.
    ApplyBeforeWrite,
    /// They are in the state; nobody was told.
    ApplyAfterWrite,
    /// The state is about to be synced, so that the log may be purged.
    StateBeforeSync,
    /// The state is synced; the log is whole.
    StateAfterSync,
    /// The log was purged.
    LogAfterPurge,
    /// A compaction is scheduled and acknowledged; nothing is removed.
    CompactionBeforeFirstStep,
    /// Some of the superseded versions are gone.
    CompactionAfterStep,
    /// All are gone, and that is written down.
    CompactionAfterLastStep,
    /// A defragmentation has written out what was in memory, and no table is rewritten.
    DefragmentAfterFlush,
    /// The tables of one column family are rewritten, others are not.
    DefragmentAfterColumn,
    /// A checkpoint for a follower is on disk, and not sent.
    CheckpointAfterMake,
    /// A snapshot has arrived whole, and nothing was done with it.
    InstallBeforeMove,
    /// Its files stand where the state lives; the old state is in force.
    InstallBeforePointer,
    /// The new state is in force; raft does not know yet.
    InstallAfterPointer,
}

impl Point {
    pub const ALL: [Point; 16] = [
        Point::LogBeforeSync,
        Point::LogAfterSync,
        Point::ApplyBeforeWrite,
        Point::ApplyAfterWrite,
        Point::StateBeforeSync,
        Point::StateAfterSync,
        Point::LogAfterPurge,
        Point::CompactionBeforeFirstStep,
        Point::CompactionAfterStep,
        Point::CompactionAfterLastStep,
        Point::DefragmentAfterFlush,
        Point::DefragmentAfterColumn,
        Point::CheckpointAfterMake,
        Point::InstallBeforeMove,
        Point::InstallBeforePointer,
        Point::InstallAfterPointer,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Point::LogBeforeSync => "log-before-sync",
            Point::LogAfterSync => "log-after-sync",
            Point::ApplyBeforeWrite => "apply-before-write",
            Point::ApplyAfterWrite => "apply-after-write",
            Point::StateBeforeSync => "state-before-sync",
            Point::StateAfterSync => "state-after-sync",
            Point::LogAfterPurge => "log-after-purge",
            Point::CompactionBeforeFirstStep => "compaction-before-first-step",
            Point::CompactionAfterStep => "compaction-after-step",
            Point::CompactionAfterLastStep => "compaction-after-last-step",
            Point::DefragmentAfterFlush => "defragment-after-flush",
            Point::DefragmentAfterColumn => "defragment-after-column",
            Point::CheckpointAfterMake => "checkpoint-after-make",
            Point::InstallBeforeMove => "install-before-move",
            Point::InstallBeforePointer => "install-before-pointer",
            Point::InstallAfterPointer => "install-after-pointer",
        }
    }
}

/// The environment of the process says where it ends.
pub const VARIABLE: &str = "BALSA_FAILPOINT";

/// Ends the process if `point` is armed and this is the pass that counts.
#[cfg(failpoints)]
pub fn pass(point: Point) {
    static ARMED: LazyLock<Option<(Point, u64)>> =
        LazyLock::new(|| std::env::var(VARIABLE).ok().map(|text| parse(&text)));
    static PASSES: AtomicU64 = AtomicU64::new(0);
    if let Some((armed, number)) = *ARMED
        && armed == point
        && PASSES.fetch_add(1, Ordering::Relaxed) + 1 == number
    {
        eprintln!("{VARIABLE}: the process ends at {}", point.name());
        std::process::abort();
    }
}

#[cfg(not(failpoints))]
#[inline]
pub fn pass(_: Point) {}

/// A name that no point has is a mistake in a test, which would else pass without testing anything.
#[cfg(failpoints)]
fn parse(text: &str) -> (Point, u64) {
    let (name, number) = text.split_once('=').unwrap_or((text, "1"));
    let point = Point::ALL.into_iter().find(|point| point.name() == name);
    match (point, number.parse()) {
        (Some(point), Ok(number)) => (point, number),
        _ => panic!("{VARIABLE}={text} names no point of store/src/failpoint.rs"),
    }
}
