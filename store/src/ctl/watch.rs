//! `watch`: prints events as they come. A connection that breaks is made anew, from the revision after the last one seen.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::failure::{Failure, INTERRUPTED};
use super::flags::Flags;
use super::get::{Spread, keys};
use super::{Answer, connect, print, say, watch_exec, watch_interactive};

/// Before a broken connection is tried again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key, and where the range ends; `ETCDCTL_WATCH_KEY` and `ETCDCTL_WATCH_RANGE_END` stand in for them
    #[arg(value_name = "KEY RANGE_END")]
    pub keys: Vec<String>,
    /// A command to run for each event
    #[arg(last = true, value_name = "COMMAND")]
    pub exec: Vec<String>,
    /// Interactive mode
    #[arg(short, long)]
    interactive: bool,
    /// Watch on a prefix if prefix is set
    #[arg(long)]
    prefix: bool,
    /// Revision to start watching
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// Get the previous key-value pair before the event happens
    #[arg(long)]
    prev_kv: bool,
    /// Get periodic watch progress notification from server
    #[arg(long)]
    progress_notify: bool,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    if args.interactive {
        return watch_interactive::run(flags).await;
    }
    if args.exec.is_empty() && std::env::args().any(|word| word == "--") {
        return Err(Failure::bad_args("bad number of arguments (found separator --, but no commands)"));
    }
    let mut request = request(&args)?;
    loop {
        match follow(flags, &mut request, &args.exec).await {
            Err(Broken::Connection) => tokio::time::sleep(RECONNECT_PAUSE).await,
            Err(Broken::Failed(failure)) => return Err(failure),
            Ok(()) => return Err(Failure::new(INTERRUPTED, "watch is canceled by the server")),
        }
    }
}

pub fn request(args: &Args) -> Result<pb::WatchCreateRequest, Failure> {
    let mut words = args.keys.clone();
    if words.is_empty() {
        words.extend(std::env::var("ETCDCTL_WATCH_KEY").ok());
        words.extend(std::env::var("ETCDCTL_WATCH_RANGE_END").ok());
    }
    if args.prefix && words.len() > 1 {
        return Err(Failure::bad_args("`range_end` and `--prefix` are mutually exclusive"));
    }
    let usage = "bad number of arguments";
    let (key, range_end) = keys(&words, Spread { prefix: args.prefix, from_key: false }, usage)?;
    Ok(pb::WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: args.rev,
        progress_notify: args.progress_notify,
        prev_kv: args.prev_kv,
        ..pb::WatchCreateRequest::default()
    })
}

enum Broken {
    Connection,
    Failed(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Broken::Failed(failure)
    }
}

/// Until the server ends the watch.
async fn follow(flags: &Flags, request: &mut pb::WatchCreateRequest, exec: &[String]) -> Result<(), Broken> {
    let mut client = connect::watch(flags, connect::patiently(flags).await?);
    let (requests, stream) = mpsc::channel(1);
    // The channel is empty and its reader is at hand.
    let _ = requests.send(wrap(RequestUnion::CreateRequest(request.clone()))).await;
    let mut responses = client.watch(ReceiverStream::new(stream)).await.map_err(broken)?.into_inner();
    loop {
        let Some(response) = responses.message().await.map_err(broken)? else {
            return Err(Broken::Connection);
        };
        let canceled = response.canceled;
        if let Some(last) = response.events.last().and_then(|event| event.kv.as_ref()) {
            request.start_revision = last.mod_revision + 1;
        }
        show(flags, response, exec).await?;
        if canceled {
            return Ok(());
        }
    }
}

fn broken(status: tonic::Status) -> Broken {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::Unknown => Broken::Connection,
        _ => Broken::Failed(status.into()),
    }
}

pub fn wrap(request: RequestUnion) -> pb::WatchRequest {
    pb::WatchRequest { request_union: Some(request) }
}

pub async fn show(flags: &Flags, response: pb::WatchResponse, exec: &[String]) -> Result<(), Failure> {
    if response.canceled {
        eprintln!("watch was canceled ({})", reason(&response));
    } else if response.created {
        return Ok(());
    } else if response.events.is_empty() {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        say(format!("progress notify: {revision}\n"))?;
    }
    print(flags, &Answer::Watch(response.clone()))?;
    watch_exec::run(exec, &response).await
}

fn reason(response: &pb::WatchResponse) -> String {
    use crate::error::Error;
    match (response.compact_revision, response.cancel_reason.as_str()) {
        (1.., _) => Error::Compacted.text().into(),
        (_, "") => Error::FutureRev.text().into(),
        (_, reason) => reason.into(),
    }
}
