//! What the gRPC library itself refuses, in the codes and words of Go's library, which clients of etcd know.

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::error::Error;

/// Costs a look at one header as long as a call goes well.
pub fn reworded(response: Response<Body>) -> Response<Body> {
    let status = Status::from_header_map(response.headers());
    match status.as_ref().and_then(gos) {
        Some(status) => status.into_http(),
        None => response,
    }
}

/// What nobody serves, with a word about what that is: the library says nothing. `path` is as it was called, `serves` tells
/// of services.
pub fn unknown(response: Response<Body>, path: &str, serves: impl FnOnce(&str) -> bool) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::Unimplemented && status.message().is_empty() => {
            Status::unimplemented(unknown_text(path, serves)).into_http()
        }
        _ => response,
    }
}

fn unknown_text(path: &str, serves: impl FnOnce(&str) -> bool) -> String {
    match path.strip_prefix('/').unwrap_or(path).rsplit_once('/') {
        None => format!("malformed method name: {path:?}"),
        Some((service, method)) if serves(service) => {
            format!("unknown method {method} for service {service}")
        }
        Some((service, _)) => format!("unknown service {service}"),
    }
}

/// The same of what ends the requests of a stream.
pub fn reworded_status(status: Status) -> Status {
    gos(&status).unwrap_or(status)
}

fn gos(status: &Status) -> Option<Status> {
    match status.code() {
        Code::OutOfRange => too_large(status.message()),
        Code::Internal => status.message().strip_prefix("failed to decode Protobuf message").map(malformed),
        _ => None,
    }
}

fn too_large(text: &str) -> Option<Status> {
    let sizes = text.strip_prefix("Error, decoded message length too large: found ")?;
    let (found, limit) = sizes.split_once(" bytes, the limit is: ")?;
    let limit = limit.strip_suffix(" bytes")?;
    Some(Status::resource_exhausted(format!("grpc: received message larger than max ({found} vs. {limit})")))
}

/// Only transactions nest. Ours may be some 50 deep, where stock etcd allows `--max-txn-ops`.
fn malformed(reason: &str) -> Status {
    if reason.ends_with("recursion limit reached") {
        return Error::TooManyOps.into();
    }
    let reason = reason.trim_start_matches(": ");
    Status::internal(format!("grpc: error unmarshalling request: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_named() {
        let rows = [
            ("/etcdserverpb.KV/Foo", "unknown method Foo for service etcdserverpb.KV"),
            ("/etcdserverpb.KV/", "unknown method  for service etcdserverpb.KV"),
            ("/foo.Bar/Baz", "unknown service foo.Bar"),
            ("/a/b/c", "unknown service a/b"),
            ("/etcdserverpb.KV", "malformed method name: \"/etcdserverpb.KV\""),
            ("/", "malformed method name: \"/\""),
        ];
        for (path, text) in rows {
            let nothing = Status::new(Code::Unimplemented, "").into_http();
            let response = unknown(nothing, path, |service| service == "etcdserverpb.KV");
            let status = Status::from_header_map(response.headers()).expect("a status");
            assert_eq!((status.code(), status.message()), (Code::Unimplemented, text));
        }
        let said = unknown(Status::unimplemented("not here").into_http(), "/a/b", |_| true);
        assert_eq!(Status::from_header_map(said.headers()).expect("a status").message(), "not here");
    }

    #[test]
    fn refusals_are_worded_as_in_go() {
        let rows = [
            (
                Status::out_of_range(
                    "Error, decoded message length too large: found 3145738 bytes, the limit is: 2097152 bytes",
                ),
                Code::ResourceExhausted,
                "grpc: received message larger than max (3145738 vs. 2097152)",
            ),
            (
                Status::internal(
                    "failed to decode Protobuf message: TxnRequest.success: recursion limit reached",
                ),
                Code::InvalidArgument,
                "etcdserver: too many operations in txn request",
            ),
            (
                Status::internal("failed to decode Protobuf message: invalid tag value: 0"),
                Code::Internal,
                "grpc: error unmarshalling request: invalid tag value: 0",
            ),
            (Error::Compacted.into(), Code::OutOfRange, Error::Compacted.text()),
        ];
        for (said, code, text) in rows {
            let response = reworded(said.into_http());
            let status = Status::from_header_map(response.headers()).expect("a status");
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }
}
