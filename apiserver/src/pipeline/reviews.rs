//! Kinds that are questions: answered at once, never stored. Also bindings posted as objects, and tokens.

use jiff::Timestamp;
use serde_json::Value;

use super::{Api, Target, Writer, meta, new_object};
use crate::error::ApiError;
use crate::verbs::binding;

/// The HTTP code and the body of the answer.
pub async fn answer(
    api: &Api,
    target: &Target,
    writer: &Writer,
    mut object: Value,
) -> Result<(u16, Value), ApiError> {
    target.kind.default(&mut object);
    let user = &writer.user;
    let reviewed = match target.kind.kind {
        "TokenReview" => api.authenticator.token_review(object),
        "SelfSubjectReview" => api.authenticator.self_subject_review(user, object),
        "SubjectAccessReview" => api.authorizer.subject_access_review(object)?,
        "SelfSubjectAccessReview" => api.authorizer.self_subject_access_review(user, object)?,
        "LocalSubjectAccessReview" => {
            api.authorizer.local_subject_access_review(&target.namespace, object)?
        }
        "SelfSubjectRulesReview" => api.authorizer.self_subject_rules_review(user, object)?,
        "Binding" => {
            new_object::settle_namespace(target, &mut object)?;
            let pods = crate::kinds::lookup("", "v1", "pods").ok_or_else(ApiError::unknown_resource)?;
            let pod = Target { kind: pods, subresource: "binding".into(), ..target.clone() };
            let pod = pod.named(&target.namespace, meta::text(&object, "name"));
            binding::bind(api, &pod, writer, &object).await?;
            let mut status = crate::error::Status::success(None);
            status.code = 201;
            return Ok((201, serde_json::to_value(status).map_err(ApiError::internal)?));
        }
        _ => return Err(ApiError::method_not_allowed()),
    };
    Ok((201, reviewed))
}

/// `serviceaccounts/token`.
pub fn token(api: &Api, target: &Target, request: Value) -> Result<Value, ApiError> {
    api.authenticator.create_token(&target.namespace, &target.name, request, Timestamp::now())
}
