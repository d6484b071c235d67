//! Spellings that etcd takes beside those of its help: `-name` for `--name`, and `experimental-` before flags that 3.6
//! renamed, whose variables and keys of `--config-file` have the older names as well.

use std::ffi::OsString;

use clap::{ArgMatches, Args as _, Command};

use super::environment::variable;
use crate::args::Args;

/// What 3.4 and 3.5 call `experimental-…`.
const RENAMED: [&str; 18] = [
    "backend-bbolt-freelist-type",
    "bootstrap-defrag-threshold-megabytes",
    "compact-hash-check-time",
    "compaction-batch-limit",
    "compaction-sleep-interval",
    "corrupt-check-time",
    "distributed-tracing-address",
    "distributed-tracing-instance-id",
    "distributed-tracing-sampling-rate",
    "distributed-tracing-service-name",
    "downgrade-check-time",
    "enable-distributed-tracing",
    "memory-mlock",
    "peer-skip-client-san-verification",
    "snapshot-catchup-entries",
    "warning-apply-duration",
    "warning-unary-request-duration",
    "watch-progress-notify-interval",
];
const PREFIX: &str = "experimental-";

/// Gives the flags that are there already their older names.
#[derive(Debug, Clone, Default)]
pub struct OlderNames;

impl clap::Args for OlderNames {
    fn augment_args(command: Command) -> Command {
        RENAMED.iter().fold(command, |command, name| {
            let older = format!("{PREFIX}{name}");
            let by_older =
                std::env::var_os(variable(name)).is_none() && std::env::var_os(variable(&older)).is_some();
            command.mut_arg(name.replace('-', "_"), |arg| {
                // clap asks for names that live as long as the process.
                let arg = if by_older { arg.env(&*variable(&older).leak()) } else { arg };
                arg.alias(&*older.leak())
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for OlderNames {
    fn from_arg_matches(_: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(OlderNames)
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

pub fn older_variables() -> impl Iterator<Item = String> {
    RENAMED.iter().map(|name| variable(&format!("{PREFIX}{name}")))
}

/// The flag that a key of a file means.
pub fn newer(name: &str) -> &str {
    name.strip_prefix(PREFIX).filter(|name| RENAMED.contains(name)).unwrap_or(name)
}

/// A process's own words, with two dashes before each flag that has one, if they start a store.
pub fn with_two_dashes(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    if words.get(1).is_none_or(|verb| verb != "store") {
        return words;
    }
    let command = Args::augment_args(Command::new("store"));
    let names: Vec<&str> = command
        .get_arguments()
        .flat_map(|arg| arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default()))
        .collect();
    for word in words.iter_mut().skip(2) {
        let Some(text) = word.to_str().and_then(|word| word.strip_prefix('-')) else { continue };
        let name = text.split_once('=').map_or(text, |(name, _)| name);
        if names.contains(&name) {
            *word = format!("--{text}").into();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_is_as_good_as_two() {
        let words = |line: &str| {
            let words = with_two_dashes(line.split(' ').map(OsString::from));
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            words("balsa store -name a -pre-vote=false -wal-dir= --data-dir -x -h"),
            "balsa store --name a --pre-vote=false --wal-dir= --data-dir -x -h"
        );
        assert_eq!(
            words("balsa store -experimental-memory-mlock"),
            "balsa store --experimental-memory-mlock"
        );
        assert_eq!(words("balsa up -name a"), "balsa up -name a");
    }

    #[test]
    fn keys_have_their_older_names_too() {
        assert_eq!(newer("experimental-corrupt-check-time"), "corrupt-check-time");
        assert_eq!(newer("experimental-initial-corrupt-check"), "experimental-initial-corrupt-check");
    }
}
