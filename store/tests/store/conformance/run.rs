//! Plays one script over raw gRPC.
//!
//! Beside the words of `script_syntax.rs`:
//!
//! | command | does |
//! |---|---|
//! | `watch STREAM KEY [END] [rev=] [id=] [prev_kv] [progress] [fragment] [noput] [nodelete]` | asks for a watcher; says nothing |
//! | `watchs STREAM BYTES`, `cancel STREAM ID`, `progress STREAM` | likewise; the first for a key of so many bytes |
//! | `next STREAM` | the next response of the stream |
//! | `events STREAM N` | the next N events of the stream, in however many responses |
//! | `sizes STREAM` | how many events each response has, up to the first that is no fragment |
//! | `silent STREAM` | nothing comes for a while |
//! | `lease ID`, `leases`, `keepalive ID` | granted time and keys; all ids; the time it was renewed for |
//! | `puts KEY BYTES` | a value of so many bytes |
//! | `ops N` | a transaction of so many puts of different keys; only the last line of the answer |

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::mvccpb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status, Streaming};

use super::script_syntax::{Request, Show, key, number, parse, positional};
use super::{health, maintenance, range_stream};

/// How long a response may take before the script fails: far beyond what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing must come for a stream to count as silent.
const SILENCE: Duration = Duration::from_millis(400);

/// Whether the server answers a linearizable read.
pub async fn serves(endpoint: &str) -> bool {
    let Ok(channel) = connect(endpoint).await else { return false };
    let request = pb::RangeRequest { key: "health".into(), ..pb::RangeRequest::default() };
    KvClient::new(channel).range(request).await.is_ok()
}

async fn connect(endpoint: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(endpoint.to_owned()).expect("an address").timeout(PATIENCE).connect().await
}

/// The script with the outputs that the server gives.
pub async fn script(endpoint: &str, text: &str) -> String {
    let mut player = Player::new(connect(endpoint).await.expect("the server listens")).await;
    play_all(text, async |command| player.play(command).await).await
}

/// The script with what `play` says to each of its commands.
pub async fn play_all(text: &str, mut play: impl AsyncFnMut(&str) -> String) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            out.push_str(&format!("{line}\n"));
        } else if let Some(command) = line.strip_prefix("> ") {
            out.push_str(&format!("{line}\n{}", play(command).await));
        }
    }
    out
}

struct Player {
    channel: Channel,
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    streams: BTreeMap<String, WatchStream>,
    show: Show,
}

struct WatchStream {
    requests: mpsc::Sender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
    /// Events that came with others.
    waiting: VecDeque<(i64, mvccpb::Event)>,
}

impl Player {
    /// With an empty key space and no leases.
    async fn new(channel: Channel) -> Self {
        let mut kv = KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        let mut lease = LeaseClient::new(channel.clone());
        let leases =
            lease.lease_leases(pb::LeaseLeasesRequest::default()).await.expect("lists leases").into_inner();
        for pb::LeaseStatus { id } in leases.leases {
            // It may have expired meanwhile, which is as good.
            let _ = lease.lease_revoke(pb::LeaseRevokeRequest { id }).await;
        }
        let all = pb::DeleteRangeRequest { key: key("\\0"), range_end: key("\\0"), prev_kv: false };
        let emptied = kv.delete_range(all).await.expect("deletes").into_inner();
        let base = emptied.header.expect("a header").revision;
        Self { channel, kv, lease, streams: BTreeMap::new(), show: Show { base } }
    }

    async fn play(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[0] {
            "watch" => self.watch(&words[1..]).await,
            "cancel" => {
                let watch_id = words[2].parse().expect("a watch id");
                self.send(words[1], RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id })).await
            }
            "progress" => {
                self.send(words[1], RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await
            }
            "watchs" => {
                let key = vec![b'k'; words[2].parse().expect("a size")].into();
                let request = pb::WatchCreateRequest { key, ..Default::default() };
                self.send(words[1], RequestUnion::CreateRequest(request)).await
            }
            "next" => self.next(words[1]).await,
            "events" => self.events(words[1], words[2].parse().expect("a number")).await,
            "sizes" => self.sizes(words[1]).await,
            "silent" => self.silent(words[1]).await,
            "lease" => self.time_to_live(words[1].parse().expect("a lease id")).await,
            "leases" => self.leases().await,
            "keepalive" => self.keep_alive(words[1].parse().expect("a lease id")).await,
            "puts" => {
                let value = vec![b'v'; words[2].parse().expect("a size")].into();
                let request = pb::PutRequest { key: key(words[1]), value, ..pb::PutRequest::default() };
                said(self.kv.put(request).await, |response| self.show.put(response))
            }
            "ops" => {
                let put = |n: usize| format!("then put k{n} v");
                let count: usize = words[1].parse().expect("a number");
                let clauses: Vec<String> = (0..count).map(put).collect();
                let answer = self.request(parse(&format!("txn {}", clauses.join(" ; ")), self.show)).await;
                format!("{}\n", answer.lines().last().unwrap_or_default())
            }
            word if maintenance::WORDS.contains(&word) => {
                maintenance::play(&self.channel, &words, self.show).await
            }
            word if health::WORDS.contains(&word) => health::play(&self.channel, &words).await,
            word if range_stream::WORDS.contains(&word) => {
                range_stream::play(&self.channel, command, self.show).await
            }
            _ => self.request(parse(command, self.show)).await,
        }
    }

    async fn request(&mut self, request: Request) -> String {
        let show = self.show;
        match request {
            Request::Range(request) => said(self.kv.range(request).await, |response| show.range(response)),
            Request::Put(request) => said(self.kv.put(request).await, |response| show.put(response)),
            Request::DeleteRange(request) => {
                said(self.kv.delete_range(request).await, |response| show.delete(response))
            }
            Request::Txn(request) => said(self.kv.txn(request).await, |response| show.txn(response)),
            Request::Compaction(request) => {
                said(self.kv.compact(request).await, |response| show.compaction(response))
            }
            Request::LeaseGrant(request) => {
                said(self.lease.lease_grant(request).await, |response| show.grant(response))
            }
            Request::LeaseRevoke(request) => {
                said(self.lease.lease_revoke(request).await, |response| show.revoke(response))
            }
        }
    }

    async fn watch(&mut self, words: &[&str]) -> String {
        let args = positional(words);
        let has = |flag| words.contains(&flag);
        let mut filters = Vec::new();
        filters.extend(has("noput").then_some(0));
        filters.extend(has("nodelete").then_some(1));
        let request = pb::WatchCreateRequest {
            key: key(args[1]),
            range_end: args.get(2).map(|end| key(end)).unwrap_or_default(),
            start_revision: self.show.wire(number(words, "rev")),
            watch_id: number(words, "id"),
            prev_kv: has("prev_kv"),
            progress_notify: has("progress"),
            fragment: has("fragment"),
            filters,
        };
        self.send(args[0], RequestUnion::CreateRequest(request)).await
    }

    async fn send(&mut self, stream: &str, request: RequestUnion) -> String {
        let request = pb::WatchRequest { request_union: Some(request) };
        if let Some(open) = self.streams.get(stream) {
            open.requests.send(request).await.expect("the stream is open");
            return String::new();
        }
        let (requests, outbound) = mpsc::channel(16);
        requests.send(request).await.expect("the channel is new");
        let mut client = WatchClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        let responses =
            client.watch(ReceiverStream::new(outbound)).await.expect("the stream opens").into_inner();
        self.streams.insert(stream.to_owned(), WatchStream { requests, responses, waiting: VecDeque::new() });
        String::new()
    }

    fn stream(&mut self, name: &str) -> &mut WatchStream {
        self.streams.get_mut(name).expect("a watch was asked for on the stream")
    }

    async fn next(&mut self, name: &str) -> String {
        let show = self.show;
        match self.stream(name).receive().await {
            Ok(response) => response_text(&response, show),
            Err(text) => text,
        }
    }

    /// Sorted by watch id: the order between watchers is nobody's promise.
    async fn events(&mut self, name: &str, count: usize) -> String {
        let show = self.show;
        let stream = self.stream(name);
        while stream.waiting.len() < count {
            match stream.receive().await {
                Ok(response) if response.events.is_empty() => return response_text(&response, show),
                Ok(response) => {
                    stream
                        .waiting
                        .extend(response.events.into_iter().map(|event| (response.watch_id, event)));
                }
                Err(text) => return text,
            }
        }
        let mut events: Vec<_> = stream.waiting.drain(..count).collect();
        events.sort_by_key(|(id, _)| *id);
        events.iter().map(|(id, event)| format!("  {id}: {}\n", event_text(event, show))).collect()
    }

    async fn sizes(&mut self, name: &str) -> String {
        let mut line = String::from("sizes");
        loop {
            match self.stream(name).receive().await {
                Ok(response) => {
                    line.push_str(&format!(" {}", response.events.len()));
                    if !response.fragment {
                        return line + "\n";
                    }
                }
                Err(text) => return text,
            }
        }
    }

    async fn silent(&mut self, name: &str) -> String {
        let show = self.show;
        match tokio::time::timeout(SILENCE, self.stream(name).responses.message()).await {
            Err(_) => "silent\n".into(),
            Ok(Ok(Some(response))) => response_text(&response, show),
            Ok(other) => format!("ended {other:?}\n"),
        }
    }

    async fn time_to_live(&mut self, id: i64) -> String {
        let request = pb::LeaseTimeToLiveRequest { id, keys: true };
        said(self.lease.lease_time_to_live(request).await, |response| {
            let left = if response.ttl > 0 { "alive".into() } else { format!("ttl={}", response.ttl) };
            // Stock gives them in no order.
            let mut keys = response.keys.clone();
            keys.sort();
            format!("{left} granted={} keys={keys:?}\n", response.granted_ttl)
        })
    }

    async fn leases(&mut self) -> String {
        said(self.lease.lease_leases(pb::LeaseLeasesRequest::default()).await, |response| {
            let mut ids: Vec<i64> = response.leases.iter().map(|lease| lease.id).collect();
            ids.sort_unstable();
            format!("leases {ids:?}\n")
        })
    }

    async fn keep_alive(&mut self, id: i64) -> String {
        let requests = tokio_stream::once(pb::LeaseKeepAliveRequest { id });
        let mut responses = match self.lease.lease_keep_alive(requests).await {
            Ok(responses) => responses.into_inner(),
            Err(status) => return failed(&status),
        };
        match responses.message().await {
            Ok(Some(response)) => format!("kept id={} ttl={}\n", response.id, response.ttl),
            Ok(None) => "ended\n".into(),
            Err(status) => failed(&status),
        }
    }
}

impl WatchStream {
    async fn receive(&mut self) -> Result<pb::WatchResponse, String> {
        match tokio::time::timeout(PATIENCE, self.responses.message()).await {
            Err(_) => Err("nothing came\n".into()),
            Ok(Ok(Some(response))) => Ok(response),
            Ok(Ok(None)) => Err("ended\n".into()),
            Ok(Err(status)) => Err(failed(&status)),
        }
    }
}

pub fn said<T>(answer: Result<Response<T>, Status>, show: impl FnOnce(&T) -> String) -> String {
    match answer {
        Ok(response) => show(response.get_ref()),
        Err(status) => failed(&status),
    }
}

pub fn failed(status: &Status) -> String {
    format!("error {:?} {}\n", status.code(), status.message())
}

fn response_text(response: &pb::WatchResponse, show: Show) -> String {
    let mut line = format!("{}", response.watch_id);
    if response.created {
        line.push_str(" created");
    }
    if response.canceled {
        line.push_str(" canceled");
    }
    if response.compact_revision != 0 {
        line.push_str(&format!(" compact_revision={}", show.revision(response.compact_revision)));
    }
    if !response.cancel_reason.is_empty() {
        line.push_str(&format!(" reason={}", response.cancel_reason));
    }
    if response.fragment {
        line.push_str(" fragment");
    }
    line.push_str(&format!(" rev={}\n", show.header(&response.header)));
    for event in &response.events {
        line.push_str(&format!("  {}\n", event_text(event, show)));
    }
    line
}

fn event_text(event: &mvccpb::Event, show: Show) -> String {
    let kind = if event.r#type == 0 { "PUT" } else { "DELETE" };
    let row = |kv: &mvccpb::KeyValue| show.row(kv).trim().to_owned();
    let previous = event.prev_kv.as_ref().map(|kv| format!(" (was {})", row(kv))).unwrap_or_default();
    format!("{kind} {}{previous}", event.kv.as_ref().map(row).unwrap_or_default())
}
