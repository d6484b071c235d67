//! Pages of the peer port: what a member that wants to join asks for. Source: etcd v3.6 `etcdhttp/peer.go`.

use http::{HeaderName, HeaderValue, Response, StatusCode};
use tonic::body::Body;

use super::{JSON, page};
use crate::membership::join::{CLUSTER_ID_HEADER, PageMember};
use crate::status::Identity;

/// `/members`.
pub fn members(identity: &Identity) -> Response<Body> {
    let table = identity.mvcc.members();
    let members: Vec<PageMember> = table.iter().cloned().map(PageMember::from).collect();
    let body = serde_json::to_string(&members).expect("strings and numbers become JSON");
    of_cluster(identity, page(StatusCode::OK, JSON, body + "\n"))
}

/// Says which cluster the page is about.
pub fn of_cluster(identity: &Identity, mut page: Response<Body>) -> Response<Body> {
    let id = HeaderValue::try_from(format!("{:x}", identity.cluster_id)).expect("hexadecimal digits");
    page.headers_mut().insert(HeaderName::from_static(CLUSTER_ID_HEADER), id);
    page
}
