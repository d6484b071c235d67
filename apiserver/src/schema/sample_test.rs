//! A full sample of every kind goes through everything unchanged.

use k8s_openapi::api::{apps, batch, core, networking, rbac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::decode::{self, FieldValidation};
use super::managed_fields::{Manager, apply, update};
use super::types::{Scalar, Type, Typed};
use super::{Gvk, patch};
use crate::kinds::{self, StorageClass};
use crate::openapi::types::KIND_TYPES;

/// Structs below this depth are left empty: JSONSchemaProps contains itself.
const MAX_DEPTH: usize = 12;

fn every_kind() -> impl Iterator<Item = Gvk<'static>> {
    KIND_TYPES.iter().map(|kind| Gvk { group: kind.group, version: kind.version, kind: kind.kind })
}

/// An object with every field of its kind.
fn sample(kind: Gvk<'_>) -> Value {
    let mut object = value(kind.typed().expect("a schema"), 0);
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

fn value(ty: Typed<'_>, depth: usize) -> Value {
    match ty.ty {
        Type::Scalar(scalar) => scalar_value(scalar),
        Type::Any => json!({"any": [1, null]}),
        Type::Struct(_) if depth >= MAX_DEPTH => json!({}),
        Type::Struct(id) => {
            let fields = ty.schemas.struct_(id).fields.iter();
            // Below the top, recursive structs would explode; their lists and structs are left out.
            let fields =
                fields.filter(|field| depth < 6 || matches!(field.ty, Type::Scalar(_)) || field.required);
            fields
                .map(|field| (field.name.to_string(), value(ty.with(field.ty), depth + 1)))
                .collect::<Map<_, _>>()
                .into()
        }
        Type::List(id) => json!([value(ty.with(ty.schemas.list(id).element), depth + 1)]),
        Type::Map(id) => json!({"key": value(ty.with(ty.schemas.map(id).element), depth + 1)}),
    }
}

fn scalar_value(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String => "text".into(),
        Scalar::Bool => true.into(),
        Scalar::Int32 | Scalar::Int64 => 7.into(),
        Scalar::Double => 0.5.into(),
        Scalar::Bytes => "Ynl0ZXM=".into(),
        Scalar::Time => "2026-11-21T10:00:00Z".into(),
        Scalar::MicroTime => "2026-11-21T10:00:00.123456Z".into(),
        Scalar::Quantity => "1500m".into(),
        Scalar::IntOrString => "25%".into(),
    }
}

#[test]
fn samples_decode_to_themselves() {
    for kind in every_kind() {
        let sample = sample(kind);
        let decoded = decode::object(kind, sample.to_string().as_bytes(), "json", FieldValidation::Strict);
        let decoded = decoded.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert_eq!(decoded.object, sample, "{kind:?}");
    }
}

#[test]
fn empty_patches_change_nothing() {
    for kind in every_kind() {
        let sample = sample(kind);
        assert_eq!(patch::strategic(kind, &sample, b"{}").expect("a patch"), sample);
        assert_eq!(patch::merge(kind, &sample, b"{}").expect("a patch"), sample);
        let whole = patch::strategic(kind, &sample, sample.to_string().as_bytes()).expect("a patch");
        let whole = decode::patched(kind, whole, FieldValidation::Strict).expect("a valid object");
        assert_eq!(
            whole.object,
            decode::patched(kind, sample, FieldValidation::Strict).expect("valid").object
        );
    }
}

/// Applying the same twice changes nothing, and neither does an update without a change.
#[test]
fn applies_and_updates_rest_at_their_fixpoint() {
    for kind in every_kind() {
        let manager = |operation: &str, second: u8| Manager {
            name: "m".into(),
            operation: operation.into(),
            api_version: kind.api_version(),
            subresource: String::new(),
            time: format!("2026-11-21T10:00:{second:02}Z"),
        };
        let sample = sample(kind);
        let once = apply(kind, None, &sample, &manager("Apply", 1), false);
        let once = once.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        let twice =
            apply(kind, Some(&once), &sample, &manager("Apply", 2), false).expect("no conflict with oneself");
        assert_eq!(once, twice, "{kind:?}");
        let mut updated = once.clone();
        update(kind, Some(&once), &mut updated, &manager("Update", 3));
        assert_eq!(once, updated, "{kind:?}");
    }
}

/// A patch that changes nothing goes through decoding and defaulting, and must give the same object again.
#[test]
fn decoding_and_defaulting_rest_at_their_fixpoint() {
    for kind in kinds::all().iter().filter(|kind| kind.storage != StorageClass::Virtual) {
        let bare = json!({"metadata": {"name": "x"}, "spec": {}});
        let bare = decode::patched(kind, bare, FieldValidation::Ignore).expect("a valid object").object;
        for mut object in [bare, sample(Gvk::from(kind))] {
            kind.default(&mut object);
            let again = decode::patched(kind, object.clone(), FieldValidation::Strict);
            let mut again = again.unwrap_or_else(|error| panic!("{}: {error}", kind.kind)).object;
            kind.default(&mut again);
            assert_eq!(again, object, "{}", kind.kind);
        }
    }
}

/// The tables agree with the Rust types: a full sample survives a round through them.
#[test]
fn samples_fit_the_rust_types() {
    round_trip::<core::v1::Pod>("v1", "Pod");
    round_trip::<core::v1::Node>("v1", "Node");
    round_trip::<core::v1::Service>("v1", "Service");
    round_trip::<core::v1::PersistentVolume>("v1", "PersistentVolume");
    round_trip::<apps::v1::Deployment>("apps/v1", "Deployment");
    round_trip::<apps::v1::DaemonSet>("apps/v1", "DaemonSet");
    round_trip::<batch::v1::CronJob>("batch/v1", "CronJob");
    round_trip::<networking::v1::Ingress>("networking.k8s.io/v1", "Ingress");
    round_trip::<rbac::v1::ClusterRole>("rbac.authorization.k8s.io/v1", "ClusterRole");
}

fn round_trip<T: DeserializeOwned + Serialize>(api_version: &str, kind: &str) {
    let sample = sample(Gvk::parse(api_version, kind).expect("an apiVersion"));
    let typed: T = serde_json::from_value(sample.clone()).expect("the sample fits the type");
    assert_eq!(serde_json::to_value(typed).expect("serializable"), sample);
}
