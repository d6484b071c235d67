//! A new object from the client's form to the stored one.

use jiff::Timestamp;
use serde_json::Value;

use super::change::manager;
use super::meta::{format_time, metadata_mut, text};
use super::{Api, Target, Writer};
use crate::admission::{self, AdmissionContext, Operation};
use crate::authz::check_escalation;
use crate::error::ApiError;
use crate::schema::managed_fields;

/// Characters of generated names: no vowels, so that no words arise. Stock set and length.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_RANDOM_LENGTH: usize = 5;
/// Generated names stay within a DNS label.
const NAME_BASE_LENGTH: usize = 63 - NAME_RANDOM_LENGTH;

/// Settles namespace and name: the path's and the body's must agree.
pub fn settle_identity(target: &mut Target, object: &mut Value) -> Result<(), ApiError> {
    settle_namespace(target, object)?;
    let metadata = metadata_mut(object);
    let generate = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    target.name = if name.is_empty() && !generate.is_empty() { generated_name(&generate) } else { name };
    if target.name.is_empty() {
        metadata.remove("name");
    } else {
        metadata.insert("name".into(), target.name.clone().into());
    }
    Ok(())
}

pub fn settle_namespace(target: &Target, object: &mut Value) -> Result<(), ApiError> {
    let metadata = metadata_mut(object);
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !target.kind.namespaced {
        metadata.remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != target.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata.insert("namespace".into(), target.namespace.clone().into());
    Ok(())
}

pub fn generated_name(base: &str) -> String {
    let mut name: String = base.chars().take(NAME_BASE_LENGTH).collect();
    let alphabet = NAME_ALPHABET;
    name.extend((0..NAME_RANDOM_LENGTH).map(|_| char::from(alphabet[rand::random_range(0..alphabet.len())])));
    name
}

/// Defaults, system metadata, admission, validation. `object` is in the target's version on entry and in the
/// stored version on return. `applied`: managed fields have been computed by apply already.
pub async fn make(
    api: &Api,
    target: &Target,
    writer: &Writer,
    object: &mut Value,
    applied: bool,
) -> Result<(), ApiError> {
    if !text(object, "resourceVersion").is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(ApiError::new(500, "InternalError", message, None));
    }
    target.kind.default(object);
    target.kind.to_hub(object);
    let hub = target.kind.stored();
    set_system_fields(object);
    hub.prepare_create(object);
    let context = AdmissionContext {
        operation: Operation::Create,
        kind: target.kind,
        subresource: "",
        namespace: &target.namespace,
        name: &target.name,
        user: &writer.user,
        dry_run: writer.dry_run,
        reader: &api.cache,
    };
    admission::admit(&context, object, None).await?;
    check_escalation(&api.authorizer, &writer.user, &target.info("create"), object, None)?;
    hub.default(object);
    let errors = hub.validate(object);
    if !errors.is_empty() {
        return Err(ApiError::invalid(&target.group_kind(), &target.name, errors));
    }
    if !applied {
        managed_fields::update(hub, None, object, &manager(target, writer, "Update"));
    }
    Ok(())
}

fn set_system_fields(object: &mut Value) {
    let metadata = metadata_mut(object);
    for member in
        ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"]
    {
        metadata.remove(member);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), format_time(Timestamp::now()).into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_a_label() {
        let name = generated_name(&"a".repeat(80));
        assert_eq!(name.len(), 63);
        assert!(generated_name("web-").starts_with("web-"));
    }
}
