//! A watch stream of one member, which ends when that member falls silent: its owner resumes it at another one.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use tonic::{Status, Streaming};

use super::members::Line;
use super::{Store, wants_leader};

pub struct Watch {
    line: Line,
    responses: Streaming<pb::WatchResponse>,
}

impl Store {
    /// Opens a watch stream; the caller drives it by `requests`.
    pub async fn watch(
        &self,
        requests: impl tokio_stream::Stream<Item = pb::WatchRequest> + Send + 'static,
    ) -> Result<Watch, Status> {
        let line = self.members.pick();
        let mut client = WatchClient::new(line.channel.clone()).max_decoding_message_size(usize::MAX);
        // Without a leader the stream is cut instead of going silent.
        let opened = tokio::select! {
            opened = client.watch(wants_leader(requests)) => opened,
            () = line.lost() => Err(silent()),
        };
        Ok(Watch { responses: opened?.into_inner(), line })
    }
}

impl Watch {
    /// None: the member has ended the stream.
    pub async fn message(&mut self) -> Result<Option<pb::WatchResponse>, Status> {
        tokio::select! {
            message = self.responses.message() => message,
            () = self.line.lost() => Err(silent()),
        }
    }
}

fn silent() -> Status {
    Status::unavailable("the etcd member does not answer any more")
}
