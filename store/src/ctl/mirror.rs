//! `make-mirror`: copies a live store into another one and keeps the copy up to date.
//!
//! First every key under the prefix as of one revision, then every change after it, a revision's changes together. It
//! reconnects and goes on where it was; stopped, it says with which `--rev` to go on. Leases are not mirrored, as in stock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::mvccpb::Event;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::connect::Connection;
use super::failure::Failure;
use super::flags::{Flags, identity};
use super::progress::Progress;
use super::{connect, signal, watch};
use crate::error::Error;
use crate::mvcc::prefix_end;

/// Keys per question while the base is copied.
const PAGE: i64 = 1_000;
/// Between two lines that say how many keys were mirrored.
const TELL: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The endpoint of the other store
    #[arg(value_name = "DESTINATION")]
    words: Vec<String>,
    /// Key-value prefix to mirror
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Specify the kv revision to start to mirror
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// Maximum number of operations permitted in a transaction during syncing updates
    #[arg(long, default_value_t = 128)]
    max_txn_ops: usize,
    /// Destination prefix to mirror a prefix to a different prefix in the destination cluster
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_prefix: String,
    /// Mirror key-values to the root of the destination cluster
    #[arg(long)]
    no_dest_prefix: bool,
    #[command(flatten)]
    destination: Destination,
}

#[derive(Debug, clap::Args)]
struct Destination {
    /// Verify certificates of TLS enabled secure servers using this CA bundle
    #[arg(long)]
    dest_cacert: Option<std::path::PathBuf>,
    /// Identify secure client using this TLS certificate file for the destination cluster
    #[arg(long)]
    dest_cert: Option<std::path::PathBuf>,
    /// Identify secure client using this TLS key file
    #[arg(long)]
    dest_key: Option<std::path::PathBuf>,
    /// Disable transport security for client connections
    #[arg(
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true"
    )]
    dest_insecure_transport: bool,
    /// Destination username[:password] for authentication (prompt if password is not supplied)
    #[arg(long)]
    dest_user: Option<String>,
    /// Destination password for authentication (if this option is used, --dest-user should not include password)
    #[arg(long)]
    dest_password: Option<String>,
}

impl Destination {
    fn flags(self, flags: &Flags, endpoint: &str) -> Result<Flags, Failure> {
        Ok(Flags {
            endpoints: vec![endpoint.to_owned()],
            cacert: self.dest_cacert,
            cert: self.dest_cert,
            key: self.dest_key,
            insecure_transport: self.dest_insecure_transport,
            identity: identity(
                self.dest_user.as_deref(),
                self.dest_password.as_deref(),
                "Destination Password: ",
            )?,
            ..flags.clone()
        })
    }
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let [endpoint] = &args.words[..] else {
        return Err(Failure::bad_args("make-mirror takes one destination argument"));
    };
    if !args.dest_prefix.is_empty() && args.no_dest_prefix {
        let text = "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one";
        return Err(Failure::bad_args(text));
    }
    if args.max_txn_ops == 0 {
        return Err(Failure::bad_args("--max-txn-ops must be at least 1"));
    }
    let to = match (args.no_dest_prefix, args.dest_prefix.is_empty()) {
        (true, _) => String::new(),
        (false, true) => args.prefix.clone(),
        (false, false) => args.dest_prefix.clone(),
    };
    let target = args.destination.flags(flags, endpoint)?;
    let mut mirror = Mirror {
        source: connect::any(flags).await?,
        kv: connect::kv(&target, connect::any(&target).await?),
        flags: flags.clone(),
        target,
        from: args.prefix,
        to,
        max_txn_ops: args.max_txn_ops,
        next: args.rev,
        mirrored: AtomicU64::new(0),
    };
    let done = tokio::select! {
        done = mirror.go() => done,
        () = signal::asked_to_stop() => Ok(()),
    };
    if mirror.next > 0 {
        eprintln!("mirrored all before revision {0}; go on with --rev {0}", mirror.next);
    }
    done
}

struct Mirror {
    flags: Flags,
    target: Flags,
    source: Connection,
    kv: KvClient<Connection>,
    /// Prefixes, on either side.
    from: String,
    to: String,
    max_txn_ops: usize,
    /// The first revision that is not mirrored; 0 until the base is.
    next: i64,
    mirrored: AtomicU64,
}

impl Mirror {
    async fn go(&mut self) -> Result<(), Failure> {
        if self.next <= 1 {
            self.next = self.base().await? + 1;
        }
        loop {
            match self.updates().await {
                Ok(()) => {}
                Err(failure) if failure.text == Error::Compacted.text() => return Err(failure),
                Err(failure) if failure.code != super::failure::ERROR => return Err(failure),
                Err(failure) => eprintln!("the watch broke and is made anew: {}", failure.text),
            }
            self.source = connect::patiently(&self.flags).await?;
        }
    }

    fn range(&self) -> (Bytes, Bytes) {
        match self.from.as_str() {
            "" => (vec![0].into(), vec![0].into()),
            prefix => (prefix.to_owned().into(), prefix_end(prefix.as_bytes()).into()),
        }
    }

    /// Every key as of one revision, which it gives back.
    async fn base(&mut self) -> Result<i64, Failure> {
        let (mut key, range_end) = self.range();
        let mut revision = 0;
        let mut progress = None;
        loop {
            let request = pb::RangeRequest {
                key: key.clone(),
                range_end: range_end.clone(),
                revision,
                limit: PAGE,
                ..pb::RangeRequest::default()
            };
            let page = self.page(request).await?;
            if revision == 0 {
                revision = page.header.as_ref().map_or(0, |header| header.revision);
            }
            let progress =
                progress.get_or_insert_with(|| Progress::new("copy", u64::try_from(page.count).unwrap_or(0)));
            let Some(last) = page.kvs.last() else { return Ok(revision) };
            key = [&last.key[..], &[0]].concat().into();
            let puts = page.kvs.iter().map(|kv| self.put(&kv.key, kv.value.clone())).collect();
            self.write(puts).await?;
            progress.add(page.kvs.len() as u64);
            if !page.more {
                return Ok(revision);
            }
        }
    }

    async fn page(&mut self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Failure> {
        loop {
            let mut kv = connect::kv(&self.flags, self.source.clone());
            match kv.range(request.clone()).await {
                Ok(page) => return Ok(page.into_inner()),
                Err(status) if is_passing(&status) => {
                    self.source = connect::patiently(&self.flags).await?;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Every change from `next` on, until the watch ends.
    async fn updates(&mut self) -> Result<(), Failure> {
        let (key, range_end) = self.range();
        let create = pb::WatchCreateRequest {
            key,
            range_end,
            start_revision: self.next,
            ..pb::WatchCreateRequest::default()
        };
        let (requests, stream) = mpsc::channel(1);
        // The channel is empty and its reader is at hand.
        let _ = requests.send(watch::wrap(RequestUnion::CreateRequest(create))).await;
        let mut client = connect::watch(&self.flags, self.source.clone());
        let mut answers = client.watch(ReceiverStream::new(stream)).await?.into_inner();
        let mut tell = tokio::time::interval(TELL);
        tell.tick().await;
        loop {
            tokio::select! {
                answer = answers.message() => match answer? {
                    Some(answer) if answer.compact_revision != 0 => {
                        return Err(Failure::error(Error::Compacted.text()));
                    }
                    Some(answer) if answer.canceled => return Err(Failure::error(answer.cancel_reason)),
                    Some(answer) => self.take(answer.events).await?,
                    None => return Ok(()),
                },
                _ = tell.tick() => println!("{}", self.mirrored.load(Ordering::Relaxed)),
            }
        }
    }

    /// A revision's changes are one transaction: the copy never shows half of one, unless it exceeds `--max-txn-ops`.
    async fn take(&mut self, events: Vec<Event>) -> Result<(), Failure> {
        let mut revision = 0;
        let mut ops = Vec::new();
        for event in events {
            let Some(kv) = event.kv else { continue };
            if kv.mod_revision != revision && !ops.is_empty() {
                self.write(std::mem::take(&mut ops)).await?;
                self.next = revision + 1;
            }
            revision = kv.mod_revision;
            ops.push(if event.r#type == 0 { self.put(&kv.key, kv.value) } else { self.delete(&kv.key) });
        }
        if !ops.is_empty() {
            self.write(ops).await?;
            self.next = revision + 1;
        }
        Ok(())
    }

    fn renamed(&self, key: &[u8]) -> Bytes {
        let rest = key.strip_prefix(self.from.as_bytes()).unwrap_or(key);
        [self.to.as_bytes(), rest].concat().into()
    }

    fn put(&self, key: &[u8], value: Bytes) -> Request {
        Request::RequestPut(pb::PutRequest { key: self.renamed(key), value, ..pb::PutRequest::default() })
    }

    fn delete(&self, key: &[u8]) -> Request {
        let key = self.renamed(key);
        Request::RequestDeleteRange(pb::DeleteRangeRequest { key, ..pb::DeleteRangeRequest::default() })
    }

    /// Writing the same again changes nothing of the copy, so what was cut off is repeated.
    async fn write(&mut self, ops: Vec<Request>) -> Result<(), Failure> {
        for batch in ops.chunks(self.max_txn_ops) {
            let success = batch.iter().cloned().map(|op| pb::RequestOp { request: Some(op) }).collect();
            let txn = pb::TxnRequest { success, ..pb::TxnRequest::default() };
            loop {
                match self.kv.txn(txn.clone()).await {
                    Ok(_) => break,
                    Err(status) if is_passing(&status) => {
                        self.kv = connect::kv(&self.target, connect::patiently(&self.target).await?);
                    }
                    Err(status) => return Err(status.into()),
                }
            }
            self.mirrored.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The server or the way to it is away for a while.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded)
}
