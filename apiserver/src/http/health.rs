//! `/livez`, `/readyz`, `/healthz`: named checks, each also under its own path; `?verbose` lists them.

use http::StatusCode;

use super::body::{self, Answer};
use super::query::Query;
use crate::pipeline::Api;

struct Check {
    name: &'static str,
    passes: bool,
}

/// None if the path is not about health.
pub async fn answer(api: &Api, path: &str, query: &Query, is_stopping: bool) -> Option<Answer> {
    let mut parts = path.trim_matches('/').splitn(2, '/');
    let group = parts.next()?;
    let one = parts.next();
    let checks = match group {
        "livez" => live_checks(),
        "healthz" => [live_checks(), ready_checks(api).await].concat_checks(),
        "readyz" => {
            let mut checks = [live_checks(), ready_checks(api).await].concat_checks();
            checks.push(Check { name: "shutdown", passes: !is_stopping });
            checks
        }
        _ => return None,
    };
    match one {
        None => Some(all(group, checks, query)),
        Some(name) => Some(single(checks.into_iter().find(|check| check.name == name))),
    }
}

trait ConcatChecks {
    fn concat_checks(self) -> Vec<Check>;
}

impl ConcatChecks for [Vec<Check>; 2] {
    fn concat_checks(self) -> Vec<Check> {
        self.into_iter().flatten().collect()
    }
}

fn live_checks() -> Vec<Check> {
    vec![Check { name: "ping", passes: true }]
}

async fn ready_checks(api: &Api) -> Vec<Check> {
    let etcd = api.store.check_health().await.is_ok();
    vec![
        Check { name: "etcd", passes: etcd },
        Check { name: "etcd-readiness", passes: etcd },
        Check { name: "informer-sync", passes: api.cache.is_filled() },
        Check { name: "poststarthook/rbac/bootstrap-roles", passes: api.is_bootstrapped() },
    ]
}

fn single(check: Option<Check>) -> Answer {
    match check {
        Some(check) if check.passes => body::text(StatusCode::OK, "ok"),
        Some(check) => {
            let text = format!("internal server error: {} failed: reason withheld\n", check.name);
            body::text(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
        None => body::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn all(group: &str, checks: Vec<Check>, query: &Query) -> Answer {
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut text = String::new();
    let mut passes = true;
    for check in checks {
        if excluded.contains(&check.name) {
            text.push_str(&format!("[+]{} excluded: ok\n", check.name));
        } else if check.passes {
            text.push_str(&format!("[+]{} ok\n", check.name));
        } else {
            passes = false;
            text.push_str(&format!("[-]{} failed: reason withheld\n", check.name));
        }
    }
    if !passes {
        text.push_str(&format!("{group} check failed\n"));
        return body::text(StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    if !query.flag("verbose") {
        return body::text(StatusCode::OK, "ok");
    }
    text.push_str(&format!("{group} check passed\n"));
    body::text(StatusCode::OK, text)
}
