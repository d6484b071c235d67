//! How much history a member keeps by itself.

use std::time::Duration;

use super::ConfigError;
use crate::ctl::duration;
use crate::server::auto_compaction::Retention;

/// What `--auto-compaction-mode` and `--auto-compaction-retention` say; `None`: nothing is compacted. A number without a
/// unit is hours, or revisions.
pub fn parse_retention(mode: AutoCompactionMode, text: &str) -> Result<Option<Retention>, ConfigError> {
    let number = text.parse::<u32>().ok();
    match mode {
        AutoCompactionMode::Revision => {
            let keep = number.ok_or_else(|| ConfigError::RevisionRetention(text.to_owned()))?;
            Ok((keep > 0).then_some(Retention::Revisions(i64::from(keep))))
        }
        AutoCompactionMode::Periodic => {
            let period = match number {
                Some(hours) => Duration::from_secs(u64::from(hours) * 60 * 60),
                None => duration::parse(text).map_err(|_| ConfigError::Retention(text.to_owned()))?,
            };
            Ok((period > Duration::ZERO).then_some(Retention::Periodic(period)))
        }
    }
}

/// What `--auto-compaction-retention` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AutoCompactionMode {
    Periodic,
    Revision,
}
