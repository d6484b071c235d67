//! REST reads: get, list and watch from the words of the query to the verbs.

use http::StatusCode;

use super::body::Answer;
use super::negotiate::{Wanted, accepts_gzip};
use super::query::Query;
use super::render;
use super::resource::Request;
use super::watching::{self, invalid_options, parse_version};
use crate::error::{ApiError, FieldError};
use crate::pipeline::{Api, Target};
use crate::verbs::list::{ListOptions, VersionMatch};
use crate::verbs::select::Selection;
use crate::verbs::{get, list};

pub async fn get(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let version = parse_version(request.query.text("resourceVersion"))?;
    let object = get::get(api, target, version).await?;
    Ok(render::answer(StatusCode::OK, target.kind, wanted, &object))
}

pub async fn list(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let selection = selection(target, &request.query)?;
    let listed = list::list(api, target, &selection, &list_options(&request.query)?).await?;
    Ok(render::list_answer(target.kind, wanted, listed, accepts_gzip(&request.headers)))
}

pub async fn watch(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    let wanted = Wanted::from_request(&request.headers, &request.query)?;
    let mut selection = selection(target, &request.query)?;
    if !target.name.is_empty() && selection.name().is_none() {
        let by_name = format!("metadata.name={}", target.name);
        selection.fields = Selection::parse(target, "", &by_name)?.fields;
    }
    let asked =
        watching::Asked { query: &request.query, wanted, selection, shutdown: request.shutdown.clone() };
    watching::answer(api, target, asked).await
}

pub fn selection(target: &Target, query: &Query) -> Result<Selection, ApiError> {
    Selection::parse(target, query.text("labelSelector"), query.text("fieldSelector"))
}

fn list_options(query: &Query) -> Result<ListOptions, ApiError> {
    if query.find("sendInitialEvents").is_some() {
        let detail = "sendInitialEvents is forbidden for list";
        return Err(invalid_options(FieldError::forbidden("sendInitialEvents", detail)));
    }
    let limit = query.number::<i64>("limit")?.unwrap_or(0).max(0) as usize;
    let continue_token = query.text("continue").to_owned();
    let version = parse_version(query.text("resourceVersion"))?;
    if !continue_token.is_empty() && version.is_some_and(|version| version != 0) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    let matching = query.text("resourceVersionMatch");
    let version = match (matching, version) {
        ("", None) => VersionMatch::MostRecent,
        // Older clients page with a version and mean that very one.
        ("", Some(version)) if limit > 0 && version > 0 => VersionMatch::Exact(version),
        ("" | "NotOlderThan", Some(version)) => VersionMatch::NotOlderThan(version),
        ("Exact", Some(0)) => {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            return Err(invalid_options(FieldError::forbidden("resourceVersionMatch", detail)));
        }
        ("Exact", Some(version)) => VersionMatch::Exact(version),
        ("Exact" | "NotOlderThan", None) => {
            let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            return Err(invalid_options(FieldError::forbidden("resourceVersionMatch", detail)));
        }
        (other, _) => {
            let error = FieldError::not_supported("resourceVersionMatch", other, &["Exact", "NotOlderThan"]);
            return Err(invalid_options(error));
        }
    };
    Ok(ListOptions { version, limit, continue_token })
}
