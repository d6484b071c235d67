//! Answers about leases: the header's fields stand beside their own.

use balsa_proto::etcd::etcdserverpb as pb;
use serde::Serialize;

use super::{Header, base64};

#[derive(Serialize)]
pub(super) struct Grant<'a> {
    #[serde(flatten)]
    header: Header,
    #[serde(rename = "ID")]
    id: i64,
    #[serde(rename = "TTL")]
    ttl: i64,
    #[serde(rename = "Error")]
    error: &'a str,
}

#[derive(Serialize)]
pub(super) struct KeepAlive {
    #[serde(flatten)]
    header: Header,
    #[serde(rename = "ID")]
    id: i64,
    #[serde(rename = "TTL")]
    ttl: i64,
}

#[derive(Serialize)]
pub(super) struct TimeToLive {
    #[serde(flatten)]
    header: Header,
    id: i64,
    ttl: i64,
    #[serde(rename = "granted-ttl")]
    granted_ttl: i64,
    /// `null` without keys.
    keys: Option<Vec<String>>,
}

impl From<&pb::LeaseTimeToLiveResponse> for TimeToLive {
    fn from(response: &pb::LeaseTimeToLiveResponse) -> Self {
        let keys: Vec<String> = response.keys.iter().map(|key| base64(key)).collect();
        Self {
            header: Header::from(&response.header),
            id: response.id,
            ttl: response.ttl,
            granted_ttl: response.granted_ttl,
            keys: (!keys.is_empty()).then_some(keys),
        }
    }
}

#[derive(Serialize)]
struct LeaseId {
    id: i64,
}

#[derive(Serialize)]
pub(super) struct Leases {
    #[serde(flatten)]
    header: Header,
    leases: Vec<LeaseId>,
}

impl<'a> From<&'a pb::LeaseGrantResponse> for Grant<'a> {
    fn from(lease: &'a pb::LeaseGrantResponse) -> Self {
        Self { header: Header::from(&lease.header), id: lease.id, ttl: lease.ttl, error: &lease.error }
    }
}

impl From<&pb::LeaseKeepAliveResponse> for KeepAlive {
    fn from(lease: &pb::LeaseKeepAliveResponse) -> Self {
        Self { header: Header::from(&lease.header), id: lease.id, ttl: lease.ttl }
    }
}

impl From<&pb::LeaseLeasesResponse> for Leases {
    fn from(response: &pb::LeaseLeasesResponse) -> Self {
        let leases = response.leases.iter().map(|lease| LeaseId { id: lease.id }).collect();
        Self { header: Header::from(&response.header), leases }
    }
}
