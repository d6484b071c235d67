//! `--auto-compaction-mode` and `--auto-compaction-retention`: the leader compacts by itself.
//!
//! | mode | keeps | looks |
//! |---|---|---|
//! | `periodic` | the changes of the last so many hours (or a duration) | ten times per period or per hour, whichever is shorter |
//! | `revision` | the last so many revisions | every five minutes |
//!
//! In periodic mode the revision of every look is noted; once the notes reach back a whole period, the oldest is compacted,
//! and then every period, or every hour if periods are longer. A member that does not lead takes notes and compacts
//! nothing. Source: etcd v3.6 `server/etcdserver/api/v3compactor`.

use std::collections::VecDeque;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::CompactionRequest;
use balsa_proto::store::command::Op;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::Caller;
use crate::error::Error;
use crate::limits::{AUTO_COMPACTION_LOOKS_PER_PERIOD, AUTO_COMPACTION_REVISION_INTERVAL};
use crate::status::Identity;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    Periodic(Duration),
    Revisions(i64),
}

/// What to compact and when, without doing it.
#[derive(Debug)]
pub enum Plan {
    Periodic(Periodic),
    Revisions { keep: i64, last: i64 },
}

#[derive(Debug)]
pub struct Periodic {
    period: Duration,
    /// One revision per look, the oldest first.
    noted: VecDeque<i64>,
    /// The next compaction comes no earlier.
    due: Instant,
    last: i64,
}

impl Plan {
    pub fn new(retention: Retention, now: Instant) -> Plan {
        match retention {
            Retention::Revisions(keep) => Plan::Revisions { keep, last: 0 },
            Retention::Periodic(period) => {
                Plan::Periodic(Periodic { period, noted: VecDeque::new(), due: now + period, last: 0 })
            }
        }
    }

    /// Time between two looks.
    pub fn interval(&self) -> Duration {
        match self {
            Plan::Revisions { .. } => AUTO_COMPACTION_REVISION_INTERVAL,
            Plan::Periodic(periodic) => periodic.interval(),
        }
    }

    /// One look at `revision`, the store's own; the revision to compact now.
    pub fn look(&mut self, now: Instant, revision: i64) -> Option<i64> {
        match self {
            Plan::Revisions { keep, last } => {
                Some(revision - *keep).filter(|target| *target > 0 && target != last)
            }
            Plan::Periodic(periodic) => periodic.look(now, revision),
        }
    }

    /// `revision` is compacted, by us or by somebody else.
    pub fn done(&mut self, now: Instant, revision: i64) {
        match self {
            Plan::Revisions { last, .. } => *last = revision,
            Plan::Periodic(periodic) => {
                periodic.last = revision;
                periodic.due = now + periodic.period.min(HOUR);
            }
        }
    }
}

impl Periodic {
    fn interval(&self) -> Duration {
        self.period.min(HOUR) / AUTO_COMPACTION_LOOKS_PER_PERIOD
    }

    fn look(&mut self, now: Instant, revision: i64) -> Option<i64> {
        let oldest = self.noted.front().copied();
        self.noted.push_back(revision);
        let kept = (self.period.as_nanos() / self.interval().as_nanos().max(1)) as usize + 1;
        while self.noted.len() > kept {
            self.noted.pop_front();
        }
        oldest.filter(|oldest| now >= self.due && *oldest != self.last)
    }
}

/// Looks and compacts until `shutdown`.
pub async fn run(identity: Identity, retention: Retention, shutdown: CancellationToken) {
    let mut plan = Plan::new(retention, Instant::now());
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(plan.interval()) => {}
        }
        let target = plan.look(Instant::now(), identity.mvcc.revision());
        let Some(revision) = target.filter(|_| identity.consensus.leadership().is_leader) else { continue };
        let compact = Op::Compaction(CompactionRequest { revision, physical: false });
        match identity.consensus.propose(Caller::Server, compact).await {
            Ok(_) | Err(Error::Compacted) => {
                tracing::info!(revision, "finished auto compaction");
                plan.done(Instant::now(), revision);
            }
            Err(error) => {
                tracing::warn!(revision, %error, "auto compaction failed, the next look tries again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Looks of a whole plan at revisions 1, 2, 3, …; which look compacted what.
    fn compactions(retention: Retention, looks: i64) -> Vec<(i64, i64)> {
        let mut now = Instant::now();
        let mut plan = Plan::new(retention, now);
        let mut done = Vec::new();
        for revision in 1..=looks {
            now += plan.interval();
            if let Some(target) = plan.look(now, revision) {
                done.push((revision, target));
                plan.done(now, target);
            }
        }
        done
    }

    #[test]
    fn a_short_period_compacts_once_per_period_what_is_a_period_old() {
        assert_eq!(compactions(Retention::Periodic(10 * MINUTE), 31), [(10, 1), (20, 9), (30, 19)]);
    }

    #[test]
    fn a_long_period_compacts_every_hour() {
        let compactions = compactions(Retention::Periodic(3 * HOUR), 51);
        assert_eq!(compactions, [(30, 1), (40, 9), (50, 19)]);
    }

    #[test]
    fn revisions_are_counted_back_from_the_newest() {
        assert_eq!(compactions(Retention::Revisions(3), 6), [(4, 1), (5, 2), (6, 3)]);
    }
}
