//! `serviceaccounts/token`: signs a token, bound to a pod, a secret or a node if asked.
//!
//! In: a TokenRequest as posted. Out: the same with `status`. Unlike stock with its default
//! `--service-account-extend-token-expiration`, the lifetime is exactly the one asked for.

use jiff::Timestamp;
use jsonwebtoken::{Header, encode};
use serde_json::{Value, json};

use super::Authenticator;
use super::token::{Claims, KubernetesClaims, Reference};
use crate::authz::service_account_user;
use crate::cache::Reader;
use crate::error::{ApiError, FieldError, GroupKind, GroupResource};
use crate::kinds;

const DEFAULT_EXPIRATION_SECONDS: i64 = 3600;
const MIN_EXPIRATION_SECONDS: i64 = 600;
const MAX_EXPIRATION_SECONDS: i64 = 1 << 32;

struct Bound {
    node: Option<Reference>,
    pod: Option<Reference>,
    secret: Option<Reference>,
}

impl Authenticator {
    /// Answers `POST …/serviceaccounts/<name>/token`.
    pub fn create_token(
        &self,
        namespace: &str,
        name: &str,
        mut request: Value,
        now: Timestamp,
    ) -> Result<Value, ApiError> {
        let tokens = &self.inner.tokens;
        let reader = tokens.reader.as_ref();
        let account_uid = uid_of(reader, "serviceaccounts", namespace, name)?;
        let spec = &request["spec"];
        let expiration_seconds = match &spec["expirationSeconds"] {
            Value::Null => DEFAULT_EXPIRATION_SECONDS,
            given => given.as_i64().unwrap_or_default(),
        };
        check_expiration(expiration_seconds)?;
        let mut audiences: Vec<String> = spec["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if audiences.is_empty() {
            audiences = tokens.api_audiences.clone();
        }
        let bound = bind(reader, namespace, name, &spec["boundObjectRef"])?;
        let claims = Claims {
            aud: audiences.clone(),
            exp: now.as_second() + expiration_seconds,
            iat: now.as_second(),
            iss: tokens.issuer.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            kubernetes: KubernetesClaims {
                namespace: namespace.to_owned(),
                node: bound.node,
                pod: bound.pod,
                secret: bound.secret,
                serviceaccount: Reference { name: name.to_owned(), uid: account_uid },
            },
            nbf: now.as_second(),
            sub: service_account_user(namespace, name),
        };
        let signing = &tokens.keys.signing;
        let mut header = Header::new(signing.algorithm);
        header.typ = None;
        header.kid = Some(signing.key_id.clone());
        let token =
            encode(&header, &claims, &signing.key).map_err(|error| ApiError::internal(error.to_string()))?;
        request["metadata"] =
            json!({"name": name, "namespace": namespace, "creationTimestamp": rfc3339(now.as_second())});
        request["spec"]["audiences"] = audiences.into();
        request["spec"]["expirationSeconds"] = expiration_seconds.into();
        request["status"] = json!({"expirationTimestamp": rfc3339(claims.exp), "token": token});
        Ok(request)
    }
}

fn check_expiration(seconds: i64) -> Result<(), ApiError> {
    let complaint = if seconds < MIN_EXPIRATION_SECONDS {
        "may not specify a duration less than 10 minutes"
    } else if seconds > MAX_EXPIRATION_SECONDS {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let error = FieldError::invalid("spec.expirationSeconds", seconds, complaint);
    Err(ApiError::invalid(&GroupKind::new("authentication.k8s.io", "TokenRequest"), "", vec![error]))
}

fn bind(reader: &dyn Reader, namespace: &str, account: &str, wanted: &Value) -> Result<Bound, ApiError> {
    let mut bound = Bound { node: None, pod: None, secret: None };
    if !wanted.is_object() {
        return Ok(bound);
    }
    let text = |field: &str| wanted[field].as_str().unwrap_or_default();
    let name = text("name");
    match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => {
            let uid = bound_uid(reader, "pods", namespace, name, text("uid"))?;
            let pod = read(reader, "pods", namespace, name)?;
            if pod["spec"]["serviceAccountName"].as_str().unwrap_or_default() != account {
                return Err(ApiError::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            bound.pod = Some(Reference { name: name.to_owned(), uid });
            bound.node = node_of(reader, &pod);
        }
        ("v1", "Secret") => {
            let uid = bound_uid(reader, "secrets", namespace, name, text("uid"))?;
            bound.secret = Some(Reference { name: name.to_owned(), uid });
        }
        ("v1", "Node") => {
            let uid = bound_uid(reader, "nodes", "", name, text("uid"))?;
            bound.node = Some(Reference { name: name.to_owned(), uid });
        }
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    }
    Ok(bound)
}

/// The node that a bound pod runs on, if it is known.
fn node_of(reader: &dyn Reader, pod: &Value) -> Option<Reference> {
    let name = pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())?;
    let uid = uid_of(reader, "nodes", "", name).unwrap_or_default();
    Some(Reference { name: name.to_owned(), uid })
}

fn bound_uid(
    reader: &dyn Reader,
    plural: &str,
    namespace: &str,
    name: &str,
    expected: &str,
) -> Result<String, ApiError> {
    let uid = uid_of(reader, plural, namespace, name)?;
    if !expected.is_empty() && expected != uid {
        let message = format!(
            "the UID in the bound object reference ({expected}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict(&GroupResource::new("", plural), name, &message));
    }
    Ok(uid)
}

fn uid_of(reader: &dyn Reader, plural: &str, namespace: &str, name: &str) -> Result<String, ApiError> {
    kinds::lookup("", "v1", plural)
        .and_then(|kind| reader.get(kind, namespace, name))
        .map(|object| object.uid.to_string())
        .ok_or_else(|| ApiError::not_found(&GroupResource::new("", plural), name))
}

fn read(reader: &dyn Reader, plural: &str, namespace: &str, name: &str) -> Result<Value, ApiError> {
    kinds::lookup("", "v1", plural)
        .and_then(|kind| reader.get(kind, namespace, name))
        .map(|object| object.value())
        .ok_or_else(|| ApiError::not_found(&GroupResource::new("", plural), name))
}

/// Whole seconds, as `metav1.Time` prints them.
fn rfc3339(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds).unwrap_or_default().to_string()
}
