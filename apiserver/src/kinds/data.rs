//! Configuration data: ConfigMap, Secret, ServiceAccount.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::bounds::DATA_BYTES;
use super::check::{Errors, value_named};
use super::default_rules::{Constant::*, Rule, fill};
use super::fields::mirror;
use super::walk::{child, entries, flag, remove, set, text};
use super::{Hooks, names};
use crate::error::FieldError;
use crate::schema::json_syntax::first_error;

pub(super) const CONFIG_MAP: Hooks = Hooks {
    validate: validate_config_map,
    validate_update: |new, old| frozen(new, old, &["data", "binaryData"]),
    ..Hooks::NONE
};

pub(super) const SECRET: Hooks = Hooks {
    default: default_secret,
    prepare_update: |new, old| {
        if text(new, "/type").is_empty() {
            super::walk::keep(new, old, "type");
        }
    },
    validate: validate_secret,
    validate_update: update_secret,
    fields: |secret| vec![mirror(secret, "type", "/type")],
    ..Hooks::NONE
};

pub(super) const SERVICE_ACCOUNT: Hooks = Hooks::NONE;

/// `stringData` is a convenience of the writer: it ends up, encoded, in `data`.
fn default_secret(secret: &mut Value) {
    fill(secret, &[Rule("", "type", Text("Opaque"))]);
    let Some(Value::Object(plain)) = remove(secret, "stringData") else { return };
    if plain.is_empty() {
        return;
    }
    let data = child(secret, "data");
    for (key, value) in plain {
        set(data, &key, STANDARD.encode(value.as_str().unwrap_or_default()));
    }
}

fn validate_config_map(map: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut bytes = keys(map, "data", &mut errors);
    let plain: BTreeSet<&String> = entries(map, "/data").map(|(key, _)| key).collect();
    bytes += keys(map, "binaryData", &mut errors);
    for (key, _) in entries(map, "/binaryData").filter(|(key, _)| plain.contains(key)) {
        errors.push(FieldError::invalid(
            format!("data[{key}]"),
            key.as_str(),
            "duplicate of key present in binaryData",
        ));
    }
    too_large(bytes, "", &mut errors);
    errors
}

fn validate_secret(secret: &Value) -> Errors {
    let mut errors = Vec::new();
    let bytes = keys(secret, "data", &mut errors);
    too_large(bytes, "data", &mut errors);
    required_keys(secret, &mut errors);
    errors
}

/// Checks the keys and returns the size of the values, in bytes.
fn keys(object: &Value, field: &str, errors: &mut Errors) -> usize {
    let encoded = field == "binaryData" || text(object, "/kind") == "Secret";
    let mut bytes = 0;
    for (key, value) in entries(object, &format!("/{field}")) {
        value_named(key, &format!("{field}[{key}]"), names::config_key, errors);
        let length = value.as_str().map_or(0, str::len);
        // Base64 makes four bytes of three.
        bytes += if encoded { length / 4 * 3 } else { length };
    }
    bytes
}

fn too_large(bytes: usize, field: &str, errors: &mut Errors) {
    if bytes > DATA_BYTES {
        errors.push(FieldError::too_long(field, DATA_BYTES));
    }
}

/// Well-known types promise certain keys to their readers.
fn required_keys(secret: &Value, errors: &mut Errors) {
    let has = |key: &str| secret.get("data").is_some_and(|data| data.get(key).is_some());
    match text(secret, "/type") {
        "kubernetes.io/service-account-token" => {
            let account = secret
                .pointer("/metadata/annotations")
                .and_then(|a| a.get("kubernetes.io/service-account.name"));
            if account.and_then(Value::as_str).is_none_or(str::is_empty) {
                let path = "metadata.annotations[kubernetes.io/service-account.name]";
                errors.push(FieldError::required(path, ""));
            }
        }
        "kubernetes.io/dockercfg" => need_json(secret, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => need_json(secret, ".dockerconfigjson", errors),
        "kubernetes.io/ssh-auth" => need(&["ssh-privatekey"], has, errors),
        "kubernetes.io/tls" => need(&["tls.crt", "tls.key"], has, errors),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            need(&["username", "password"], has, errors);
        }
        _ => {}
    }
}

fn need(keys: &[&str], has: impl Fn(&str) -> bool, errors: &mut Errors) {
    for key in keys.iter().filter(|key| !has(key)) {
        errors.push(FieldError::required(format!("data[{key}]"), ""));
    }
}

/// A JSON object; the complaint does not show what is secret.
fn need_json(secret: &Value, key: &str, errors: &mut Errors) {
    let Some(encoded) = secret["data"].get(key).and_then(Value::as_str) else {
        return need(&[key], |_| false, errors);
    };
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<Map<String, Value>>(&bytes) {
        let why = first_error(&bytes).unwrap_or_else(|| error.to_string());
        errors.push(FieldError::invalid(format!("data[{key}]"), "<secret contents redacted>", why));
    }
}

fn update_secret(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    super::check::immutable(new, old, "/type", &mut errors);
    errors.extend(frozen(new, old, &["data"]));
    errors
}

/// Once `immutable` is set, neither it nor the data changes again.
fn frozen(new: &Value, old: &Value, fields: &[&str]) -> Errors {
    if !flag(old, "/immutable") {
        return Vec::new();
    }
    let text = "field is immutable when `immutable` is set";
    let mut errors = Vec::new();
    if !flag(new, "/immutable") {
        errors.push(FieldError::forbidden("immutable", text));
    }
    for field in fields.iter().filter(|field| new.get(**field) != old.get(**field)) {
        errors.push(FieldError::forbidden(*field, text));
    }
    errors
}
