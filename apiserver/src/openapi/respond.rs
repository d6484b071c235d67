//! Answers below `/openapi/`: which document, in which encoding, and whether the client has it already.

use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, VARY,
};
use http::{HeaderMap, StatusCode};

use super::{Document, v2_json, v2_protobuf, v3_group_version, v3_index};
use crate::error::ApiError;
use crate::http::body::{self, Answer};
use crate::http::negotiate::accepts_gzip;
use crate::http::query::Query;

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The older name, which is no valid media type; clients up to 1.2x ask with it.
const PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The URL has the hash of the content in it, so an answer never changes.
const FOREVER: &str = "public, immutable, max-age=31536000";
const CHECK_AGAIN: &str = "no-cache, private";

/// `path` is the request's path without a trailing slash.
pub fn respond(path: &str, query: &Query, headers: &HeaderMap) -> Result<Answer, ApiError> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match path.strip_prefix("/openapi/") {
        Some("v2") if wants_protobuf(accept) => Ok(answer(v2_protobuf(), PROTOBUF, CHECK_AGAIN, headers)),
        Some("v2") => Ok(answer(v2_json(), "application/json", CHECK_AGAIN, headers)),
        Some("v3") => Ok(answer(v3_index(), "application/json", CHECK_AGAIN, headers)),
        Some(rest) => {
            let found = rest.strip_prefix("v3/").and_then(v3_group_version);
            let document = found.ok_or_else(ApiError::unknown_resource)?;
            match query.text("hash") {
                "" => Ok(answer(document, "application/json", CHECK_AGAIN, headers)),
                hash if hash == document.hash() => Ok(answer(document, "application/json", FOREVER, headers)),
                _ => Ok(moved(path, document)),
            }
        }
        None => Err(ApiError::unknown_resource()),
    }
}

/// The first of the list that we have decides.
fn wants_protobuf(accept: &str) -> bool {
    let media = accept.split(',').map(|entry| entry.split(';').next().unwrap_or_default().trim());
    let first = media.into_iter().find(|media| {
        matches!(*media, PROTOBUF | PROTOBUF_OLD | "application/json" | "application/*" | "*/*")
    });
    matches!(first, Some(PROTOBUF | PROTOBUF_OLD))
}

fn answer(
    document: &Document,
    content_type: &'static str,
    cache: &'static str,
    headers: &HeaderMap,
) -> Answer {
    let etag = document.etag();
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut answer = if known.is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
        body::respond(StatusCode::NOT_MODIFIED, content_type, Vec::new())
    } else if accepts_gzip(headers) {
        let mut answer = body::respond(StatusCode::OK, content_type, document.gzip());
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        answer
    } else {
        body::respond(StatusCode::OK, content_type, document.plain())
    };
    let headers = answer.headers_mut();
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("hexadecimal in quotes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    answer
}

/// The client's hash is of another document: it is told where the present one is.
fn moved(path: &str, document: &Document) -> Answer {
    let mut answer = body::respond(StatusCode::MOVED_PERMANENTLY, "application/json", Vec::new());
    let location = format!("{path}?hash={}", document.hash());
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CHECK_AGAIN));
    answer
}
