//! What passes by on the wires between members: votes, leaders and log entries, as [`Sighting`]s.

use balsa_proto::store as pb;
use balsa_store::consensus::codec;
use bytes::Bytes;
use http_body::Frame;

use super::grpc;
use super::sightings::{Sighting, Sightings};
use super::trace::Place;

/// Cheap to clone.
#[derive(Clone)]
pub struct Observer(Sightings);

impl Observer {
    pub fn new(sightings: Sightings) -> Observer {
        Observer(sightings)
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

    fn vote(&self, voter: Place, response: pb::VoteResponse) {
        if let Some(vote) = response.vote.filter(|_| response.granted) {
            self.0.see(Sighting::Granted { voter, ballot: (vote.term, vote.candidate) });
        }
    }

    fn append(&self, leader: Place, append: pb::AppendRequest) {
        if let Some(vote) = append.vote.filter(|vote| vote.committed) {
            self.0.see(Sighting::Leads { place: leader, ballot: (vote.term, vote.candidate) });
        }
        let mut before = append.prev.map(|prev| (prev.term, prev.leader, prev.index));
        for bytes in append.entries {
            let Ok(entry) = codec::decode_entry(&bytes) else { return };
            let leader_id = &entry.log_id.leader_id;
            let id = (leader_id.term, leader_id.node_id, entry.log_id.index);
            self.0.see(Sighting::Entry { leader, id, before, digest: digest(&bytes) });
            before = Some(id);
        }
    }
}

/// Any digest that is the same in every process.
fn digest(bytes: &[u8]) -> u32 {
    use std::hash::Hasher;
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish() as u32
}
