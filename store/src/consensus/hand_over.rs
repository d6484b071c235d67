//! A leader whose disk hangs gives leadership away.
//!
//! Raft here does not wait for the leader's own disk: heartbeats go on, and what a majority of the others has on disk is
//! committed. But the queue of writes grows ([`crate::limits::LOG_WRITER_QUEUE`]), until raft waits as well and the others
//! hear nothing more. etcd's leader falls silent at once, and another is elected after an election timeout; ours asks for
//! that election as soon as one write has taken as long, and clients hardly notice.
//!
//! The heir is a voter that answers and has more of the log on its disk than this member, so that its disk does not hang too.
//! Without one this member goes on to lead: an election would change nothing.
//! Safety does not depend on any of this: it is an election like every other one. *Not* promised: that the heir wins it. But
//! raft takes no more commands in this term and sends no more heartbeats, so that somebody will.

use std::time::Duration;

use tokio::time::Instant;

use super::raft::{Raft, peer_views};
use super::write_clock::WriteClock;

/// Looks at the disk while this member leads.
pub struct HandOver {
    raft: Raft,
    writing: WriteClock,
    election_timeout: Duration,
    asked: Option<Asked>,
}

/// An heir was asked to stand for election.
#[derive(Clone, Copy)]
struct Asked {
    /// That this member led in.
    term: u64,
    at: Instant,
}

impl HandOver {
    pub fn new(raft: Raft, writing: WriteClock, election_timeout: Duration) -> Self {
        HandOver { raft, writing, election_timeout, asked: None }
    }

    /// True if the leadership of `term` is given away, for ever. To be called again and again meanwhile: what is asked for may get lost.
    pub async fn look(&mut self, term: u64) -> bool {
        let asked = self.asked.filter(|asked| asked.term == term);
        let may_ask = asked.is_none_or(|asked| asked.at.elapsed() > self.election_timeout);
        if may_ask
            && let Some(waiting) = self.hang()
            && let Some(heir) = self.heir()
        {
            let to = format!("{heir:x}");
            tracing::warn!(
                term,
                ?waiting,
                to,
                "the disk of the raft log hangs: another member is asked to lead"
            );
            // Fails only when raft has stopped, which the caller hears by itself.
            drop(self.raft.trigger().transfer_leader(heir).await);
            self.asked = Some(Asked { term, at: Instant::now() });
            return true;
        }
        asked.is_some()
    }

    fn hang(&self) -> Option<Duration> {
        self.writing.elapsed().filter(|waiting| *waiting > self.election_timeout)
    }

    fn heir(&self) -> Option<u64> {
        let peers = peer_views(&self.raft, self.election_timeout);
        let own_id = *self.raft.node_id();
        let on_own_disk = peers.get(&own_id).map_or(0, |own| own.matched_index);
        let fit = self.raft.voter_ids().filter_map(|id| {
            let view = peers.get(&id)?;
            (id != own_id && view.is_heard && view.matched_index > on_own_disk)
                .then_some((view.matched_index, id))
        });
        fit.max().map(|(_, id)| id)
    }
}
