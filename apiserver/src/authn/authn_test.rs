//! Certificates, tokens and impersonation: who comes out, and what is a 401.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::{Authenticator, AuthnConfig, TokenKeys, impersonate};
use crate::authz::fake::FakeReader;
use crate::authz::{Authorizer, bootstrap};
use crate::pki::{Pki, PkiOptions};
use crate::request::User;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

struct World {
    _directory: tempfile::TempDir,
    pki: Pki,
    reader: Arc<FakeReader>,
    authenticator: Authenticator,
}

fn pki(directory: &std::path::Path) -> Pki {
    let options = PkiOptions {
        host_name: "n1".into(),
        advertise_address: [127, 0, 0, 1].into(),
        service_address: [10, 96, 0, 1].into(),
        cluster_domain: "cluster.local".into(),
        extra_sans: Vec::new(),
    };
    Pki::ensure(directory, &options).expect("certificates")
}

fn world() -> World {
    let directory = tempfile::tempdir().expect("temporary directory");
    let pki = pki(directory.path());
    let reader = Arc::new(FakeReader::default());
    let config = AuthnConfig {
        client_ca_pem: pki.ca_pem().to_owned(),
        token_keys: TokenKeys::from_pem(&pki.token_key().private_pem, &[]).expect("keys"),
        issuer: ISSUER.into(),
        api_audiences: Vec::new(),
        allows_anonymous: true,
    };
    let authenticator = Authenticator::new(config, reader.clone()).expect("authenticator");
    reader.put("serviceaccounts", &object("ServiceAccount", "a", "bot", "uid-sa", json!({})));
    reader.put("nodes", &object("Node", "", "n1", "uid-node", json!({})));
    reader.put(
        "pods",
        &object("Pod", "a", "p", "uid-pod", json!({"serviceAccountName": "bot", "nodeName": "n1"})),
    );
    World { _directory: directory, pki, reader, authenticator }
}

fn object(kind: &str, namespace: &str, name: &str, uid: &str, spec: Value) -> Value {
    let mut object =
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "uid": uid}, "spec": spec});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().expect("PEM")
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).expect("name"),
            HeaderValue::from_str(value).expect("value"),
        );
    }
    map
}

fn token(world: &World, spec: Value) -> Result<String, String> {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let answer = world.authenticator.create_token("a", "bot", request, Timestamp::now());
    answer
        .map(|answer| answer["status"]["token"].as_str().expect("token").to_owned())
        .map_err(|e| e.to_string())
}

fn with_token(world: &World, token: &str) -> Option<User> {
    let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    world.authenticator.authenticate(&[], &headers, "/api/v1/pods").ok()
}

#[test]
fn certificates_name_user_and_groups() {
    let world = world();
    let node = world.pki.issue_client("system:node:n1", &["system:nodes"]).expect("certificate");
    let user =
        world.authenticator.authenticate(&chain(&node.cert_pem), &HeaderMap::new(), "/api").expect("user");
    assert_eq!(user.name, "system:node:n1");
    assert_eq!(user.groups, ["system:nodes", "system:authenticated"]);
}

#[test]
fn foreign_and_serving_certificates_are_unauthorized_everywhere() {
    let world = world();
    let elsewhere = tempfile::tempdir().expect("temporary directory");
    let foreign =
        pki(elsewhere.path()).issue_client("kubernetes-admin", &["system:masters"]).expect("certificate");
    let serving = world.pki.serving().clone();
    for pem in [&foreign.cert_pem, &serving.cert_pem] {
        for path in ["/api/v1/pods", "/livez"] {
            let error =
                world.authenticator.authenticate(&chain(pem), &HeaderMap::new(), path).expect_err("401");
            assert_eq!((error.code(), error.to_string().as_str()), (401, "Unauthorized"), "{path}");
        }
    }
}

#[test]
fn anonymous_is_for_health_and_version_only() {
    let world = world();
    let table = [
        ("/livez", true),
        ("/readyz/etcd", true),
        ("/healthz", true),
        ("/version", true),
        ("/versions", false),
        ("/version/x", false),
        ("/api", false),
        ("/metrics", false),
        ("/openid/v1/jwks", false),
    ];
    for (path, is_open) in table {
        let result = world.authenticator.authenticate(&[], &HeaderMap::new(), path);
        assert_eq!(result.is_ok(), is_open, "{path}");
    }
    let garbage = headers(&[("authorization", "Bearer x.y.z")]);
    assert!(
        world.authenticator.authenticate(&[], &garbage, "/livez").is_err(),
        "a bad token is no anonymous"
    );
}

#[test]
fn tokens_live_as_long_as_what_they_are_bound_to() {
    let world = world();
    let bound = token(
        &world,
        json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-pod"}}),
    );
    let bound = bound.expect("token");
    let user = with_token(&world, &bound).expect("user");
    assert_eq!(user.name, "system:serviceaccount:a:bot");
    assert_eq!(user.uid, "uid-sa");
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
    assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
    assert_eq!(user.extra["authentication.kubernetes.io/node-uid"], ["uid-node"]);
    world.reader.remove("pods", "a", "p");
    assert_eq!(with_token(&world, &bound), None, "pod deleted");

    let plain = token(&world, json!({})).expect("token");
    assert!(with_token(&world, &plain).is_some());
    world.reader.put("serviceaccounts", &object("ServiceAccount", "a", "bot", "uid-other", json!({})));
    assert_eq!(with_token(&world, &plain), None, "account recreated");
}

#[test]
fn tokens_for_others_expired_or_forged_are_refused() {
    let world = world();
    let vault = token(&world, json!({"audiences": ["vault"]})).expect("token");
    assert_eq!(with_token(&world, &vault), None, "audience");
    let review = json!({"spec": {"token": vault, "audiences": ["vault", "other"]}});
    let review = world.authenticator.token_review(review);
    assert_eq!(review["status"]["authenticated"], true);
    assert_eq!(review["status"]["audiences"], json!(["vault"]));

    let long_ago = Timestamp::now() - jiff::SignedDuration::from_hours(3);
    let expired = world.authenticator.create_token("a", "bot", json!({"spec": {}}), long_ago).expect("token");
    assert_eq!(with_token(&world, expired["status"]["token"].as_str().expect("token")), None, "expired");

    let elsewhere = tempfile::tempdir().expect("temporary directory");
    let other = pki(elsewhere.path());
    let config = AuthnConfig {
        client_ca_pem: other.ca_pem().to_owned(),
        token_keys: TokenKeys::from_pem(&other.token_key().private_pem, &[]).expect("keys"),
        issuer: ISSUER.into(),
        api_audiences: Vec::new(),
        allows_anonymous: true,
    };
    let forger = Authenticator::new(config, world.reader.clone()).expect("authenticator");
    let forged = forger.create_token("a", "bot", json!({"spec": {}}), Timestamp::now()).expect("token");
    assert_eq!(with_token(&world, forged["status"]["token"].as_str().expect("token")), None, "forged");
}

#[test]
fn token_requests_are_checked() {
    let world = world();
    let table = [
        (
            json!({"expirationSeconds": 60}),
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
        ),
        (
            json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "old"}}),
            "Operation cannot be fulfilled on pods \"p\": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated",
        ),
        (json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "q"}}), "pods \"q\" not found"),
    ];
    for (spec, expected) in table {
        assert_eq!(token(&world, spec).expect_err("refused"), expected);
    }
}

#[test]
fn issuer_documents_name_the_key_of_the_tokens() {
    let world = world();
    let issued = token(&world, json!({})).expect("token");
    let key_id = jsonwebtoken::decode_header(&issued).expect("header").kid.expect("kid");
    let jwks = world.authenticator.jwks();
    assert_eq!(jwks["keys"][0]["kid"], key_id);
    assert_eq!(jwks["keys"][0]["use"], "sig");
    assert_eq!(jwks["keys"][0]["alg"], "ES256");
    let configuration = world.authenticator.openid_configuration("10.0.0.1:6443");
    assert_eq!(configuration["jwks_uri"], "https://10.0.0.1:6443/openid/v1/jwks");
    assert_eq!(configuration["id_token_signing_alg_values_supported"], json!(["ES256"]));
}

#[test]
fn impersonation_needs_the_right_for_every_part() {
    let world = world();
    for item in bootstrap::objects() {
        world.reader.put(item.plural, &item.object);
    }
    let authorizer = Authorizer::new(world.reader.clone());
    let root = User { name: "root".into(), groups: vec!["system:masters".into()], ..User::default() };
    let asked = headers(&[
        ("impersonate-user", "jane"),
        ("impersonate-group", "dev"),
        ("impersonate-extra-example.com%2Fscopes", "view"),
    ]);
    let jane = impersonate(&authorizer, root.clone(), &asked).expect("allowed");
    assert_eq!(jane.groups, ["dev", "system:authenticated"]);
    assert_eq!(jane.extra["example.com/scopes"], ["view"]);
    let account = headers(&[("impersonate-user", "system:serviceaccount:a:bot")]);
    let bot = impersonate(&authorizer, root, &account).expect("allowed");
    assert_eq!(bot.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
    let refused =
        impersonate(&authorizer, jane, &headers(&[("impersonate-user", "root")])).expect_err("no right");
    assert_eq!(
        refused.to_string(),
        r#"users "root" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope"#
    );
}
