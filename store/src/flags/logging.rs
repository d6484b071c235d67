//! Where the log goes and what it looks like. Source: etcd v3.6 `server/embed/config_logging.go`; its texts.

use std::path::PathBuf;

use clap::ArgAction;
use serde::Deserialize;

/// etcd's default: 100 MB a file, and none is ever removed.
const DEFAULT_ROTATION: &str =
    r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#;
const DEFAULT_FILE_MEGABYTES: u64 = 100;

#[derive(Debug, Clone, clap::Args)]
pub struct LogFlags {
    /// Where the log goes: `default` (stderr), `stderr`, `stdout`, or files, separated by commas.
    #[arg(long, env = "ETCD_LOG_OUTPUTS", default_value = "default", value_delimiter = ',')]
    pub log_outputs: Vec<String>,

    /// Lines of JSON, or lines for reading by eye.
    #[arg(long, env = "ETCD_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,

    /// Begin a new log file when the old one has its size: needs one file among --log-outputs.
    #[arg(long, env = "ETCD_ENABLE_LOG_ROTATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub enable_log_rotation: bool,

    /// When, and which old log files are kept: maxsize (megabytes), maxage (days), maxbackups, localtime, compress.
    #[arg(long, env = "ETCD_LOG_ROTATION_CONFIG_JSON", default_value = DEFAULT_ROTATION)]
    pub log_rotation_config_json: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Json,
    Console,
}

/// What the flags come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    pub outputs: Vec<LogOutput>,
    pub format: LogFormat,
    /// Of the one file among the outputs.
    pub rotation: Option<Rotation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    Stderr,
    Stdout,
    File(PathBuf),
}

/// In the words of etcd's users. 0 days or backups: no bound.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    #[serde(rename = "maxsize")]
    pub max_megabytes: u64,
    #[serde(rename = "maxage")]
    pub max_days: u64,
    #[serde(rename = "maxbackups")]
    pub max_backups: usize,
    /// Backups are named by the machine's own time, and not by UTC.
    #[serde(rename = "localtime")]
    pub local_time: bool,
    pub compress: bool,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    #[error("multi logoutput for \"default\" is not supported yet")]
    DefaultAndMore,
    #[error("--log-outputs={0} is not supported: write to stderr, which systemd puts into its journal")]
    Journal(String),
    #[error("--log-outputs requires a single file path when --log-rotate-config-json is defined")]
    NotOneFile,
    #[error("improperly formatted log rotation config: {0}")]
    RotationForm(String),
    #[error("invalid log rotation config: {0}")]
    RotationValue(String),
}

impl LogFlags {
    pub fn settings(&self) -> Result<LogSettings, LogError> {
        let given: Vec<&str> =
            self.log_outputs.iter().map(|output| output.trim()).filter(|output| !output.is_empty()).collect();
        if given.len() > 1 && given.contains(&"default") {
            return Err(LogError::DefaultAndMore);
        }
        let outputs = given.into_iter().map(output).collect::<Result<Vec<_>, _>>()?;
        let rotation = self.enable_log_rotation.then(|| self.rotation(&outputs)).transpose()?;
        Ok(LogSettings { outputs, format: self.log_format, rotation })
    }

    fn rotation(&self, outputs: &[LogOutput]) -> Result<Rotation, LogError> {
        if outputs.iter().filter(|output| matches!(output, LogOutput::File(_))).count() != 1 {
            return Err(LogError::NotOneFile);
        }
        let parsed = serde_json::from_str(&self.log_rotation_config_json);
        let mut rotation: Rotation = parsed.map_err(|error| match error.is_data() {
            true => LogError::RotationValue(error.to_string()),
            false => LogError::RotationForm(error.to_string()),
        })?;
        if rotation.max_megabytes == 0 {
            rotation.max_megabytes = DEFAULT_FILE_MEGABYTES;
        }
        Ok(rotation)
    }
}

fn output(name: &str) -> Result<LogOutput, LogError> {
    match name {
        "default" | "stderr" => Ok(LogOutput::Stderr),
        "stdout" => Ok(LogOutput::Stdout),
        "systemd/journal" => Err(LogError::Journal(name.to_owned())),
        path => Ok(LogOutput::File(PathBuf::from(path.strip_prefix("file://").unwrap_or(path)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(outputs: &[&str], rotation: Option<&str>) -> Result<LogSettings, String> {
        let flags = LogFlags {
            log_outputs: outputs.iter().map(|output| (*output).to_owned()).collect(),
            log_format: LogFormat::Json,
            enable_log_rotation: rotation.is_some(),
            log_rotation_config_json: rotation.unwrap_or("ignored without rotation").to_owned(),
        };
        flags.settings().map_err(|error| error.to_string())
    }

    #[test]
    fn outputs_are_those_of_stock() {
        let outputs = |names: &[&str]| settings(names, None).map(|settings| settings.outputs);
        let file = |path: &str| LogOutput::File(PathBuf::from(path));
        assert_eq!(outputs(&["default"]), Ok(vec![LogOutput::Stderr]));
        assert_eq!(outputs(&["stdout", "stderr"]), Ok(vec![LogOutput::Stdout, LogOutput::Stderr]));
        assert_eq!(outputs(&["a/b.log", "file:///c.log"]), Ok(vec![file("a/b.log"), file("/c.log")]));
        let refused = outputs(&["default", "stderr"]).expect_err("refused");
        assert_eq!(refused, "multi logoutput for \"default\" is not supported yet");
        assert!(outputs(&["systemd/journal"]).expect_err("refused").contains("write to stderr"));
    }

    #[test]
    fn rotation_needs_one_file_and_a_form() {
        let rotation = |outputs: &[&str], json: &str| settings(outputs, Some(json));
        let found = rotation(&["a.log", "stderr"], r#"{"maxbackups": 3}"#).expect("taken").rotation;
        let want = Rotation { max_megabytes: 100, max_backups: 3, ..Rotation::default() };
        assert_eq!(found, Some(want));
        for outputs in [&["stderr"][..], &["a.log", "b.log"]] {
            let refused = rotation(outputs, "{}").expect_err("refused");
            let text = "--log-outputs requires a single file path when --log-rotate-config-json is defined";
            assert_eq!(refused, text);
        }
        let start = |json: &str| rotation(&["a.log"], json).expect_err("refused");
        assert!(start("garbage").starts_with("improperly formatted log rotation config: "));
        assert!(start(r#"{"maxsize": "x"}"#).starts_with("invalid log rotation config: "));
        assert!(start(r#"{"maxsize": -1}"#).starts_with("invalid log rotation config: "));
        assert!(start(r#"{"nonsense": 1}"#).starts_with("invalid log rotation config: "));
    }
}
