//! `ETCD_*`: one variable per flag. Source: etcd v3.6 `pkg/flags/flag.go`.
//!
//! As in etcd, a variable that a flag overrules is an error, since one of the two was forgotten there; one that names no
//! flag is only warned of.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command};

use crate::args::Args;

const PREFIX: &str = "ETCD_";
const CONFIG_FILE: &str = "config_file";

/// Of a flag, or of the id that clap gives to it.
pub fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_uppercase())
}

/// An argument of this name says that the variables do not count: the settings come from a file.
pub const IGNORED: &str = "environment_ignored";

pub fn check_conflicts(matches: &ArgMatches) -> Result<(), clap::Error> {
    if matches.ids().any(|id| id.as_str() == IGNORED) || names_a_file(matches) {
        return Ok(());
    }
    let both = matches.ids().map(|id| id.as_str()).find(|id| {
        matches.value_source(id) == Some(ValueSource::CommandLine) && std::env::var_os(variable(id)).is_some()
    });
    let Some(id) = both else { return Ok(()) };
    let (variable, flag) = (variable(id), id.replace('_', "-"));
    let text = format!(
        "conflicting environment variable {variable} is shadowed by the flag --{flag}: unset the variable or leave the flag out\n"
    );
    Err(clap::Error::raw(ErrorKind::ArgumentConflict, text))
}

/// With a file, flags and variables do not count, whatever they say. As in etcd.
pub fn names_a_file(matches: &ArgMatches) -> bool {
    matches.value_source(CONFIG_FILE).is_some()
}

/// Without the variables that a file given by `arguments`, or by its own variable, overrules: they need not even make sense.
pub fn without_overruled(command: Command, arguments: impl Iterator<Item = OsString>) -> Command {
    let is_named = |argument: OsString| {
        let text = argument.to_string_lossy();
        text == "--config-file" || text.starts_with("--config-file=")
    };
    if std::env::var_os(variable(CONFIG_FILE)).is_none() && !arguments.into_iter().any(is_named) {
        return command;
    }
    command.mut_args(|arg| if arg.get_id() == CONFIG_FILE { arg } else { arg.env(None::<&'static str>) })
}

/// Names that look like a setting and are none.
pub fn unrecognized(names: impl Iterator<Item = String>) -> Vec<String> {
    let command = Args::augment_args(Command::new("store"));
    let known = command.get_arguments().map(|arg| variable(arg.get_id().as_str()));
    let known: Vec<String> = known.chain(super::spelling::older_variables()).collect();
    names.filter(|name| name.starts_with(PREFIX) && !known.contains(name)).collect()
}

pub fn warn_about_unrecognized() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for variable in unrecognized(names) {
        tracing::warn!(variable, "unrecognized environment variable");
    }
}
