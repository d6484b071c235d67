//! Bugs made on purpose, at the seams: what the store never did, its surroundings pretend that it had done.
//!
//! Each proves that the property of its row is looked at in earnest. The store itself has no switch for any of them.

use bytes::Bytes;
use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::SmallRng;

use balsa_proto::etcd::etcdserverpb::{RangeRequest, RangeResponse, WatchResponse};
use balsa_proto::store::{RaftVote, VoteRequest, VoteResponse};

use super::grpc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// The disk says that it has synced, and has not
    AckBeforeFsync,
    /// Linearizable reads are answered from what the member happens to have
    StaleRead,
    /// The applied position reaches the disk in another batch than what was applied
    SplitBatch,
    /// Every member grants its vote to whoever asks
    DoubleVote,
    /// A watch loses a response with events
    EventLost,
    /// A watch is told something twice
    EventTwice,
    /// A watch is told in another order
    EventOrder,
    /// A watch is told of keys that it did not ask for
    EventUnfiltered,
    /// A watch is told one half of a transaction
    EventSplit,
    /// A watch is told of progress before the events that it speaks of
    ProgressEarly,
    /// The previous value of an event is another one
    PrevKvWrong,
    /// A member's clock runs twice as fast, so that leases end early
    LeaseEarly,
    /// A revision goes back
    RevisionBack,
}

/// What is remembered of one call.
#[derive(Default)]
pub struct Tampering {
    /// The vote that was asked for.
    asked: Option<RaftVote>,
}

impl Sabotage {
    /// The properties of which at least one must notice it.
    pub fn caught_by(self) -> &'static [&'static str] {
        match self {
            Sabotage::AckBeforeFsync => &[
                "no_write_lost",
                "election_safety",
                "log_matching",
                "state_machine_safety",
                "linearizable",
                "serial_by_revision",
                "survives",
                "members_agree",
            ],
            Sabotage::StaleRead => &["linearizable", "serial_by_revision"],
            Sabotage::SplitBatch => {
                &["state_machine_safety", "members_agree", "watch_reliable", "serial_by_revision"]
            }
            Sabotage::DoubleVote => &["election_safety"],
            Sabotage::EventLost => &["watch_reliable"],
            Sabotage::EventTwice => &["watch_unique", "watch_ordered"],
            Sabotage::EventOrder => &["watch_ordered"],
            Sabotage::EventUnfiltered => &["watch_filter"],
            Sabotage::EventSplit => &["watch_atomic"],
            Sabotage::ProgressEarly => &["watch_bookmarkable"],
            Sabotage::PrevKvWrong => &["watch_prev_kv"],
            Sabotage::LeaseEarly => &["lease_never_early"],
            Sabotage::RevisionBack => &["revisions_monotone"],
        }
    }

    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// What a frame of a call becomes.
    pub fn change(
        self,
        (path, to_server): (&str, bool),
        data: &Bytes,
        call: &mut Tampering,
        random: &mut SmallRng,
    ) -> Bytes {
        match (self, path, to_server) {
            (Sabotage::StaleRead, "/etcdserverpb.KV/Range", true) => {
                grpc::rewrite(data, |range: RangeRequest| vec![RangeRequest { serializable: true, ..range }])
            }
            (Sabotage::DoubleVote, "/balsa.store.v1.Peer/Vote" | "/balsa.store.v1.Peer/PreVote", true) => {
                call.asked = grpc::messages::<VoteRequest>(data).find_map(|request| request.vote);
                data.clone()
            }
            (Sabotage::DoubleVote, "/balsa.store.v1.Peer/Vote" | "/balsa.store.v1.Peer/PreVote", false) => {
                grpc::rewrite(data, |vote: VoteResponse| {
                    vec![VoteResponse { granted: true, vote: call.asked.or(vote.vote), ..vote }]
                })
            }
            (Sabotage::RevisionBack, "/etcdserverpb.KV/Range", false) if random.random_bool(0.05) => {
                grpc::rewrite(data, |range: RangeResponse| vec![earlier(range)])
            }
            (_, "/etcdserverpb.Watch/Watch", false) => {
                grpc::rewrite(data, |response: WatchResponse| self.watch(response, random))
            }
            _ => data.clone(),
        }
    }

    fn watch(self, mut response: WatchResponse, random: &mut SmallRng) -> Vec<WatchResponse> {
        if self == Sabotage::ProgressEarly && response.events.is_empty() && !response.created {
            if let Some(header) = &mut response.header {
                header.revision += 3;
            }
            return vec![response];
        }
        if response.events.is_empty() || !random.random_bool(0.1) {
            return vec![response];
        }
        match self {
            Sabotage::EventLost => return Vec::new(),
            Sabotage::EventTwice => return vec![response.clone(), response],
            Sabotage::EventOrder => response.events.reverse(),
            Sabotage::EventSplit => {
                let second = response.events.split_off(response.events.len() / 2);
                let first = WatchResponse { header: response.header, ..response.clone() };
                return vec![first, WatchResponse { events: second, ..response }];
            }
            Sabotage::EventUnfiltered => {
                for kv in response.events.iter_mut().filter_map(|event| event.kv.as_mut()) {
                    kv.key = Bytes::from_static(b"another/key");
                }
            }
            Sabotage::PrevKvWrong => {
                for kv in response.events.iter_mut().filter_map(|event| event.prev_kv.as_mut()) {
                    kv.value = Bytes::from_static(b"another value");
                }
            }
            _ => {}
        }
        vec![response]
    }
}

fn earlier(mut range: RangeResponse) -> RangeResponse {
    if let Some(header) = &mut range.header {
        header.revision -= 5;
    }
    range
}
