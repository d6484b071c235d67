//! A gRPC status as HTTP: the code of the response and its body. Source: grpc-gateway v1.

use http::StatusCode;
use tonic::{Code, Status};

use super::to_json::string;

pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The body instead of an answer.
pub fn body(status: &Status) -> String {
    let mut message = String::new();
    string(status.message(), &mut message);
    format!(r#"{{"error":{message},"message":{message},"code":{}}}"#, status.code() as i32)
}

/// The last line of a stream that failed.
pub fn line(status: &Status) -> String {
    let http = http_status(status.code());
    let mut message = String::new();
    string(status.message(), &mut message);
    format!(
        "{{\"error\":{{\"grpc_code\":{},\"http_code\":{},\"message\":{message},\"http_status\":\"{}\"}}}}\n",
        status.code() as i32,
        http.as_u16(),
        http.canonical_reason().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_reads() {
        let status = Status::permission_denied("etcdserver: permission \"denied\"");
        assert_eq!(http_status(status.code()), 403);
        assert_eq!(
            body(&status),
            r#"{"error":"etcdserver: permission \"denied\"","message":"etcdserver: permission \"denied\"","code":7}"#
        );
        assert_eq!(
            line(&status),
            "{\"error\":{\"grpc_code\":7,\"http_code\":403,\"message\":\"etcdserver: permission \\\"denied\\\"\",\"http_status\":\"Forbidden\"}}\n"
        );
    }
}
