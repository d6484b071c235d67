//! Commands of scripts for `etcdserverpb.Maintenance`.
//!
//! | command | does |
//! |---|---|
//! | `alarm get [KIND]`, `alarm activate ID KIND`, `alarm deactivate ID KIND` | the alarms of the answer |
//! | `status errors` | what is wrong with the server |
//! | `hashkv [rev=N]` | its revisions; the hash itself is no row of a script, as it is made of absolute revisions |
//! | `hash`, `defragment` | says whether it worked |
//! | `downgrade ACTION [VERSION]` | the version of the answer |
//! | `snapshot` | whether the stream is whole: pages, then the hash of all before, and what is left counts down |

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use sha2::{Digest, Sha256};
use tonic::Status;
use tonic::transport::Channel;

use super::run::{failed, said};
use super::script_syntax::{Show, number};

pub const WORDS: &[&str] = &["alarm", "status", "hashkv", "hash", "defragment", "snapshot", "downgrade"];

pub async fn play(channel: &Channel, words: &[&str], show: Show) -> String {
    let mut client = MaintenanceClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    match words[0] {
        "alarm" => said(client.alarm(alarm_request(&words[1..])).await, alarms),
        "status" => {
            said(client.status(pb::StatusRequest {}).await, |status| {
                // Stock gives them in no order.
                let mut errors = status.errors.clone();
                errors.sort();
                format!("{errors:?}\n")
            })
        }
        "hashkv" => {
            let request = pb::HashKvRequest { revision: show.wire(number(words, "rev")) };
            said(client.hash_kv(request).await, |hash| {
                let revision = show.revision(hash.header.unwrap_or_default().revision);
                // A compaction before the script is none of its own.
                let compacted = show.revision(hash.compact_revision);
                let compacted = if compacted > 0 { compacted.to_string() } else { "before".into() };
                format!("compacted={compacted} rev={revision}\n")
            })
        }
        "hash" => said(client.hash(pb::HashRequest {}).await, |_| "hashed\n".into()),
        "defragment" => said(client.defragment(pb::DefragmentRequest {}).await, |_| "defragmented\n".into()),
        "downgrade" => {
            use pb::downgrade_request::DowngradeAction;
            let action = DowngradeAction::from_str_name(&words[1].to_uppercase()).expect("an action") as i32;
            let version = words.get(2).unwrap_or(&"").to_string();
            let answer = client.downgrade(pb::DowngradeRequest { action, version }).await;
            said(answer, |answer| format!("version={}\n", answer.version))
        }
        "snapshot" => match snapshot(&mut client).await {
            Ok(line) => line,
            Err(status) => failed(&status),
        },
        other => panic!("{other} is no word of maintenance"),
    }
}

fn alarm_request(words: &[&str]) -> pb::AlarmRequest {
    let kind = |word: &str| pb::AlarmType::from_str_name(word).expect("a kind of alarm") as i32;
    match words {
        ["get"] => pb::AlarmRequest::default(),
        ["get", alarm] => pb::AlarmRequest { alarm: kind(alarm), ..Default::default() },
        [verb, id, alarm] => pb::AlarmRequest {
            action: if *verb == "activate" { 1 } else { 2 },
            member_id: id.parse().expect("a member id"),
            alarm: kind(alarm),
        },
        _ => panic!("alarm {words:?}"),
    }
}

fn alarms(response: &pb::AlarmResponse) -> String {
    let mut rows: Vec<String> = response
        .alarms
        .iter()
        .map(|alarm| format!("{} {}", alarm.member_id, alarm.alarm().as_str_name()))
        .collect();
    // Stock gives them in no order.
    rows.sort();
    format!("alarms {rows:?}\n")
}

async fn snapshot(client: &mut MaintenanceClient<Channel>) -> Result<String, Status> {
    let mut chunks = client.snapshot(pb::SnapshotRequest {}).await?.into_inner();
    let mut blobs = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        blobs.push((chunk.blob, chunk.remaining_bytes));
    }
    let (seal, _) = blobs.pop().expect("a snapshot has a hash");
    let data: Vec<u8> = blobs.iter().flat_map(|(blob, _)| blob.to_vec()).collect();
    let mut left = data.len() as u64;
    let counts_down = blobs.iter().all(|(blob, remaining)| {
        left -= blob.len() as u64;
        *remaining == left
    });
    let sealed = Sha256::digest(&data)[..] == seal[..];
    Ok(format!("pages={} sealed={sealed} counts_down={counts_down}\n", data.len().is_multiple_of(4096)))
}
