//! balsactl: etcdctl's commands, flags and output, for our store and for any stock etcd; and more. One verb per file.
//!
//! A verb asks the server over the etcd v3 API and gives an [`Answer`]; [`display`] knows how each answer looks in each
//! format. What goes wrong is a [`Failure`]: a sentence on stderr and etcdctl's exit code.
//! Source of flags and texts: etcd 3.4–3.6 `etcdctl/ctlv3`; where the two differ, 3.6 (`docs/balsactl.md` lists where).

pub mod alarm;
pub mod auth;
pub mod bench;
pub mod check;
pub mod compaction;
pub mod completion;
pub mod connect;
pub mod defrag;
pub mod del;
pub mod diff;
pub mod display;
pub mod downgrade;
pub mod duration;
pub mod elect;
pub mod endpoint;
pub mod failure;
pub mod flags;
pub mod get;
pub mod go_flags;
pub mod hashkv;
pub mod history;
pub mod inspect;
pub mod json_patch;
pub mod lease;
pub mod load;
pub mod lock;
pub mod member;
pub mod mirror;
pub mod move_leader;
pub mod offline;
pub mod progress;
pub mod put;
pub mod report;
pub mod role;
pub mod session;
pub mod signal;
pub mod snapshot;
pub mod terminal;
pub mod tls;
pub mod top;
pub mod turn;
pub mod txn;
pub mod txn_syntax;
pub mod user;
pub mod verbs;
pub mod verify;
pub mod version;
pub mod watch;
pub mod watch_exec;
pub mod watch_interactive;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{FromArgMatches, Parser};

pub use display::{Answer, Display};
pub use failure::Failure;
pub use flags::Flags;
use verbs::Verb;

#[derive(Debug, Parser)]
#[command(name = "balsactl", about = "A simple command line client for etcd3.", disable_version_flag = true)]
#[command(arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    verb: Verb,
}

/// The whole program.
pub fn main() -> ExitCode {
    let parsed =
        go_flags::command::<Cli>().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // As etcdctl: a verb that has more below it tells what that is. There is nowhere else to say what fails.
            let _ = say(error.render().to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            // Help goes to stdout and is no failure.
            let failed = error.use_stderr();
            // There is nowhere else to say it.
            let _ = error.print();
            return if failed { ExitCode::from(failure::ERROR) } else { ExitCode::SUCCESS };
        }
    };
    // A second call finds the provider installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: start the runtime: {error}");
            return ExitCode::from(failure::ERROR);
        }
    };
    let done = runtime.block_on(run(cli));
    // A thread may sit in a read of stdin, which nothing wakes.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                eprintln!("Error: {}", failure.text);
            }
            ExitCode::from(failure.code)
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { mut flags, verb } = cli;
    flags.resolve()?;
    verbs::run(&flags, verb).await
}

/// Shows an answer in the format of the flags.
pub fn print(flags: &Flags, answer: &Answer) -> Result<(), Failure> {
    say(Display::new(flags).show(answer)?)
}

/// Writes to stdout. A reader that went away (`| head`) ends the program quietly, as it ends others.
pub fn say(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::new(failure::IO, ""),
        _ => Failure::new(failure::IO, error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::go_flags::command::<super::Cli>().debug_assert();
    }
}
