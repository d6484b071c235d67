//! Bugs made on purpose, at the seams: what the store never did, its surroundings pretend that it had done.
//!
//! Each proves that the property of its row is looked at in earnest. The store itself has no switch for any of them.

use bytes::Bytes;
use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};

use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::{
    HashKvResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, PutRequest, RangeRequest, RangeResponse,
    TxnRequest, WatchRequest, WatchResponse,
};
use balsa_proto::etcd::v3lockpb::LockRequest;
use balsa_proto::store::{AppendRequest, RaftVote, VoteRequest, VoteResponse};

use super::grpc;
use crate::workloads::{append, lock};

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
    /// A keep-alive is answered by one who does not lead, and the leader does not hear of it
    LeaseForgotten,
    /// A revision goes back
    RevisionBack,
    /// Two clients are given one lock
    LockTwice,
    /// What a lock guards is written without a look at the token
    FenceOpen,
    /// A transaction takes place although what it compares has changed
    LostUpdate,
    /// A watch that is resumed goes back in time
    ResumedEarly,
    /// A leader says that an entry follows another one than it does
    EntryMisplaced,
    /// A write is acknowledged and goes to another key
    WriteLost,
    /// A member tells another hash than that of what it holds
    HashWrong,
}

/// What is remembered of one call.
#[derive(Default)]
pub struct Tampering {
    /// The vote that was asked for.
    asked: Option<RaftVote>,
    /// The lease that was to be kept alive.
    lease: i64,
}

/// How far revisions go back.
const STEPS_BACK: i64 = 5;
/// No client's.
const NO_LEASE: i64 = i64::MAX;
const FORGED_TTL_SECONDS: i64 = 2;

impl Sabotage {
    /// The properties that must notice it, each of them. Together they are all that the simulator judges.
    pub fn caught_by(self) -> &'static [&'static str] {
        match self {
            Sabotage::AckBeforeFsync => &["survives"],
            Sabotage::WriteLost => &["no_write_lost"],
            Sabotage::EntryMisplaced => &["log_matching"],
            Sabotage::HashWrong => &["members_agree"],
            Sabotage::StaleRead => &["linearizable", "serial_by_revision"],
            Sabotage::SplitBatch => &["state_machine_safety"],
            Sabotage::DoubleVote => &["election_safety"],
            Sabotage::EventLost => &["watch_reliable"],
            Sabotage::EventTwice => &["watch_unique"],
            Sabotage::EventOrder => &["watch_ordered"],
            Sabotage::EventUnfiltered => &["watch_filter"],
            Sabotage::EventSplit => &["watch_atomic"],
            Sabotage::ProgressEarly => &["watch_bookmarkable"],
            Sabotage::PrevKvWrong => &["watch_prev_kv"],
            Sabotage::ResumedEarly => &["watch_resumable"],
            Sabotage::LeaseEarly | Sabotage::LeaseForgotten => &["lease_never_early"],
            Sabotage::RevisionBack => &["revisions_monotone"],
            Sabotage::LockTwice => &["lock_exclusive"],
            Sabotage::FenceOpen => &["lock_fenced"],
            Sabotage::LostUpdate => &["append_lists"],
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
            (Sabotage::LeaseForgotten, "/etcdserverpb.Lease/LeaseKeepAlive", true) => {
                grpc::rewrite(data, |asked: LeaseKeepAliveRequest| {
                    call.lease = asked.id;
                    vec![LeaseKeepAliveRequest { id: NO_LEASE }]
                })
            }
            (Sabotage::LeaseForgotten, "/etcdserverpb.Lease/LeaseKeepAlive", false) => {
                grpc::rewrite(data, |answer: LeaseKeepAliveResponse| {
                    vec![LeaseKeepAliveResponse { id: call.lease, ttl: FORGED_TTL_SECONDS, ..answer }]
                })
            }
            (Sabotage::WriteLost, "/etcdserverpb.KV/Put", true) if random.random_bool(0.05) => {
                grpc::rewrite(data, |put: PutRequest| {
                    vec![PutRequest { key: Bytes::from_static(b"another/key"), ..put }]
                })
            }
            (Sabotage::HashWrong, "/etcdserverpb.Maintenance/HashKV", false) => {
                grpc::rewrite(data, |hash: HashKvResponse| {
                    vec![HashKvResponse { hash: random.next_u32(), ..hash }]
                })
            }
            (Sabotage::EntryMisplaced, "/balsa.store.v1.Peer/StreamAppend", true)
                if random.random_bool(0.02) =>
            {
                grpc::rewrite(data, |append: AppendRequest| vec![misplaced(append)])
            }
            (Sabotage::LockTwice, "/v3lockpb.Lock/Lock", true) => grpc::rewrite(data, |lock: LockRequest| {
                let name = [&lock.name[..], b"/", random.next_u32().to_string().as_bytes()].concat();
                vec![LockRequest { name: name.into(), ..lock }]
            }),
            (Sabotage::FenceOpen, "/etcdserverpb.KV/Txn", true) => unguarded(data, lock::PREFIX),
            (Sabotage::LostUpdate, "/etcdserverpb.KV/Txn", true) => unguarded(data, append::PREFIX),
            (Sabotage::ResumedEarly, "/etcdserverpb.Watch/Watch", true) => {
                grpc::rewrite(data, |request: WatchRequest| vec![earlier_start(request)])
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

/// Transactions without what they compare of keys with this prefix.
fn unguarded(data: &Bytes, prefix: &str) -> Bytes {
    grpc::rewrite(data, |mut txn: TxnRequest| {
        txn.compare.retain(|compare| !compare.key.starts_with(prefix.as_bytes()));
        vec![txn]
    })
}

fn misplaced(mut append: AppendRequest) -> AppendRequest {
    if let Some(prev) = &mut append.prev {
        prev.term += 1;
    }
    append
}

/// A watch from now on stays one.
fn earlier_start(mut request: WatchRequest) -> WatchRequest {
    if let Some(RequestUnion::CreateRequest(create)) = &mut request.request_union {
        create.start_revision -= create.start_revision.min(STEPS_BACK);
    }
    request
}

fn earlier(mut range: RangeResponse) -> RangeResponse {
    if let Some(header) = &mut range.header {
        header.revision -= STEPS_BACK;
    }
    range
}
