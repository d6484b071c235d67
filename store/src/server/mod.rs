//! The etcd v3 services, one file each, and the requests' way to them.

pub mod auth;
pub mod authority;
pub mod auto_compaction;
pub mod client_version;
pub mod cluster;
pub mod connect;
pub mod corruption;
pub mod credentials;
pub mod defragment;
pub mod dispatch;
pub mod door;
pub mod election;
pub mod gate;
pub mod guard;
pub mod hash;
pub mod health;
pub mod history;
pub mod inflate;
pub mod kv;
pub mod learner;
pub mod lease;
pub mod lease_expiry;
pub mod listen;
pub mod lock;
pub mod maintenance;
pub mod need_leader;
pub mod observe;
pub mod ports;
pub mod quota;
pub mod range_door;
pub mod range_stream;
pub mod rpc_stats;
pub mod snapshot;
pub mod tls;
pub mod turns;
pub mod watch;
pub mod wording;

use balsa_proto::etcd::etcdserverpb::auth_server::AuthServer;
use balsa_proto::etcd::etcdserverpb::cluster_server::ClusterServer;
use balsa_proto::etcd::etcdserverpb::kv_server::KvServer;
use balsa_proto::etcd::etcdserverpb::lease_server::LeaseServer;
use balsa_proto::etcd::etcdserverpb::maintenance_server::MaintenanceServer;
use balsa_proto::etcd::etcdserverpb::watch_server::WatchServer;
use balsa_proto::etcd::v3electionpb::election_server::ElectionServer;
use balsa_proto::etcd::v3lockpb::lock_server::LockServer;
use balsa_proto::health::health_server::HealthServer;
use balsa_proto::store::history_server::HistoryServer;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use self::dispatch::Dispatch;
use self::kv::KvService;
use self::range_door::{RangeDoor, WithRange};
use crate::consensus::snapshot::SnapshotRoot;
use crate::limits::GRPC_OVERHEAD_BYTES;
use crate::membership::LeaderMembers;
use crate::status::Identity;
use crate::watch::WatchHub;

/// What the services share.
#[derive(Clone)]
pub struct Shared {
    pub identity: Identity,
    pub hub: WatchHub,
    pub leases: lease::LeaderLeases,
    pub members: LeaderMembers,
    pub snapshots: SnapshotRoot,
    pub quota: quota::Quota,
    pub defragmenter: defragment::Defragmenter,
    pub gate: gate::Gate,
    pub bcrypt_cost: u32,
    pub max_request_bytes: usize,
    pub max_txn_ops: usize,
    pub election_timeout: Duration,
    pub watch_progress_interval: Duration,
    pub shutdown: CancellationToken,
}

/// All services of the client port.
pub type Services = Dispatch<WithRange<KvServer<KvService>>>;

pub fn services(shared: &Shared) -> Services {
    let recv_bytes = shared.max_request_bytes.saturating_add(GRPC_OVERHEAD_BYTES);
    // etcd sets no bound on what it sends but that of the wire.
    let send_bytes = i32::MAX as usize;
    let kv = Arc::new(KvService::new(shared));
    let ranges = RangeDoor { kv: kv.clone(), recv_bytes, send_bytes };
    let kv = KvServer::from_arc(kv);
    let watch = WatchServer::new(watch::WatchService::new(shared));
    let lease = LeaseServer::new(lease::LeaseService::new(shared));
    let cluster = ClusterServer::new(cluster::ClusterService::new(shared));
    let maintenance = MaintenanceServer::new(maintenance::MaintenanceService::new(shared));
    let history = HistoryServer::new(history::HistoryService::new(shared));
    let auth = AuthServer::new(auth::AuthService::new(shared));
    let lock = LockServer::new(lock::LockService::new(shared));
    let election = ElectionServer::new(election::ElectionService::new(shared));
    let health = HealthServer::new(health::HealthService::new(shared));
    let kv = kv.max_decoding_message_size(recv_bytes).max_encoding_message_size(send_bytes);
    let others =
        Routes::new(watch.max_decoding_message_size(recv_bytes).max_encoding_message_size(send_bytes))
            .add_service(lease.max_encoding_message_size(send_bytes))
            .add_service(cluster)
            .add_service(maintenance)
            .add_service(auth)
            .add_service(history)
            .add_service(lock)
            .add_service(election)
            .add_service(health);
    Dispatch { first: ranges.before(kv), others }
}
