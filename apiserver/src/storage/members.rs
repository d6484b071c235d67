//! The members of etcd, and which of them answer.
//!
//! Calls go round the members that do. Each member is asked for a sign of life now and then ([`Members::watch_over`]):
//!
//! ```text
//!  up ── no answer within Pace::patience, no leader, no connection ──► doubted: new calls go elsewhere, reads move
//!  up, doubted ── no answer within twice that time ──► lost: besides, all that waits for it is told, and it is
//!                                                      connected anew
//!  doubted, lost ── answers ──► up
//! ```
//!
//! If none is up all are asked: there is nothing to lose. A lone member is not watched, for there is no other to go to.
//! Why not HTTP/2 pings: a stock etcd hangs up on a client that sends more than one in 5 s.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::RangeRequest;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

pub(super) struct Members {
    members: Vec<Member>,
    /// Whose turn it is.
    next: AtomicUsize,
    pace: Pace,
}

/// How members are watched.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Between an answer and the next question.
    pub interval: Duration,
    /// Until a member is doubted, and again until it is lost.
    pub patience: Duration,
}

struct Member {
    endpoint: Endpoint,
    state: Mutex<State>,
}

struct State {
    is_up: bool,
    line: Line,
}

/// The way to one member, as long as that is believed to work.
#[derive(Clone)]
pub(super) struct Line {
    pub channel: Channel,
    /// Which of the members.
    number: usize,
    doubted: CancellationToken,
    lost: CancellationToken,
}

impl Members {
    pub(super) fn new(endpoints: Vec<Endpoint>, pace: Pace) -> Members {
        let member = |(number, endpoint): (usize, Endpoint)| {
            let line = Line::new(number, &endpoint);
            Member { endpoint, state: Mutex::new(State { is_up: true, line }) }
        };
        let members = endpoints.into_iter().enumerate().map(member).collect();
        Members { members, next: AtomicUsize::new(0), pace }
    }

    /// The next one that is up, or the next one.
    pub(super) fn pick(&self) -> Line {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            || (0..self.members.len()).map(|step| &self.members[(turn + step) % self.members.len()]);
        let up = in_turn().find_map(|member| {
            let state = member.state.lock();
            state.is_up.then(|| state.line.clone())
        });
        up.unwrap_or_else(|| self.members[turn % self.members.len()].state.lock().line.clone())
    }

    /// What one call met is worth as much as a sign of life that was asked for.
    pub(super) fn doubt(&self, line: &Line) {
        if self.members.len() > 1 {
            self.members[line.number].doubt("there is no connection");
        }
    }

    pub(super) async fn watch_over(self: Arc<Self>, shutdown: CancellationToken) {
        if self.members.len() < 2 {
            return;
        }
        let all = self.members.iter().map(|member| member.watch_over(self.pace));
        tokio::select! {
            _ = futures::future::join_all(all) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

impl Member {
    async fn watch_over(&self, pace: Pace) {
        loop {
            self.look(pace.patience).await;
            tokio::time::sleep(pace.interval).await;
        }
    }

    async fn look(&self, patience: Duration) {
        let channel = self.state.lock().line.channel.clone();
        let mut sign = std::pin::pin!(sign_of_life(channel));
        let mut answer = tokio::time::timeout(patience, &mut sign).await;
        if answer.is_err() {
            self.doubt("it is slow");
            answer = tokio::time::timeout(patience, sign).await;
        }
        match answer {
            Ok(Ok(())) => self.believe(),
            Ok(Err(status)) => self.doubt(status.message()),
            Err(_) => self.lose(),
        }
    }

    fn believe(&self) {
        let mut state = self.state.lock();
        if !state.is_up {
            tracing::info!(member = %self.endpoint.uri(), "etcd member answers again");
        }
        state.is_up = true;
    }

    fn doubt(&self, why: &str) {
        let mut state = self.state.lock();
        if state.is_up {
            tracing::warn!(member = %self.endpoint.uri(), why, "etcd member does not serve; asking others");
            state.is_up = false;
            std::mem::take(&mut state.line.doubted).cancel();
        }
    }

    fn lose(&self) {
        let mut state = self.state.lock();
        tracing::debug!(member = %self.endpoint.uri(), "etcd member is silent; connecting anew");
        let line = Line::new(state.line.number, &self.endpoint);
        let old = std::mem::replace(&mut *state, State { is_up: false, line }).line;
        old.doubted.cancel();
        old.lost.cancel();
    }
}

impl Line {
    fn new(number: usize, endpoint: &Endpoint) -> Line {
        let (doubted, lost) = (CancellationToken::new(), CancellationToken::new());
        Line { channel: endpoint.connect_lazy(), number, doubted, lost }
    }

    /// Another member would answer sooner.
    pub(super) async fn doubted(&self) {
        self.doubted.cancelled().await;
    }

    /// No answer will come.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

/// That a member serves and knows a leader. It reads its own state, so that no other member takes part.
async fn sign_of_life(channel: Channel) -> Result<(), Status> {
    let nothing =
        RangeRequest { key: vec![0].into(), serializable: true, count_only: true, ..Default::default() };
    match KvClient::new(channel).range(super::wants_leader(nothing)).await {
        Err(status) if status.code() == Code::Unavailable => Err(status),
        // Whatever else it has to say, it is there to say it.
        Ok(_) | Err(_) => Ok(()),
    }
}
