//! One watch as a client keeps it: a stream that is asked for again, from where it broke off, as often as needed.
//!
//! All that it is told is recorded under one number, so that a property can say "this watch".

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Context;
use super::client::MemberEndpoint;
use super::watch_stream::{self, End};
use crate::history::{Record, WatchRecord, WatchSight};

/// Between two requests for a progress notification.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// A stream on which not even the requested progress arrives is broken: its member may be cut off or paused.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Before a member that cannot be reached is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

pub struct Watcher {
    pub client: u32,
    /// Unique in the run.
    pub watch: u32,
    /// Empty: all keys.
    pub prefix: String,
    /// The first revision that was not seen yet; 0 asks from now on.
    pub next_revision: i64,
    pub prev_kv: bool,
    /// Tried one after the other.
    pub members: Vec<MemberEndpoint>,
}

impl Watcher {
    /// Watches until `until`, the run's end, or until history is gone. True: it was told `compacted`.
    pub async fn run(&mut self, context: &Context, until: Option<Instant>) -> bool {
        loop {
            for turn in 0..self.members.len() {
                let member = self.members[turn].clone();
                match self.stream(context, &member, until).await {
                    End::Done => return false,
                    End::Compacted => return true,
                    End::Broken(error) => {
                        self.record(context, &member, 0, WatchSight::Broken { error }).await;
                        if is_over(until) || !context.pause(RETRY_AFTER).await {
                            return false;
                        }
                    }
                }
            }
        }
    }

    async fn stream(&mut self, context: &Context, member: &MemberEndpoint, until: Option<Instant>) -> End {
        let channel = match member.connect(context.timeout).await {
            Ok(channel) => channel,
            Err(error) => return End::Broken(format!("{error:#}")),
        };
        let (requests, inbox) = mpsc::channel(4);
        let asked = WatchSight::Asked { start_revision: self.next_revision, prev_kv: self.prev_kv };
        self.record(context, member, 0, asked).await;
        // The channel is new and empty, and its receiver is held here.
        let _ = requests.send(watch_stream::create(&self.prefix, self.next_revision, self.prev_kv)).await;
        let mut client = WatchClient::new(channel);
        let opening = tokio::time::timeout(SILENCE_MAX, client.watch(ReceiverStream::new(inbox))).await;
        match opening {
            Ok(Ok(answers)) => self.follow(context, member, until, (requests, answers.into_inner())).await,
            Ok(Err(status)) => End::Broken(describe(&status)),
            Err(_) => End::Broken("the stream was not opened in time".to_owned()),
        }
    }

    async fn follow(
        &mut self,
        context: &Context,
        member: &MemberEndpoint,
        until: Option<Instant>,
        (requests, mut answers): (mpsc::Sender<WatchRequest>, Streaming<WatchResponse>),
    ) -> End {
        let mut progress = tokio::time::interval(PROGRESS_EVERY);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = context.stop.cancelled() => return End::Done,
                _ = progress.tick() => {
                    if is_over(until) {
                        return End::Done;
                    }
                    if heard.elapsed() > SILENCE_MAX {
                        return End::Broken(format!("nothing was heard for {SILENCE_MAX:?}"));
                    }
                    // A full channel says that the server does not read: the silence will tell.
                    let _ = requests.try_send(watch_stream::progress());
                }
                answer = answers.message() => {
                    heard = Instant::now();
                    match answer {
                        Ok(Some(answer)) => {
                            if let Some(end) = self.take(context, member, answer).await {
                                return end;
                            }
                        }
                        Ok(None) => return End::Broken("the server ended the stream".to_owned()),
                        Err(status) => return End::Broken(describe(&status)),
                    }
                }
            }
        }
    }

    async fn take(
        &mut self,
        context: &Context,
        member: &MemberEndpoint,
        answer: WatchResponse,
    ) -> Option<End> {
        let told = watch_stream::read(answer, &mut self.next_revision);
        if let Some(sight) = told.sight {
            self.record(context, member, told.revision, sight).await;
        }
        told.end
    }

    async fn record(&self, context: &Context, member: &MemberEndpoint, revision: i64, sight: WatchSight) {
        let record = WatchRecord {
            client: self.client,
            member: member.name.clone(),
            watch: self.watch,
            prefix: self.prefix.clone(),
            at_us: context.recorder.now_us(),
            revision,
            sight,
        };
        context.recorder.record(Record::Watch(record)).await;
    }
}

fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
