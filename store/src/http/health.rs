//! `/health`, `/livez` and `/readyz`: can this member serve reads? Source: etcd v3.6 `etcdhttp/health.go`.

use balsa_proto::etcd::etcdserverpb::AlarmType;
use http::{Response, StatusCode};
use tonic::body::Body;

use super::text;
use crate::error::Error;
use crate::metrics::{HealthChecks, Metrics};
use crate::status::Identity;

/// One question of a health page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

pub const LIVEZ: &[Check] = &[Check::SerializableRead];
pub const READYZ: &[Check] =
    &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

impl Check {
    pub fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, identity: &Identity) -> Result<(), String> {
        match self {
            Check::DataCorruption if identity.mvcc.alarms().any(AlarmType::Corrupt) => {
                Err("alarm activated: CORRUPT".to_owned())
            }
            // Damage of the log or the state stops the member, so that there is nobody to ask.
            Check::DataCorruption | Check::SerializableRead => Ok(()),
            Check::LinearizableRead => read(identity).await.map_err(|error| error.to_string()),
            Check::NonLearner if identity.is_learner() => Err("the member is a learner".to_owned()),
            Check::NonLearner => Ok(()),
        }
    }
}

async fn read(identity: &Identity) -> Result<(), Error> {
    identity.consensus.read_barrier().await
}

/// `/health`: JSON for those who have always asked it.
pub async fn health(identity: &Identity, metrics: &Metrics, query: &str) -> Response<Body> {
    let serializable = parameters(query).any(|(key, value)| key == "serializable" && value == "true");
    let outcome = if let Some(alarm) = alarm(identity, query) {
        Err(format!("ALARM {alarm}"))
    } else if serializable {
        Ok(())
    } else if identity.consensus.leadership().leader.is_none() {
        Err("RAFT NO LEADER".to_owned())
    } else {
        read(identity).await.map_err(|error| format!("RANGE ERROR:{error}"))
    };
    let (status, healthy, reason) = match outcome {
        Ok(()) => (StatusCode::OK, true, String::new()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, false, reason),
    };
    if healthy {
        metrics.health_success.inc()
    } else {
        metrics.health_failures.inc()
    };
    let reason = serde_json::Value::from(reason);
    text(status, format!(r#"{{"health":"{healthy}","reason":{reason}}}"#))
}

/// The first alarm that the query does not exclude.
fn alarm(identity: &Identity, query: &str) -> Option<&'static str> {
    let alarms = identity.mvcc.alarms().of(AlarmType::None);
    let mut names = alarms.iter().map(|alarm| alarm.alarm().as_str_name());
    names.find(|name| !parameters(query).any(|(key, value)| key == "exclude" && value == *name))
}

/// What a path asks for.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    checks: &'static [Check],
    is_live: bool,
    /// One, by its own path.
    is_named: bool,
}

/// The checks behind `/livez`, `/readyz`, or one of their sub-paths.
pub fn check_of(path: &str) -> Option<Checks> {
    let (is_live, all, rest) = match (path.strip_prefix("/livez"), path.strip_prefix("/readyz")) {
        (Some(rest), _) => (true, LIVEZ, rest),
        (_, Some(rest)) => (false, READYZ, rest),
        (None, None) => return None,
    };
    if rest.is_empty() {
        return Some(Checks { checks: all, is_live, is_named: false });
    }
    let one = rest.strip_prefix('/')?;
    let at = all.iter().position(|check| check.name() == one)?;
    Some(Checks { checks: &all[at..=at], is_live, is_named: true })
}

/// `ok`; or a line per check when one failed or the query says `verbose`. An excluded check is not asked, unless it is
/// the one that the path names.
pub async fn checks(identity: &Identity, metrics: &Metrics, asked: &Checks, query: &str) -> Response<Body> {
    let counted: &HealthChecks = if asked.is_live { &metrics.livez } else { &metrics.readyz };
    let excluded: Vec<&str> =
        parameters(query).filter(|(key, _)| *key == "exclude").map(|(_, value)| value).collect();
    let verbose = parameters(query).any(|(key, _)| key == "verbose");
    let (mut lines, mut failed) = (String::new(), false);
    for check in asked.checks.iter().filter(|check| asked.is_named || !excluded.contains(&check.name())) {
        let outcome = check.run(identity).await;
        counted.count(*check, outcome.is_ok());
        match outcome {
            Ok(()) => lines.push_str(&format!("[+]{} ok\n", check.name())),
            Err(reason) => {
                failed = true;
                lines.push_str(&format!("[-]{} failed: {reason}\n", check.name()));
            }
        }
    }
    match (failed, verbose && !lines.is_empty()) {
        (true, _) => text(StatusCode::SERVICE_UNAVAILABLE, lines + "\n"),
        (false, true) => text(StatusCode::OK, lines + "ok\n"),
        (false, false) => text(StatusCode::OK, "ok\n"),
    }
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
            |path| check_of(path).map(|asked| asked.checks.iter().map(|c| c.name()).collect::<Vec<_>>());
        assert_eq!(names("/livez"), Some(vec!["serializable_read"]));
        assert_eq!(names("/readyz/linearizable_read"), Some(vec!["linearizable_read"]));
        assert_eq!(names("/livez/linearizable_read"), None);
        assert_eq!(names("/livezzz"), None);
        assert_eq!(names("/livez/"), None);
        assert_eq!(names("/else"), None);
    }
}
