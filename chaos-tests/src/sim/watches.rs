//! Watches of the simulated clients: from now, from the past, resumed at another member where they broke off; and the
//! witness, which follows all keys from the beginning.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::clients::Desk;
use super::trace::{Place, name};
use crate::history::{Record, WatchRecord, WatchSight};
use crate::workloads::watch_stream::{self, End};
use crate::workloads::witness;

const WATCHERS: u32 = 3;
const FIRST_CLIENT: u32 = 100;
const PREFIXES: [&str; 3] = ["register/", "transaction/", "lease/"];
const PROGRESS_EVERY: Duration = Duration::from_millis(400);
const SILENCE_MAX: Duration = Duration::from_millis(1_500);
const RETRY_AFTER: Duration = Duration::from_millis(100);
const LIFE_MS: std::ops::Range<u64> = 500..5_000;
/// A watch from the past starts up to this many revisions back.
const PAST_MAX: i64 = 60;

struct Watcher {
    desk: Desk,
    client: u32,
    watch: u32,
    prefix: &'static str,
    /// The first revision that was not seen yet; 0: from now on.
    next_revision: i64,
    prev_kv: bool,
}

pub fn start(desk: &Desk) {
    desk.clients.spawn(follow_everything(desk.clone()));
    for number in 0..WATCHERS {
        desk.clients.spawn(follow_some(desk.clone(), FIRST_CLIENT + number));
    }
}

/// The witness. Where history is gone before it was seen there is a gap, which properties respect.
async fn follow_everything(desk: Desk) {
    let client = witness::CLIENT;
    let watch = witness::watch_number(0);
    let mut watcher = Watcher { desk, client, watch, prefix: "", next_revision: 1, prev_kv: false };
    let mut again = 0;
    let mut random = watcher.desk.random(client);
    while watcher.run(None, &mut random).await {
        again += 1;
        watcher.watch = witness::watch_number(again);
        watcher.next_revision = 0;
    }
}

async fn follow_some(desk: Desk, client: u32) {
    let mut random = desk.random(client);
    let (mut life, mut newest) = (0, 0);
    while desk.pause(RETRY_AFTER).await {
        life += 1;
        let past = (newest + 1 - random.random_range(0..=PAST_MAX)).max(1);
        let mut watcher = Watcher {
            desk: desk.clone(),
            client,
            watch: client * 100 + life,
            prefix: PREFIXES[random.random_range(0..PREFIXES.len())],
            next_revision: if random.random_bool(0.4) { 0 } else { past },
            prev_kv: true,
        };
        let until = Instant::now() + Duration::from_millis(random.random_range(LIFE_MS));
        watcher.run(Some(until), &mut random).await;
        newest = newest.max(watcher.next_revision - 1);
    }
}

impl Watcher {
    /// Until `until` or the end of the run. True: history was gone.
    async fn run(&mut self, until: Option<Instant>, random: &mut SmallRng) -> bool {
        let mut place = random.random_range(0..self.desk.places.len());
        loop {
            let member = self.desk.places[place % self.desk.places.len()];
            match self.stream(member, until).await {
                End::Done => return false,
                End::Compacted => return true,
                End::Broken(error) => self.record(member, 0, WatchSight::Broken { error }),
            }
            place += 1;
            let is_over = until.is_some_and(|until| Instant::now() >= until);
            if is_over || !self.desk.pause(RETRY_AFTER).await {
                return false;
            }
        }
    }

    async fn stream(&mut self, member: Place, until: Option<Instant>) -> End {
        let (requests, inbox) = mpsc::channel(16);
        let asked = WatchSight::Asked { start_revision: self.next_revision, prev_kv: self.prev_kv };
        self.record(member, 0, asked);
        // The channel is empty.
        let _ = requests.try_send(watch_stream::create(self.prefix, self.next_revision, self.prev_kv));
        let mut client = WatchClient::new(self.desk.channel(member));
        let opened = tokio::time::timeout(SILENCE_MAX, client.watch(ReceiverStream::new(inbox))).await;
        match opened {
            Ok(Ok(answers)) => self.follow(member, until, requests, answers.into_inner()).await,
            Ok(Err(status)) => End::Broken(status.message().to_owned()),
            Err(_) => End::Broken("no answer".to_owned()),
        }
    }

    async fn follow(
        &mut self,
        member: Place,
        until: Option<Instant>,
        requests: mpsc::Sender<WatchRequest>,
        mut answers: Streaming<WatchResponse>,
    ) -> End {
        let mut heard = Instant::now();
        let stop = self.desk.stop.clone();
        loop {
            let answer = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Done,
                answer = answers.message() => answer,
                () = tokio::time::sleep(PROGRESS_EVERY) => {
                    if until.is_some_and(|until| Instant::now() >= until) {
                        return End::Done;
                    }
                    if heard.elapsed() > SILENCE_MAX {
                        return End::Broken("nothing was heard".to_owned());
                    }
                    // A full channel says that nobody reads: the silence will tell.
                    let _ = requests.try_send(watch_stream::progress());
                    continue;
                }
            };
            heard = Instant::now();
            match answer {
                Ok(Some(answer)) => {
                    if let Some(end) = self.take(member, answer) {
                        return end;
                    }
                }
                Ok(None) => return End::Broken("the server ended the stream".to_owned()),
                Err(status) => return End::Broken(status.message().to_owned()),
            }
        }
    }

    fn take(&mut self, member: Place, answer: WatchResponse) -> Option<End> {
        let told = watch_stream::read(answer, &mut self.next_revision);
        if let Some(sight) = told.sight {
            self.record(member, told.revision, sight);
        }
        told.end
    }

    fn record(&self, member: Place, revision: i64, sight: WatchSight) {
        let record = WatchRecord {
            client: self.client,
            member: name(member),
            watch: self.watch,
            prefix: self.prefix.to_owned(),
            at_us: self.desk.now_us(),
            revision,
            sight,
        };
        self.desk.record(Record::Watch(record));
    }
}
