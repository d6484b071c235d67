//! Validation of volumes: one source each, and what each source needs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::check::{Check, Errors, one_of, value_named};
use super::super::names;
use super::super::walk::{items, join, text};
use super::container::relative;
use super::validate::{must_have, references};
use crate::error::FieldError;

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Returns the volume names, for the mounts.
pub(super) fn all<'v>(volumes: &'v [Value], path: &str, errors: &mut Errors) -> BTreeSet<&'v str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = text(volume, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(join(&path, "name"), ""));
        } else {
            value_named(name, &join(&path, "name"), names::dns_label, errors);
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(join(&path, "name"), name));
            }
        }
        source(volume, &path, errors);
    }
    seen
}

fn source(volume: &Value, path: &str, errors: &mut Errors) {
    let mut sources = 0;
    for (kind, source) in volume.as_object().into_iter().flatten().filter(|(key, _)| *key != "name") {
        sources += 1;
        let path = join(path, kind);
        if sources > 1 {
            errors.push(FieldError::forbidden(path, "may not specify more than 1 volume type"));
        } else {
            details(kind, source, &path, errors);
        }
    }
    if sources == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn details(kind: &str, source: &Value, path: &str, errors: &mut Errors) {
    match kind {
        "hostPath" => {
            must_have(source, path, "path", errors);
            one_of(source, path, "type", HOST_PATH_TYPES, errors);
        }
        "configMap" => {
            must_have(source, path, "name", errors);
            mode_and_items(source, path, errors);
        }
        "secret" => {
            must_have(source, path, "secretName", errors);
            mode_and_items(source, path, errors);
        }
        "persistentVolumeClaim" => must_have(source, path, "claimName", errors),
        "nfs" => {
            must_have(source, path, "server", errors);
            must_have(source, path, "path", errors);
        }
        "csi" => must_have(source, path, "driver", errors),
        "projected" => projected(source, path, errors),
        "downwardAPI" => mode(source, path, errors),
        _ => {}
    }
}

fn mode(source: &Value, path: &str, errors: &mut Errors) {
    let checks = &[Check::Range("", "defaultMode", 0, 0o777)];
    let mut found = Vec::new();
    super::super::check::run(source, checks, &mut found);
    errors.extend(found.into_iter().map(|mut error| {
        error.field = join(path, "defaultMode");
        error.detail = "must be a number between 0 and 0777 (octal), both inclusive".to_owned();
        error
    }));
}

fn mode_and_items(source: &Value, path: &str, errors: &mut Errors) {
    mode(source, path, errors);
    key_paths(source, path, errors);
}

fn key_paths(source: &Value, path: &str, errors: &mut Errors) {
    references(
        source,
        &[Check::Required("items[]", "key"), Check::Required("items[]", "path")],
        path,
        errors,
    );
    for (index, item) in items(source, "/items").iter().enumerate() {
        relative(item, &format!("{path}.items[{index}]"), "path", errors);
    }
}

fn projected(source: &Value, path: &str, errors: &mut Errors) {
    mode(source, path, errors);
    for (index, part) in items(source, "/sources").iter().enumerate() {
        let path = format!("{path}.sources[{index}]");
        for kind in ["configMap", "secret"] {
            if let Some(part) = part.get(kind) {
                must_have(part, &join(&path, kind), "name", errors);
                key_paths(part, &join(&path, kind), errors);
            }
        }
        if let Some(token) = part.get("serviceAccountToken") {
            token_source(token, &join(&path, "serviceAccountToken"), errors);
        }
    }
}

fn token_source(token: &Value, path: &str, errors: &mut Errors) {
    must_have(token, path, "path", errors);
    if let Some(seconds) = token.get("expirationSeconds").and_then(Value::as_i64)
        && seconds < 600
    {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(join(path, "expirationSeconds"), seconds, detail));
    }
}
