//! Impersonation (`kubectl --as`): the caller acts as somebody else, if it may `impersonate` every part.
//!
//! Each asked user, group, uid and extra value is one authorization check; the first refusal is the answer.

use std::collections::BTreeMap;

use http::HeaderMap;

use super::add_authenticated;
use super::token::service_account_groups;
use crate::authz::Authorizer;
use crate::error::ApiError;
use crate::request::{ANONYMOUS, GROUP_AUTHENTICATED, GROUP_UNAUTHENTICATED, RequestInfo, User};

const USER_HEADER: &str = "impersonate-user";
const GROUP_HEADER: &str = "impersonate-group";
const UID_HEADER: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";
const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";

pub fn is_impersonation(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("impersonate-"))
}

/// The user to go on with: `caller` itself if nobody else is asked for.
pub fn impersonate(authorizer: &Authorizer, caller: User, headers: &HeaderMap) -> Result<User, ApiError> {
    if !is_impersonation(headers) {
        return Ok(caller);
    }
    let asked = asked_user(headers)?;
    check(authorizer, &caller, &asked)?;
    Ok(completed(asked))
}

fn asked_user(headers: &HeaderMap) -> Result<User, ApiError> {
    let first =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let name = first(USER_HEADER);
    if name.is_empty() {
        return Err(ApiError::internal(
            "requested impersonation of groups, a uid or extra without impersonating a user",
        ));
    }
    let groups =
        headers.get_all(GROUP_HEADER).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned);
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (header, value) in headers {
        if let (Some(key), Ok(value)) = (header.as_str().strip_prefix(EXTRA_PREFIX), value.to_str()) {
            extra.entry(percent_decoded(key).to_lowercase()).or_default().push(value.to_owned());
        }
    }
    Ok(User { name, uid: first(UID_HEADER), groups: groups.collect(), extra })
}

fn check(authorizer: &Authorizer, caller: &User, asked: &User) -> Result<(), ApiError> {
    authorizer.require(caller, &user_request(&asked.name))?;
    for group in &asked.groups {
        authorizer.require(caller, &request("", "groups", "", group))?;
    }
    if !asked.uid.is_empty() {
        authorizer.require(caller, &request(AUTHENTICATION_GROUP, "uids", "", &asked.uid))?;
    }
    for (key, values) in &asked.extra {
        for value in values {
            authorizer.require(caller, &request(AUTHENTICATION_GROUP, "userextras", key, value))?;
        }
    }
    Ok(())
}

fn user_request(name: &str) -> RequestInfo {
    match service_account(name) {
        Some((namespace, account)) => {
            RequestInfo { namespace: namespace.to_owned(), ..request("", "serviceaccounts", "", account) }
        }
        None => request("", "users", "", name),
    }
}

fn request(group: &str, resource: &str, subresource: &str, name: &str) -> RequestInfo {
    RequestInfo {
        is_resource_request: true,
        verb: "impersonate".to_owned(),
        api_group: group.to_owned(),
        api_version: "v1".to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        name: name.to_owned(),
        ..RequestInfo::default()
    }
}

/// Adds the groups that the impersonated user would have had by itself.
fn completed(mut user: User) -> User {
    if user.groups.is_empty()
        && let Some((namespace, _)) = service_account(&user.name)
    {
        user.groups = service_account_groups(namespace);
        return user;
    }
    let is_classified = user.in_group(GROUP_AUTHENTICATED) || user.in_group(GROUP_UNAUTHENTICATED);
    if is_classified {
        return user;
    }
    if user.name == ANONYMOUS {
        user.groups.push(GROUP_UNAUTHENTICATED.to_owned());
    } else {
        add_authenticated(&mut user.groups);
    }
    user
}

fn service_account(user_name: &str) -> Option<(&str, &str)> {
    user_name.strip_prefix("system:serviceaccount:")?.split_once(':')
}

/// Extra keys may hold any character; clients send them percent-encoded. What is no valid escape stays.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}
