//! `/health`, `/livez` and `/readyz`: can this member serve reads? Source: etcd v3.6 `etcdhttp/health.go`.

use http::{Response, StatusCode};
use tonic::body::Body;

use super::page;
use crate::error::Error;
use crate::status::Identity;

/// One question of a health page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] =
    &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, identity: &Identity) -> Result<(), String> {
        match self {
            // Corruption of the log or the state stops the member, so that there is nobody to ask.
            Check::DataCorruption | Check::SerializableRead => Ok(()),
            Check::LinearizableRead => read(identity).await.map_err(|error| error.to_string()),
            Check::NonLearner if identity.status().is_learner => Err("the member is a learner".to_owned()),
            Check::NonLearner => Ok(()),
        }
    }
}

async fn read(identity: &Identity) -> Result<(), Error> {
    identity.consensus.read_barrier().await
}

/// `/health`: JSON for those who have always asked it.
pub async fn health(identity: &Identity, query: &str) -> Response<Body> {
    let serializable = parameters(query).any(|(key, value)| key == "serializable" && value == "true");
    let outcome = if identity.consensus.leadership().leader.is_none() && !serializable {
        Err("RAFT NO LEADER".to_owned())
    } else if serializable {
        Ok(())
    } else {
        read(identity).await.map_err(|error| format!("RANGE ERROR:{error}"))
    };
    let (status, healthy, reason) = match outcome {
        Ok(()) => (StatusCode::OK, "true", String::new()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, "false", reason),
    };
    let body = serde_json::json!({ "health": healthy, "reason": reason });
    page(status, "application/json", body.to_string())
}

/// The checks behind `/livez`, `/readyz`, or one of their sub-paths.
pub fn check_of(path: &str) -> Option<(&'static str, Vec<Check>)> {
    let (name, all, rest) = match (path.strip_prefix("/livez"), path.strip_prefix("/readyz")) {
        (Some(rest), _) => ("livez", LIVEZ, rest),
        (_, Some(rest)) => ("readyz", READYZ, rest),
        (None, None) => return None,
    };
    match rest.trim_end_matches('/').strip_prefix('/') {
        None if rest.trim_end_matches('/').is_empty() => Some((name, all.to_vec())),
        None => None,
        Some(one) => {
            let check = all.iter().copied().find(|check| check.name() == one)?;
            Some((name, vec![check]))
        }
    }
}

/// `ok`, or a line per check when one failed or the query says `verbose`.
pub async fn checks(identity: &Identity, (name, checks): (&str, Vec<Check>), query: &str) -> Response<Body> {
    let excluded: Vec<&str> =
        parameters(query).filter(|(key, _)| *key == "exclude").map(|(_, value)| value).collect();
    let verbose = parameters(query).any(|(key, _)| key == "verbose");
    let (mut lines, mut failed) = (String::new(), false);
    for check in checks {
        let line = if excluded.contains(&check.name()) {
            format!("[+]{} excluded: ok\n", check.name())
        } else {
            match check.run(identity).await {
                Ok(()) => format!("[+]{} ok\n", check.name()),
                Err(reason) => {
                    failed = true;
                    format!("[-]{} failed: {reason}\n", check.name())
                }
            }
        };
        lines.push_str(&line);
    }
    let (status, body) = match (failed, verbose) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{lines}{name} check failed\n")),
        (false, true) => (StatusCode::OK, format!("{lines}{name} check passed\n")),
        (false, false) => (StatusCode::OK, "ok\n".to_owned()),
    };
    page(status, "text/plain; charset=utf-8", body)
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_checks() {
        let names =
            |path| check_of(path).map(|(_, checks)| checks.iter().map(|c| c.name()).collect::<Vec<_>>());
        assert_eq!(names("/livez"), Some(vec!["serializable_read"]));
        assert_eq!(names("/readyz/linearizable_read"), Some(vec!["linearizable_read"]));
        assert_eq!(names("/livez/linearizable_read"), None);
        assert_eq!(names("/livezzz"), None);
        assert_eq!(names("/else"), None);
    }
}
