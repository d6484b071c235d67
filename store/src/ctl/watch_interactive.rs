//! `watch -i`: lines `watch [options] KEY [RANGE_END] [-- COMMAND]` and `progress` from stdin; events of all watches come as
//! they come. The end of the input ends it, as it ends stock's.

use std::collections::BTreeMap;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::failure::{Failure, INTERRUPTED, INVALID_INPUT};
use super::flags::Flags;
use super::{connect, go_flags, txn_syntax, watch};

/// Commands to run for the events of each watch, by its id.
type Commands = BTreeMap<i64, Vec<String>>;

#[derive(Debug, clap::Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(flatten)]
    args: watch::Args,
}

pub async fn run(flags: &Flags) -> Result<(), Failure> {
    let mut client = connect::watch(flags, connect::any(flags).await?);
    let (requests, stream) = mpsc::channel(16);
    let mut lines = stdin_lines();
    let mut commands = Commands::new();
    let opened = client.watch(ReceiverStream::new(stream));
    let mut opened = std::pin::pin!(opened);
    let mut responses = None;
    loop {
        tokio::select! {
            answer = &mut opened, if responses.is_none() => responses = Some(answer?.into_inner()),
            response = message(&mut responses) => match response? {
                Some(response) => {
                    let exec = commands.get(&response.watch_id).map_or(&[][..], Vec::as_slice);
                    watch::show(flags, response, exec).await?;
                }
                None => return Err(Failure::new(INTERRUPTED, "watch is canceled by the server")),
            },
            line = lines.recv() => {
                let ended = || Failure::new(INVALID_INPUT, "error reading watch request line: EOF");
                match understand(&line.ok_or_else(ended)?, &mut commands) {
                    Ok(request) => {
                        // The stream's end takes requests until it says that it is over.
                        let _ = requests.send(watch::wrap(request)).await;
                    }
                    Err(sentence) => eprintln!("{sentence}"),
                }
            },
        }
    }
}

/// Reading stdin blocks, so it has a thread of its own, which ends with the program.
fn stdin_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn message(
    responses: &mut Option<tonic::Streaming<pb::WatchResponse>>,
) -> Result<Option<pb::WatchResponse>, tonic::Status> {
    match responses {
        Some(responses) => responses.message().await,
        None => std::future::pending().await,
    }
}

/// A request, or why the line is none.
fn understand(line: &str, commands: &mut Commands) -> Result<RequestUnion, String> {
    let words = txn_syntax::words(line).unwrap_or_default();
    match words.first().map(String::as_str) {
        Some("progress") => Ok(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})),
        Some("watch") if words.len() < 2 => {
            Err(format!("Invalid command {line} (command type or key is not provided)"))
        }
        Some("watch") => {
            let parsed = go_flags::parse::<Line>(words[1..].to_vec());
            let args = parsed.map_err(|error| format!("Invalid command {line} ({error})"))?.args;
            let request = watch::request(&args);
            let mut request =
                request.map_err(|failure| format!("Invalid command {line} ({})", failure.text))?;
            request.watch_id = commands.len() as i64 + 1;
            commands.insert(request.watch_id, args.exec);
            Ok(RequestUnion::CreateRequest(request))
        }
        _ => Err(format!("Invalid command {line} (only support watch)")),
    }
}
