//! One member of the simulated cluster: the store's own code on a simulated machine, with a disk that outlives it.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use balsa_store::Config;
use balsa_store::config::Url;
use balsa_store::consensus::ConsensusHandle;
use balsa_store::consensus::peers::Dialer;
use balsa_store::consensus::raft_thread::RaftThread;
use balsa_store::member::{Ground, Member};
use futures::FutureExt;
use http::{Request, Response};
use parking_lot::Mutex;
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::BoxCloneService;

use super::call::outgoing;
use super::disk::SimDisk;
use super::machine::{Clock, Machine, MakeRuntime};
use super::network::{Arrival, Network, Packet, Port};
use super::state::StateDisk;
use super::trace::{Place, Trace, name};

const HEARTBEAT: Duration = Duration::from_millis(50);
pub const ELECTION_TIMEOUT: Duration = Duration::from_millis(300);
/// Small, so that followers that lag need a snapshot.
const SNAPSHOT_COUNT: u64 = 60;
const CATCH_UP_ENTRIES: u64 = 20;
const PEER_PORT: u16 = 2380;

type Service = BoxCloneService<Request<Body>, Response<Body>, Infallible>;

/// What a running member shows to the world.
#[derive(Default)]
pub struct Seat {
    peers: Option<Service>,
    clients: Option<Service>,
    pub consensus: Option<ConsensusHandle>,
    /// Why it ended by itself.
    pub ended: Option<String>,
}

/// What a member is: this stays when it is restarted.
#[derive(Clone)]
pub struct Identity {
    pub config: Config,
    /// (cluster id, member id).
    pub ids: (u64, u64),
}

pub struct SimMember {
    pub place: Place,
    pub identity: Identity,
    pub disk: SimDisk,
    pub state: StateDisk,
    pub clock: Clock,
    pub machine: Option<Machine>,
    pub seat: Arc<Mutex<Seat>>,
    pub starts: u64,
    /// It was removed, and is not added again yet.
    pub is_replaced: bool,
}

impl SimMember {
    pub fn start(&mut self, make: MakeRuntime, seed: u64, network: &Network, trace: &Trace) {
        self.starts += 1;
        trace.event(self.place, || format!("starts, time {}", self.starts));
        let machine = Machine::new(make, seed.wrapping_add(self.starts));
        self.seat = Arc::default();
        let state = self.state.clone();
        let ground = Ground {
            log_disk: Arc::new(self.disk.clone()),
            dialer: dialer(network.clone(), self.place),
            open_state: Box::new(move |_| Ok(state.open())),
        };
        machine.handle().spawn(live(self.identity.clone(), ground, self.seat.clone()));
        self.machine = Some(machine);
    }

    /// The machine is gone from one moment to the next.
    pub fn stop(&mut self, network: &Network) {
        if self.machine.take().is_some() {
            network.machine_stopped(self.place);
        }
        self.seat = Arc::default();
    }

    /// A request has come. Refused when nobody listens.
    pub fn answer(&self, network: &Network, arrival: Arrival) {
        let seat = self.seat.lock();
        let service = match arrival.port {
            Port::Peer => seat.peers.clone(),
            Port::Client => seat.clients.clone(),
        };
        match (&self.machine, service) {
            (Some(machine), Some(service)) => {
                let call = arrival.call;
                let serving = machine.handle().spawn(serve(network.clone(), arrival, service));
                network.ends_with(call, serving.abort_handle());
            }
            _ => network.send(arrival.call, false, Packet::Refused),
        }
    }

    pub fn serves_clients(&self) -> bool {
        self.seat.lock().clients.is_some()
    }

    /// The term that it leads in.
    pub fn leads_in(&self) -> Option<u64> {
        let seat = self.seat.lock();
        let leadership = seat.consensus.as_ref()?.leadership();
        leadership.is_leader.then_some(leadership.term)
    }
}

/// Stopped when the caller is gone.
async fn serve(network: Network, arrival: Arrival, service: Service) {
    let Arrival { call, request, .. } = arrival;
    let Ok(response) = service.oneshot(request).await;
    let (parts, body) = response.into_parts();
    network.send(call, false, Packet::Head(Box::new(Response::from_parts(parts, ()))));
    outgoing::pump(network, call, false, body).await;
}

async fn live(identity: Identity, ground: Ground, seat: Arc<Mutex<Seat>>) {
    let ended = run(&identity, ground, &seat).await;
    let mut seat = seat.lock();
    (seat.peers, seat.clients, seat.consensus) = (None, None, None);
    seat.ended = Some(ended);
}

/// What [`balsa_store::run()`] does, without ports. Returns why it ended.
async fn run(identity: &Identity, ground: Ground, seat: &Mutex<Seat>) -> String {
    let Identity { config, ids } = identity;
    let member = match Member::start(config, *ids, ground, &RaftThread::here()).await {
        Ok(member) => member,
        Err(error) => return with_causes(&error),
    };
    {
        let mut seat = seat.lock();
        seat.peers = Some(BoxCloneService::new(member.peer_routes()));
        seat.consensus = Some(member.consensus().clone());
    }
    let ending = async {
        tokio::select! {
            biased;
            () = member.consensus().stopped().cancelled() => "raft stopped".to_owned(),
            () = member.removed().cancelled() => "removed".to_owned(),
        }
    };
    let serving = async {
        member.publish(config).await;
        seat.lock().clients = Some(BoxCloneService::new(member.client_services()));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        ended = ending => ended,
        () = serving => unreachable!("it serves for ever"),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn dialer(network: Network, from: Place) -> Dialer {
    Dialer::Simulated(Arc::new(move |url| {
        let to = place_of(url);
        let network = network.clone();
        Arc::new(move |request| network.clone().call(from, to, Port::Peer, request).boxed())
    }))
}

/// `http://m3:2380` is the member of place 2.
fn place_of(url: &str) -> Place {
    let number = url.strip_prefix("http://m").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    number.expect("every peer URL of a simulation is made by peer_url") - 1
}

pub fn peer_url(place: Place) -> Url {
    Url::tcp(&name(place), PEER_PORT)
}

pub fn config(place: Place, places: &[Place], dir: &Path) -> Config {
    let mut config = Config {
        name: name(place),
        data_dir: dir.join(name(place)),
        initial_advertise_peer_urls: vec![peer_url(place)],
        initial_cluster: places.iter().map(|place| (name(*place), vec![peer_url(*place)])).collect(),
        heartbeat_interval: HEARTBEAT,
        election_timeout: ELECTION_TIMEOUT,
        snapshot_count: SNAPSHOT_COUNT,
        ..Config::default()
    };
    config.serving.catch_up_entries = CATCH_UP_ENTRIES;
    config.serving.watch_progress_interval = Duration::from_millis(500);
    config
}
