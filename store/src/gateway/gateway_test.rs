//! JSON to messages and back.

use bytes::Bytes;
use http_body_util::BodyExt;
use prost::Message;

use super::*;
use balsa_proto::etcd::etcdserverpb as pb;

fn id(method: &str) -> (MessageId, MessageId) {
    let method = schema().method(method).expect("a method");
    (method.input, method.output)
}

fn from(method: &str, json: &str) -> Result<Vec<u8>, String> {
    let value: Value = serde_json::from_str(json).expect("JSON");
    from_json::message(schema(), id(method).0, &value).map_err(|error| error.to_string())
}

fn to(method: &str, message: &impl Message) -> String {
    let mut out = String::new();
    to_json::write(schema(), id(method).1, message.encode_to_vec().into(), &mut out).expect("well-formed");
    out
}

#[test]
fn either_name_and_either_form_of_a_number() {
    let want = pb::RangeRequest {
        key: "a".into(),
        range_end: "b".into(),
        limit: 5,
        sort_order: 2,
        ..Default::default()
    };
    for json in [
        r#"{"key":"YQ==","range_end":"Yg==","limit":"5","sort_order":"DESCEND"}"#,
        r#"{"key":"YQ==","rangeEnd":"Yg==","limit":5,"sortOrder":2,"nobody knows":[{}]}"#,
        r#"{"key":"YQ==","range_end":"Yg==","limit":5,"sort_order":"DESCEND","serializable":null}"#,
    ] {
        let bytes = from("etcdserverpb.KV/Range", json).expect("a message");
        assert_eq!(pb::RangeRequest::decode(&bytes[..]).expect("a request"), want, "{json}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let rows = [
        (r#"[]"#, "a message must be a JSON object"),
        (r#"{"key":1}"#, "key must be a string"),
        (r#"{"key":"???"}"#, "key must be bytes in base64"),
        (r#"{"limit":1.5}"#, "limit must be a whole number that fits"),
        (r#"{"limit":"x"}"#, "limit must be a whole number that fits"),
        (r#"{"keys_only":"true"}"#, "keys_only must be true or false"),
        (r#"{"sort_order":"NOPE"}"#, "unknown value \"NOPE\" for enum etcdserverpb.RangeRequest.SortOrder"),
    ];
    for (json, want) in rows {
        assert_eq!(from("etcdserverpb.KV/Range", json), Err(want.to_owned()), "{json}");
    }
    let not_a_list = from("etcdserverpb.KV/Txn", r#"{"compare":{}}"#);
    assert_eq!(not_a_list, Err("compare must be a list".to_owned()));
}

#[test]
fn a_choice_is_shown_even_when_it_is_empty() {
    let put = pb::response_op::Response::ResponsePut(pb::PutResponse::default());
    let response = pb::TxnResponse {
        header: Some(pb::ResponseHeader { cluster_id: u64::MAX, revision: -1, ..Default::default() }),
        succeeded: true,
        responses: vec![pb::ResponseOp { response: Some(put) }, pb::ResponseOp { response: None }],
    };
    assert_eq!(
        to("etcdserverpb.KV/Txn", &response),
        r#"{"header":{"cluster_id":"18446744073709551615","revision":"-1"},"succeeded":true,"responses":[{"response_put":{}},{}]}"#
    );
}

#[test]
fn enums_have_names_and_strings_are_safe_in_html() {
    let alarm = pb::AlarmMember { member_id: 1, alarm: 1 };
    let response =
        pb::AlarmResponse { header: None, alarms: vec![alarm, pb::AlarmMember { member_id: 0, alarm: 9 }] };
    assert_eq!(
        to("etcdserverpb.Maintenance/Alarm", &response),
        r#"{"alarms":[{"memberID":"1","alarm":"NOSPACE"},{"alarm":9}]}"#
    );
    let users = pb::AuthUserListResponse { header: None, users: vec!["a<b>&\n\"é".into()] };
    assert_eq!(to("etcdserverpb.Auth/UserList", &users), r#"{"users":["a\u003cb\u003e\u0026\n\"é"]}"#);
}

#[tokio::test]
async fn a_body_is_one_object_after_the_other() {
    let input = id("etcdserverpb.Lease/LeaseKeepAlive").0;
    let parts = [r#"{"ID":"#, r#"7} {"ID""#, r#":"8"}"#, " "];
    let frames = stream::iter(parts.map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part)))));
    let mut messages = Messages::new(StreamBody::new(Box::pin(frames)), input, 100);
    let mut ids = Vec::new();
    while let Some(message) = messages.next().await.expect("a message") {
        ids.push(pb::LeaseKeepAliveRequest::decode(&message[..]).expect("a request").id);
    }
    assert_eq!(ids, [7, 8]);
}

#[tokio::test]
async fn a_body_that_is_cut_off_or_too_long_is_refused() {
    let input = id("etcdserverpb.KV/Range").0;
    let outcome = async |body: &'static str, max_bytes| {
        let mut messages = Messages::new(Full::<Bytes>::from(body), input, max_bytes);
        messages.next().await.map_err(|status| status.message().to_owned())
    };
    assert_eq!(outcome("", 10).await, Ok(None));
    assert!(outcome("{bad", 10).await.is_err());
    assert!(outcome("{\"key\":", 10).await.is_err());
    let too_long = outcome("{\"key\":\"YQ==\"}", 10).await;
    assert_eq!(too_long, Err("etcdserver: request is too large".to_owned()));
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_posted() {
    let nobody = tower::service_fn(async |_: Request<Body>| -> Result<Response<Body>, Infallible> {
        panic!("no service is asked")
    });
    for (verb, path, want) in [
        (Verb::POST, "/v3/nope", (404, "Not Found\n")),
        (Verb::GET, "/v3/kv/range", (405, "Method Not Allowed\n")),
        (Verb::POST, "/v3/kv/range/", (404, "Not Found\n")),
    ] {
        let mut request = Request::new(Full::<Bytes>::default());
        *request.method_mut() = verb;
        *request.uri_mut() = path.parse().expect("a path");
        let response = serve(nobody, request, 100).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!((status, &body[..]), (want.0, want.1.as_bytes()), "{path}");
    }
}
