//! The response as it came over the wire, for programs with a protobuf parser.

use balsa_proto::etcd::etcdserverpb as pb;
use prost::Message;

use super::Answer;

/// `None` for answers that are no single response. Answers about leases are the header alone, bare: so prints stock.
pub fn show(answer: &Answer) -> Option<Vec<u8>> {
    Some(match answer {
        Answer::Get { response, .. } => response.encode_to_vec(),
        Answer::Put(response) => response.encode_to_vec(),
        Answer::Del(response) => response.encode_to_vec(),
        Answer::Txn(response) => response.encode_to_vec(),
        Answer::Watch(response) => response.encode_to_vec(),
        Answer::LeaseGrant(pb::LeaseGrantResponse { header, .. })
        | Answer::LeaseTimeToLive { response: pb::LeaseTimeToLiveResponse { header, .. }, .. }
        | Answer::LeaseKeepAlive(pb::LeaseKeepAliveResponse { header, .. })
        | Answer::LeaseList(pb::LeaseLeasesResponse { header, .. }) => {
            header.unwrap_or_default().encode_to_vec()
        }
        Answer::LeaseRevoke { response, .. } => response.encode_to_vec(),
        Answer::MemberList(response) => response.encode_to_vec(),
        Answer::MemberAdd { response, .. } => response.encode_to_vec(),
        Answer::MemberChange { response, .. } => response.encode_to_vec(),
        Answer::Alarms(response) => response.encode_to_vec(),
        // An empty message: stock leaves its header out as well.
        Answer::MoveLeader { .. } => Vec::new(),
        Answer::Downgrade { response, .. } => response.encode_to_vec(),
        Answer::AuthStatus(response) => response.encode_to_vec(),
        Answer::RoleGet { response, .. } => response.encode_to_vec(),
        Answer::RoleList(response) => response.encode_to_vec(),
        Answer::UserGet { response, .. } => response.encode_to_vec(),
        Answer::UserList(response) => response.encode_to_vec(),
        Answer::Done { header, .. } => pb::AuthEnableResponse { header: *header }.encode_to_vec(),
        Answer::EndpointStatus(_) | Answer::EndpointHealth(_) | Answer::EndpointHashKv(_) => return None,
    })
}
