//! ServiceAccount: every pod runs as one, and is given its token, the cluster's CA and its namespace.

use std::time::Duration;

use serde_json::{Value, json};

use super::{AdmissionContext, Patience};
use crate::error::ApiError;
use crate::kinds::walk::{child, each_mut, entries, items, set, text};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// One hour and a little: the odd seconds tell tokens of this volume from others in logs. Stock value.
const TOKEN_SECONDS: i64 = 3607;

/// The default account is made by a controller right after its namespace.
const DEFAULT_PATIENCE: Patience = Patience { attempts: 10, interval: Duration::from_millis(150) };
const NAMED_PATIENCE: Patience = Patience { attempts: 3, interval: Duration::from_millis(10) };

pub(super) async fn admit(ctx: &AdmissionContext<'_>, pod: &mut Value) -> Result<(), ApiError> {
    if !ctx.creates_pod() {
        return Ok(());
    }
    if entries(pod, "/metadata/annotations").any(|(key, _)| key == MIRROR) {
        return mirror(ctx, pod);
    }
    if text(pod, "/spec/serviceAccountName").is_empty() {
        set(child(pod, "spec"), "serviceAccountName", "default");
    }
    let name = text(pod, "/spec/serviceAccountName").to_owned();
    set(child(pod, "spec"), "serviceAccount", name.as_str());
    let patience = if name == "default" { DEFAULT_PATIENCE } else { NAMED_PATIENCE };
    let Some(account) = ctx.wait_for("serviceaccounts", ctx.namespace, &name, patience).await else {
        let namespace = ctx.namespace;
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
        );
        return Err(ctx.forbidden(&why));
    };
    let account = account.value();
    if wants_token(pod, &account) {
        mount_token(pod);
    }
    let secrets = items(&account, "/imagePullSecrets").to_vec();
    if items(pod, "/spec/imagePullSecrets").is_empty() && !secrets.is_empty() {
        set(&mut pod["spec"], "imagePullSecrets", secrets);
    }
    Ok(())
}

/// A mirror pod is the node's own: nothing of the API is mounted into it.
fn mirror(ctx: &AdmissionContext<'_>, pod: &Value) -> Result<(), ApiError> {
    if !text(pod, "/spec/serviceAccountName").is_empty() {
        return Err(ctx.forbidden("a mirror pod may not reference service accounts"));
    }
    let mut volumes = items(pod, "/spec/volumes").iter();
    let uses_token = |volume: &Value| {
        items(volume, "/projected/sources").iter().any(|source| source.get("serviceAccountToken").is_some())
    };
    if volumes.any(uses_token) {
        return Err(ctx.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

/// The pod's word counts before the account's; the default is yes.
fn wants_token(pod: &Value, account: &Value) -> bool {
    let said = pod.pointer("/spec/automountServiceAccountToken").and_then(Value::as_bool);
    said.or_else(|| account.get("automountServiceAccountToken").and_then(Value::as_bool)).unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let known = items(pod, "/spec/volumes").iter().map(|volume| text(volume, "/name"));
    let existing = known.filter(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned).next();
    let is_new = existing.is_none();
    let name = existing.unwrap_or_else(volume_name);
    let mut mounted = false;
    for list in ["spec.initContainers[]", "spec.containers[]"] {
        each_mut(pod, list, &mut |container| mounted |= mount(container, &name));
    }
    if mounted && is_new {
        push(&mut pod["spec"], "volumes", volume(&name));
    }
}

/// False if something else is mounted there already.
fn mount(container: &mut Value, volume: &str) -> bool {
    if items(container, "/volumeMounts").iter().any(|mount| text(mount, "/mountPath") == MOUNT_PATH) {
        return false;
    }
    push(container, "volumeMounts", json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
    true
}

fn push(place: &mut Value, field: &str, item: Value) {
    match place.get_mut(field).and_then(Value::as_array_mut) {
        Some(list) => list.push(item),
        None => set(place, field, vec![item]),
    }
}

fn volume_name() -> String {
    let random = (0..5).map(|_| char::from(NAME_ALPHABET[rand::random_range(0..NAME_ALPHABET.len())]));
    VOLUME_PREFIX.chars().chain(random).collect()
}

fn volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ],
            "defaultMode": 420,
        },
    })
}
