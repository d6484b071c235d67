//! Commands of scripts for `grpc.health.v1.Health`, which load balancers and clients ask, and for what a server says of a
//! client's version and of methods that it does not know.
//!
//! | command | does |
//! |---|---|
//! | `health [SERVICE]` | the answer of `Check` |
//! | `healthwatch [SERVICE]` | the first answer of `Watch` |
//! | `call PATH` | an empty request to any path |
//! | `version TEXT` | a range whose client says that it is of this version; `\xff` stands for a byte that is no text |

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::health::HealthCheckRequest;
use balsa_proto::health::health_client::HealthClient;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::run::{failed, said};

pub const WORDS: &[&str] = &["health", "healthwatch", "call", "version"];

pub async fn play(channel: &Channel, words: &[&str]) -> String {
    let mut client = HealthClient::new(channel.clone());
    let request = HealthCheckRequest { service: words.get(1).unwrap_or(&"").to_string() };
    match words[0] {
        "health" => {
            said(client.check(request).await, |answer| format!("{}\n", answer.status().as_str_name()))
        }
        "healthwatch" => match first(&mut client, request).await {
            Ok(line) => line,
            Err(status) => failed(&status),
        },
        "call" => {
            let path = words[1].parse().expect("a path");
            let mut grpc = tonic::client::Grpc::new(channel.clone());
            grpc.ready().await.expect("the server listens");
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            said(grpc.unary(Request::new(()), path, codec).await, |()| "answered\n".into())
        }
        "version" => {
            let version = words[1].replace("\\xff", "\u{1}").into_bytes();
            let version: Vec<u8> =
                version.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
            let value = AsciiMetadataValue::try_from(version.as_slice()).expect("a header may hold it");
            let mut request = Request::new(pb::RangeRequest { key: "k".into(), ..Default::default() });
            request.metadata_mut().insert("client-api-version", value);
            said(KvClient::new(channel.clone()).range(request).await, |_| "taken\n".into())
        }
        other => panic!("{other} is no word of health"),
    }
}

async fn first(client: &mut HealthClient<Channel>, request: HealthCheckRequest) -> Result<String, Status> {
    let mut answers = client.watch(request).await?.into_inner();
    let answer = answers.message().await?;
    Ok(answer.map_or("ended\n".into(), |answer| format!("{}\n", answer.status().as_str_name())))
}
