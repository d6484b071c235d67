//! Commands of scripts for `KV.RangeStream`.
//!
//! | command | does |
//! |---|---|
//! | `keys N` | puts `k00000` and so on, one revision each; says nothing |
//! | `stream …` | with the words of `get`: keys of each chunk, what the last one has beside them, whether `Range` says the same |

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::Status;
use tonic::transport::Channel;

use super::run::failed;
use super::script_syntax::{Request, Show, parse};

pub const WORDS: &[&str] = &["keys", "stream"];

pub async fn play(channel: &Channel, command: &str, show: Show) -> String {
    let mut kv = KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let (word, rest) = command.split_once(' ').expect("a word and more");
    if word == "keys" {
        for number in 0..rest.parse::<usize>().expect("a number") {
            let key = format!("k{number:05}").into();
            let put = pb::PutRequest { key, value: "v".into(), ..Default::default() };
            kv.put(put).await.expect("puts");
        }
        return String::new();
    }
    let Request::Range(request) = parse(&format!("get {rest}"), show) else {
        unreachable!("get is a range");
    };
    match merged(&mut kv, &request).await {
        Ok((sizes, whole)) => {
            let same = kv.range(request).await.is_ok_and(|range| range.into_inner() == whole);
            let revision = show.revision(whole.header.expect("the last chunk has a header").revision);
            format!(
                "chunks={sizes:?} count={} more={} rev={revision} as_range={same}\n",
                whole.count, whole.more
            )
        }
        Err(status) => failed(&status),
    }
}

/// The chunks' sizes, and the chunks merged as a client does it.
async fn merged(
    kv: &mut KvClient<Channel>,
    request: &pb::RangeRequest,
) -> Result<(Vec<usize>, pb::RangeResponse), Status> {
    let mut chunks = kv.range_stream(request.clone()).await?.into_inner();
    let (mut sizes, mut whole) = (Vec::new(), pb::RangeResponse::default());
    while let Some(chunk) = chunks.message().await? {
        let chunk = chunk.range_response.unwrap_or_default();
        assert!(whole.header.is_none(), "nothing follows the chunk with the header");
        sizes.push(chunk.kvs.len());
        whole.kvs.extend(chunk.kvs);
        whole = pb::RangeResponse { kvs: whole.kvs, ..chunk };
    }
    Ok((sizes, whole))
}
