//! `--config-file`: the flags' names as keys of a YAML document. Given, it alone counts: flags and variables do not.
//!
//! The document becomes a command line, so that there is one place that knows what values mean. Its own ways are those
//! of etcd: TLS in two sections, durations as whole nanoseconds, lists where the command line has commas. A key that is
//! no flag is an error, which etcd overlooks.

use std::path::{Path, PathBuf};

use clap::{Arg, Args as _, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::environment::IGNORED;
use super::spelling;
use crate::args::Args;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("--config-file {path} cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--config-file {path} is not a YAML mapping of settings: {reason}")]
    Form { path: PathBuf, reason: String },
    #[error("--config-file {path}: {reason}")]
    Setting { path: PathBuf, reason: String },
}

/// The sections, and what their keys are called on the command line where the section's prefix alone does not say it.
const SECTIONS: [(&str, &str); 2] = [("client-transport-security", ""), ("peer-transport-security", "peer-")];
const IN_SECTIONS: [(&str, &str, &str); 5] = [
    ("", "allowed-hostname", "client-cert-allowed-hostname"),
    ("", "allowed-hostnames", "client-cert-allowed-hostname"),
    ("peer-", "allowed-cn", "peer-cert-allowed-cn"),
    ("peer-", "allowed-hostname", "peer-cert-allowed-hostname"),
    ("peer-", "skip-client-san-verification", "peer-skip-client-san-verification"),
];

/// Flags that hold a duration: a bare number is nanoseconds here.
const DURATIONS: [&str; 13] = [
    "backend-batch-interval",
    "compact-hash-check-time",
    "compaction-sleep-interval",
    "corrupt-check-time",
    "downgrade-check-time",
    "grpc-keepalive-interval",
    "grpc-keepalive-min-time",
    "grpc-keepalive-timeout",
    "raft-read-timeout",
    "raft-write-timeout",
    "warning-apply-duration",
    "warning-unary-request-duration",
    "watch-progress-notify-interval",
];

pub fn read(path: &Path) -> Result<Args, FileError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|error| match error {
        Broken::Form(reason) => FileError::Form { path: path.to_owned(), reason },
        Broken::Setting(reason) => FileError::Setting { path: path.to_owned(), reason },
    })
}

#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    Form(String),
    Setting(String),
}

pub fn parse(text: &str) -> Result<Args, Broken> {
    let document: Option<Map<String, Value>> =
        serde_saphyr::from_str(text).map_err(|error| Broken::Form(error.to_string()))?;
    let line = command_line(document.unwrap_or_default()).map_err(Broken::Setting)?;
    // The environment does not count beside a file.
    let command = Args::augment_args(Command::new("store").no_binary_name(true))
        .mut_args(|arg| arg.env(None::<&'static str>))
        .arg(Arg::new(IGNORED).default_value("yes").hide(true));
    let matches = command.try_get_matches_from(line).map_err(|error| Broken::Setting(first_line(&error)))?;
    Args::from_arg_matches(&matches).map_err(|error| Broken::Setting(first_line(&error)))
}

/// clap's errors go on with a usage that is not about a file.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn command_line(document: Map<String, Value>) -> Result<Vec<String>, String> {
    let mut line = Vec::new();
    for (key, value) in document {
        let section = SECTIONS.iter().find(|(section, _)| *section == key);
        match (section, value) {
            (Some((_, prefix)), Value::Object(settings)) => {
                for (key, value) in settings {
                    line.extend(word(&in_section(prefix, &key), value)?);
                }
            }
            (Some(_), _) => return Err(format!("{key} must be a mapping")),
            (None, value) => line.extend(word(spelling::newer(&key), value)?),
        }
    }
    Ok(line)
}

fn in_section(prefix: &str, key: &str) -> String {
    let renamed = IN_SECTIONS.iter().find(|(of, name, _)| *of == prefix && *name == key);
    renamed.map_or_else(|| format!("{prefix}{key}"), |(_, _, flag)| (*flag).to_owned())
}

/// Nothing for an empty value: it means the default.
fn word(flag: &str, value: Value) -> Result<Option<String>, String> {
    let text = match value {
        Value::Array(items) => {
            let items: Vec<String> =
                items.into_iter().map(|item| scalar(flag, item)).collect::<Result<_, _>>()?;
            items.join(",")
        }
        value => scalar(flag, value)?,
    };
    Ok((!text.is_empty()).then(|| format!("--{flag}={text}")))
}

fn scalar(flag: &str, value: Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) if DURATIONS.contains(&flag) => Ok(format!("{number}ns")),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text),
        Value::Array(_) | Value::Object(_) => Err(format!("{flag} must be one value, or a list of values")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_stock_etcd_is_read() {
        let args = parse(
            "name: a\nheartbeat-interval: 50\ngrpc-keepalive-timeout: 3000000000\nstrict-reconfig-check: false\n\
             listen-metrics-urls: http://127.0.0.1:1\ndiscovery: null\nlog-outputs: [stderr]\nproxy: 'off'\n\
             experimental-watch-progress-notify-interval: 5000000000\nwarning-apply-duration: 200000000\n\
             client-transport-security:\n  cert-file: c.pem\n  auto-tls: true\n\
             peer-transport-security:\n  cert-file: p.pem\n  allowed-cn: x\n",
        )
        .expect("reads");
        assert_eq!(args.name, "a");
        assert_eq!(args.heartbeat_interval, 50);
        assert_eq!(args.serving.grpc_keepalive_timeout.as_secs(), 3);
        assert_eq!(args.serving.watch_progress_notify_interval.as_secs(), 5);
        assert_eq!(args.serving.warning_apply_duration.as_millis(), 200);
        assert!(!args.strict_reconfig_check && args.tls.auto_tls);
        assert_eq!(args.tls.cert_file.as_deref(), Some(Path::new("c.pem")));
        assert_eq!(args.tls.peer_cert_file.as_deref(), Some(Path::new("p.pem")));
        assert_eq!(args.tls.peer_cert_allowed_cn, ["x"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let broken = |text: &str| match parse(text).expect_err("refused") {
            Broken::Form(reason) | Broken::Setting(reason) => reason,
        };
        assert!(broken("nonsense: 1").contains("--nonsense"));
        assert!(broken("unsafe-no-fsync: true").contains("majority of disks"));
        assert!(broken("name: {a: b}").contains("name must be one value"));
        assert!(broken("client-transport-security: yes").contains("must be a mapping"));
    }
}
