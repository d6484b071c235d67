//! What passes by on the wires between members, held against what Raft promises.
//!
//! *Election safety* (Raft §5.2, for votes ordered by term and candidate as openraft orders them): the votes that a
//! member grants only grow, also across restarts, so that no two majorities ever stand behind two leaders that do not
//! know of one another. *Log matching* (Raft §5.3): two entries with one log id are the same entry, and follow the same entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use balsa_proto::store as pb;
use balsa_store::consensus::codec;
use bytes::Bytes;
use http_body::Frame;
use parking_lot::Mutex;

use super::grpc;
use super::trace::{Place, name};

/// (term, candidate).
type Ballot = (u64, u64);
/// (term, leader, index).
type Id = (u64, u64, u64);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Observer(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    granted: BTreeMap<Place, Ballot>,
    /// What stands before each entry, and a digest of it.
    entries: BTreeMap<Id, (Option<Id>, u32)>,
    leaders: BTreeMap<Ballot, Place>,
    violations: Vec<(&'static str, String)>,
    looked_at: usize,
}

impl Observer {
    /// Name of the property, and what was seen.
    pub fn violations(&self) -> Vec<(&'static str, String)> {
        self.0.lock().violations.clone()
    }

    pub fn looked_at(&self) -> usize {
        self.0.lock().looked_at
    }

    /// A frame is sent: by `caller` if it goes to the server, and otherwise by `server`.
    pub fn see(&self, caller: Place, server: Place, path: &str, to_server: bool, frame: &Frame<Bytes>) {
        let Some(method) = path.strip_prefix("/balsa.store.v1.Peer/") else { return };
        let Some(data) = frame.data_ref() else { return };
        match (method, to_server) {
            ("Vote", false) => {
                grpc::messages::<pb::VoteResponse>(data).for_each(|vote| self.vote(server, vote))
            }
            ("Append" | "StreamAppend", true) => {
                grpc::messages::<pb::AppendRequest>(data).for_each(|append| self.append(caller, append));
            }
            _ => {}
        }
    }

    /// A member that came back with an empty disk has granted nothing.
    pub fn forget(&self, place: Place) {
        self.0.lock().granted.remove(&place);
    }

    fn vote(&self, voter: Place, response: pb::VoteResponse) {
        let Some(vote) = response.vote.filter(|_| response.granted) else { return };
        let mut seen = self.0.lock();
        seen.looked_at += 1;
        let ballot = (vote.term, vote.candidate);
        let before = seen.granted.insert(voter, ballot);
        if before.is_some_and(|before| before > ballot) {
            let text = format!(
                "{} granted its vote to {} after it had granted it to {}",
                name(voter),
                describe(ballot),
                describe(before.unwrap_or_default())
            );
            seen.violations.push(("election_safety", text));
        }
    }

    fn append(&self, leader: Place, append: pb::AppendRequest) {
        let mut seen = self.0.lock();
        if let Some(vote) = append.vote.filter(|vote| vote.committed) {
            let ballot = (vote.term, vote.candidate);
            let known = *seen.leaders.entry(ballot).or_insert(leader);
            if known != leader {
                let text = format!("{} and {} both lead as {}", name(known), name(leader), describe(ballot));
                seen.violations.push(("election_safety", text));
            }
        }
        let mut before = append.prev.map(|prev| (prev.term, prev.leader, prev.index));
        for bytes in append.entries {
            let Ok(entry) = codec::decode_entry(&bytes) else { return };
            seen.looked_at += 1;
            let leader_id = &entry.log_id.leader_id;
            let id = (leader_id.term, leader_id.node_id, entry.log_id.index);
            let digest = crc32(&bytes);
            let known = *seen.entries.entry(id).or_insert((before, digest));
            if known.1 != digest || (known.0 != before && known.0.is_some() && before.is_some()) {
                let text = format!(
                    "entry {id:?} from {} has digest {digest:08x} behind {before:?}, and was seen as {:08x} behind {:?}",
                    name(leader),
                    known.1,
                    known.0
                );
                seen.violations.push(("log_matching", text));
            }
            before = Some(id);
        }
    }
}

fn describe(ballot: Ballot) -> String {
    format!("candidate {:x} of term {}", ballot.1, ballot.0)
}

/// Any digest that is the same in every process.
fn crc32(bytes: &[u8]) -> u32 {
    use std::hash::Hasher;
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish() as u32
}
