//! Answers about users and roles.

use balsa_proto::etcd::etcdserverpb as pb;
use serde::Serialize;

use super::{Header, base64, zero};

#[derive(Serialize)]
pub(super) struct Status {
    header: Header,
    #[serde(skip_serializing_if = "zero")]
    enabled: bool,
    #[serde(rename = "authRevision", skip_serializing_if = "zero")]
    auth_revision: u64,
}

impl From<&pb::AuthStatusResponse> for Status {
    fn from(response: &pb::AuthStatusResponse) -> Self {
        Self {
            header: Header::from(&response.header),
            enabled: response.enabled,
            auth_revision: response.auth_revision,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Role {
    header: Header,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    perm: Vec<Permission>,
}

#[derive(Serialize)]
struct Permission {
    #[serde(rename = "permType", skip_serializing_if = "zero")]
    kind: i32,
    #[serde(skip_serializing_if = "zero")]
    key: String,
    #[serde(skip_serializing_if = "zero")]
    range_end: String,
}

impl From<&pb::AuthRoleGetResponse> for Role {
    fn from(response: &pb::AuthRoleGetResponse) -> Self {
        let permissions = response.perm.iter().map(|permission| Permission {
            kind: permission.perm_type,
            key: base64(&permission.key),
            range_end: base64(&permission.range_end),
        });
        Self { header: Header::from(&response.header), perm: permissions.collect() }
    }
}

#[derive(Serialize)]
pub(super) struct Roles<'a> {
    header: Header,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    roles: &'a [String],
}

impl<'a> Roles<'a> {
    pub(super) fn new(header: &Option<pb::ResponseHeader>, roles: &'a [String]) -> Self {
        Self { header: Header::from(header), roles }
    }
}

#[derive(Serialize)]
pub(super) struct Users<'a> {
    header: Header,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    users: &'a [String],
}

impl<'a> From<&'a pb::AuthUserListResponse> for Users<'a> {
    fn from(response: &'a pb::AuthUserListResponse) -> Self {
        Self { header: Header::from(&response.header), users: &response.users }
    }
}
