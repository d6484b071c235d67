//! Who asks, and for what: the two values that authentication, authorization, admission and the verbs share.
//!
//! `RequestInfo::parse` turns a method, path and query into the words that RBAC rules use.
//! Source: k8s.io/apiserver `endpoints/request` (behaviour).

use std::collections::BTreeMap;

use crate::error::GroupResource;

/// The caller, after authentication and impersonation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

pub const ANONYMOUS: &str = "system:anonymous";
pub const GROUP_UNAUTHENTICATED: &str = "system:unauthenticated";
pub const GROUP_AUTHENTICATED: &str = "system:authenticated";
pub const GROUP_MASTERS: &str = "system:masters";

impl User {
    pub fn anonymous() -> Self {
        User { name: ANONYMOUS.into(), groups: vec![GROUP_UNAUTHENTICATED.into()], ..Default::default() }
    }

    /// The apiserver itself (bootstrap objects, loopback work).
    pub fn apiserver() -> Self {
        User {
            name: "system:apiserver".into(),
            groups: vec![GROUP_MASTERS.into(), GROUP_AUTHENTICATED.into()],
            ..Default::default()
        }
    }

    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|mine| mine == group)
    }
}

/// What a request asks for, in the words of RBAC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// false: `path` and `verb` (lower-case HTTP method) are all there is.
    pub is_resource_request: bool,
    /// `get list watch create update patch delete deletecollection`; `get`, `post`, … for plain paths.
    pub verb: String,
    /// `api` or `apis`; empty for plain paths.
    pub api_prefix: String,
    pub api_group: String,
    pub api_version: String,
    /// Empty where none is in the path. For the namespace resource itself: its name.
    pub namespace: String,
    /// The plural.
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// Path after the subresource (proxy verbs), without a leading slash.
    pub rest: String,
    pub path: String,
}

impl RequestInfo {
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.api_group, &self.resource)
    }

    /// `method` in upper case; `query` as in the request line, without the question mark.
    pub fn parse(method: &str, path: &str, query: &str) -> RequestInfo {
        let mut info =
            RequestInfo { path: path.to_owned(), verb: method.to_ascii_lowercase(), ..Default::default() };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some(rest) = info.take_group(&parts) else { return info };
        info.is_resource_request = true;
        info.verb = verb_of(method).to_owned();
        info.take_resource(rest);
        if info.name.is_empty() {
            info.widen_verb(query);
        }
        info
    }

    /// Consumes `/api/v1` or `/apis/<group>/<version>`; None if nothing is left to name a resource.
    fn take_group<'p, 's>(&mut self, parts: &'p [&'s str]) -> Option<&'p [&'s str]> {
        let (prefix, rest) = parts.split_first()?;
        let rest = match *prefix {
            "api" => rest,
            "apis" => {
                let (group, rest) = rest.split_first()?;
                if rest.len() >= 2 {
                    self.api_group = (*group).to_owned();
                }
                rest
            }
            _ => return None,
        };
        let (version, rest) = rest.split_first()?;
        if rest.is_empty() {
            self.api_group.clear();
            return None;
        }
        self.api_prefix = (*prefix).to_owned();
        self.api_version = (*version).to_owned();
        Some(rest)
    }

    fn take_resource(&mut self, rest: &[&str]) {
        let rest = match rest {
            // Deprecated `/watch/` prefix: still what a few tools use.
            ["watch", tail @ ..] if !tail.is_empty() => {
                self.verb = "watch".to_owned();
                tail
            }
            all => all,
        };
        let rest = match rest {
            ["namespaces", namespace, tail @ ..] => {
                self.namespace = (*namespace).to_owned();
                match tail {
                    // `status` and `finalize` are the namespace's own subresources, not resources in it.
                    [] | ["status" | "finalize", ..] => rest,
                    _ => tail,
                }
            }
            all => all,
        };
        let mut parts = rest.iter();
        let mut next = || parts.next().map(|part| (*part).to_owned()).unwrap_or_default();
        self.resource = next();
        self.name = next();
        self.subresource = next();
        self.rest = parts.copied().collect::<Vec<_>>().join("/");
    }

    /// A GET or DELETE without a name is about the collection.
    fn widen_verb(&mut self, query: &str) {
        match self.verb.as_str() {
            "get" if asks_watch(query) => self.verb = "watch".into(),
            "get" => self.verb = "list".into(),
            "delete" => self.verb = "deletecollection".into(),
            _ => {}
        }
    }
}

fn verb_of(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "GET" | "HEAD" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

fn asks_watch(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "watch" | "watch=" | "watch=1" | "watch=true" | "watch=True"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, target: &str, expect: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let info = RequestInfo::parse(method, path, query);
        let text = if info.is_resource_request {
            format!(
                "{} {}/{} ns={} {} {} {} {}",
                info.verb,
                info.api_group,
                info.api_version,
                info.namespace,
                info.resource,
                info.name,
                info.subresource,
                info.rest
            )
        } else {
            format!("path {} {}", info.verb, info.path)
        };
        assert_eq!(text.trim_end(), expect, "{method} {target}");
    }

    #[test]
    fn paths_become_the_words_of_rbac() {
        check("GET", "/api/v1/pods", "list /v1 ns= pods");
        check("GET", "/api/v1/pods?watch=1", "watch /v1 ns= pods");
        check("GET", "/api/v1/namespaces/a/pods/p", "get /v1 ns=a pods p");
        check("GET", "/api/v1/namespaces/a/pods/p/log", "get /v1 ns=a pods p log");
        check("POST", "/apis/apps/v1/namespaces/a/deployments", "create apps/v1 ns=a deployments");
        check(
            "DELETE",
            "/apis/apps/v1/namespaces/a/deployments",
            "deletecollection apps/v1 ns=a deployments",
        );
        check("GET", "/api/v1/namespaces/a", "get /v1 ns=a namespaces a");
        check("PUT", "/api/v1/namespaces/a/finalize", "update /v1 ns=a namespaces a finalize");
        check("GET", "/api/v1/namespaces", "list /v1 ns= namespaces");
        check("GET", "/api/v1/nodes/n/proxy/logs/x", "get /v1 ns= nodes n proxy logs/x");
        check("GET", "/apis/apps/v1", "path get /apis/apps/v1");
        check("GET", "/healthz", "path get /healthz");
        check("GET", "/api/v1", "path get /api/v1");
    }
}
