//! REST writes: create, update, patch, delete and the subresources that are written to.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, WARNING};
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::body::{self, Answer};
use super::negotiate::{Wanted, accepts_gzip};
use super::resource::Request;
use super::{reading, render};
use crate::cache::CachedObject;
use crate::error::{ApiError, FieldError, GroupKind, Status, StatusDetails};
use crate::kinds;
use crate::pipeline::body::{Decoded, decode_plain};
use crate::pipeline::{Api, Target, Writer, reviews};
use crate::schema::FieldValidation;
use crate::schema::managed_fields::apply_body;
use crate::verbs::delete::DeleteOptions;
use crate::verbs::patch::{Patch, PatchType};
use crate::verbs::{
    apply, binding, create, delete, delete_collection, eviction, finalize, patch, scale, update,
};

const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Kinds whose deletion answers with the object instead of a Status; so the stock server.
const RETURNED_WHEN_DELETED: &[&str] = &[
    "pods",
    "services",
    "serviceaccounts",
    "podtemplates",
    "persistentvolumes",
    "persistentvolumeclaims",
    "resourcequotas",
];

pub async fn create(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let writer = writer(request)?;
    match target.subresource.as_str() {
        "" => {}
        "binding" => return bind(api, target, &writer, request).await,
        "eviction" => return evict(api, target, writer, request).await,
        "token" => return token(api, target, request, wanted).await,
        _ => return Err(ApiError::method_not_allowed()),
    }
    let Decoded { object, warnings } = decoded(target.kind, request)?;
    if target.kind.prefix().is_none() {
        let (code, value) = reviews::answer(api, target, &writer, object).await?;
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::CREATED);
        return Ok(render::value_answer(code, wanted, &value));
    }
    let made = create::create(api, target, &writer, object).await?;
    Ok(warned(render::answer(StatusCode::CREATED, target.kind, wanted, &made), &warnings))
}

async fn bind(api: &Api, target: &Target, writer: &Writer, request: &Request) -> Result<Answer, ApiError> {
    let binding = decode_plain(request, "Binding")?;
    binding::bind(api, target, writer, &binding).await?;
    Ok(created_status())
}

async fn evict(
    api: &Api,
    target: &Target,
    mut writer: Writer,
    request: &Request,
) -> Result<Answer, ApiError> {
    let eviction = decode_plain(request, "Eviction")?;
    writer.dry_run |= eviction["deleteOptions"]["dryRun"].as_array().is_some_and(|list| !list.is_empty());
    eviction::evict(api, target, &writer, &eviction).await?;
    Ok(created_status())
}

async fn token(api: &Api, target: &Target, request: &Request, wanted: Wanted) -> Result<Answer, ApiError> {
    let wish = decode_plain(request, "TokenRequest")?;
    let issued = reviews::token(api, target, wish)?;
    Ok(render::value_answer(StatusCode::CREATED, wanted, &issued))
}

fn created_status() -> Answer {
    let mut status = Status::success(None);
    status.code = 201;
    body::status(&status)
}

pub async fn update(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let writer = writer(request)?;
    if target.subresource == "scale" {
        let wish = decode_plain(request, "Scale")?;
        let value = scale::update(api, target, &writer, &wish).await?;
        return Ok(render::value_answer(StatusCode::OK, wanted, &value));
    }
    let Decoded { object, warnings } = decoded(target.kind, request)?;
    let (code, object) = if target.subresource == "finalize" {
        (StatusCode::OK, finalize::finalize(api, target, &writer, &object).await?)
    } else {
        let written = update::update(api, target, &writer, object).await?;
        (if written.created { StatusCode::CREATED } else { StatusCode::OK }, written.object)
    };
    Ok(warned(render::answer(code, target.kind, wanted, &object), &warnings))
}

pub async fn patch(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let mut writer = writer(request)?;
    let content_type = content_type(request);
    if content_type == "application/apply-patch+yaml" {
        return apply_patch(api, target, &mut writer, request, wanted).await;
    }
    if request.query.find("force").is_some() {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "PatchOptions"), "", vec![error]));
    }
    let patch_type = match content_type {
        "application/json-patch+json" => PatchType::Json,
        "application/merge-patch+json" => PatchType::Merge,
        "application/strategic-merge-patch+json" => PatchType::Strategic,
        _ => return Err(ApiError::unsupported_media_type(PATCH_TYPES)),
    };
    let patch = Patch { patch_type, body: &request.body, validation: validation(request)? };
    if target.subresource == "scale" {
        let value = scale::patch(api, target, &writer, &patch).await?;
        return Ok(render::value_answer(StatusCode::OK, wanted, &value));
    }
    let (object, warnings) = patch::patch(api, target, &writer, &patch).await?;
    Ok(warned(render::answer(StatusCode::OK, target.kind, wanted, &object), &warnings))
}

async fn apply_patch(
    api: &Api,
    target: &Target,
    writer: &mut Writer,
    request: &Request,
    wanted: Wanted,
) -> Result<Answer, ApiError> {
    let manager = request.query.text("fieldManager");
    if manager.is_empty() {
        let error = FieldError::required("fieldManager", "is required for apply patch");
        return Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "PatchOptions"), "", vec![error]));
    }
    let validation = validation(request)?;
    let (object, warnings) = apply_body(&request.body, validation)?;
    let wish = apply::Apply { object, force: request.query.flag("force") };
    let written = apply::apply(api, target, writer, wish).await?;
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(warned(render::answer(code, target.kind, wanted, &written.object), &warnings))
}

pub async fn delete(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    if !target.subresource.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let options = delete_options(request)?;
    let mut writer = writer(request)?;
    writer.dry_run |= !options.dry_run.is_empty();
    let deleted = delete::delete(api, target, &writer, &options).await?;
    if deleted.gone && !RETURNED_WHEN_DELETED.contains(&target.kind.plural) {
        return Ok(body::status(&success(target, &deleted.object)));
    }
    let waits = !deleted.gone && matches!(options.policy(), Some("Foreground" | "Orphan"));
    let code = if waits { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(render::answer(code, target.kind, wanted, &deleted.object))
}

fn success(target: &Target, object: &Arc<CachedObject>) -> Status {
    Status::success(Some(StatusDetails {
        name: target.name.clone(),
        group: target.kind.group.to_owned(),
        kind: target.kind.plural.to_owned(),
        uid: object.uid.to_string(),
        ..Default::default()
    }))
}

pub async fn delete_collection(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let options = delete_options(request)?;
    let mut writer = writer(request)?;
    writer.dry_run |= !options.dry_run.is_empty();
    let selection = reading::selection(target, &request.query)?;
    let listed = delete_collection::delete_collection(api, target, &writer, &selection, &options).await?;
    Ok(render::list_answer(target.kind, wanted, listed, accepts_gzip(&request.headers)))
}

/// The body wins over the query.
fn delete_options(request: &Request) -> Result<DeleteOptions, ApiError> {
    let query = &request.query;
    if !request.body.is_empty() {
        return DeleteOptions::parse(&crate::pipeline::body::as_json(&request.body, content_type(request))?);
    }
    Ok(DeleteOptions {
        grace_period_seconds: query.number("gracePeriodSeconds")?,
        orphan_dependents: query.optional_flag("orphanDependents"),
        propagation_policy: query.find("propagationPolicy").map(str::to_owned),
        ..Default::default()
    })
}

fn writer(request: &Request) -> Result<Writer, ApiError> {
    let mut dry_run = false;
    for value in request.query.all("dryRun").filter(|value| !value.is_empty()) {
        if value != "All" {
            let error = FieldError::not_supported("dryRun", value, &["All"]);
            return Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "CreateOptions"), "", vec![error]));
        }
        dry_run = true;
    }
    let named = request.query.text("fieldManager");
    let manager = if named.is_empty() { product_of(request.user_agent()) } else { named.to_owned() };
    Ok(Writer { user: request.user.clone(), manager, dry_run })
}

/// `kubectl` of `kubectl/v1.32.0 (linux/amd64) …`; what managedFields names without `fieldManager`.
pub fn product_of(user_agent: &str) -> String {
    let product = user_agent.split('/').next().unwrap_or_default();
    if product.is_empty() { "unknown".to_owned() } else { product.chars().take(128).collect() }
}

fn decoded(kind: &'static kinds::Kind, request: &Request) -> Result<Decoded, ApiError> {
    crate::pipeline::body::decode(kind, &request.body, content_type(request), validation(request)?)
}

/// Without parameters; JSON if unset.
pub fn content_type(request: &Request) -> &str {
    let value =
        request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    value.split(';').next().unwrap_or_default().trim()
}

fn validation(request: &Request) -> Result<FieldValidation, ApiError> {
    match request.query.text("fieldValidation") {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => {
            let error = FieldError::not_supported("fieldValidation", other, &["Ignore", "Strict", "Warn"]);
            Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "CreateOptions"), "", vec![error]))
        }
    }
}

/// `Warning: 299 - "…"`, one header per text.
fn warned(mut answer: Answer, warnings: &[String]) -> Answer {
    warnings.iter().for_each(|text| warn(&mut answer, text));
    answer
}

/// One `Warning` header more.
pub fn warn(answer: &mut Answer, text: &str) {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
        answer.headers_mut().append(WARNING, value);
    }
}

/// The scale of a GET.
pub async fn get_scale(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let value: Value = scale::get(api, target).await?;
    Ok(render::value_answer(StatusCode::OK, wanted, &value))
}
