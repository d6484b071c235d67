//! `lock`: holds a named lock until a signal comes, or while a command runs.

use std::process::ExitStatus;

use super::failure::{BAD_ARGS, Failure};
use super::flags::Flags;
use super::session::Session;
use super::turn::Place;
use super::{Answer, connect, print, signal};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The lock's name, and a command to run under it
    #[arg(value_name = "LOCKNAME [EXEC-COMMAND ARG...]")]
    words: Vec<String>,
    /// The command, after `--`, where it has flags of its own
    #[arg(last = true, value_name = "EXEC-COMMAND ARG")]
    rest: Vec<String>,
    /// Timeout for session
    #[arg(long, default_value_t = 10)]
    ttl: i64,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let Some((name, command)) = args.words.split_first() else {
        return Err(Failure::bad_args("lock takes a lock name argument and an optional command to execute"));
    };
    let command: Vec<String> = command.iter().chain(&args.rest).cloned().collect();
    let connection = connect::patiently(flags).await?;
    let session = Session::open(flags, connection.clone(), args.ttl).await?;
    let mut place = Place::take(flags, connection, name, session.lease(), "").await?;
    let done = tokio::select! {
        done = hold(flags, &mut place, &command) => done,
        () = session.lost() => return Err(Failure::error("session expired")),
        () = signal::asked_to_stop() => Ok(()),
    };
    place.leave(flags).await?;
    session.close(flags).await?;
    done
}

async fn hold(flags: &Flags, place: &mut Place, command: &[String]) -> Result<(), Failure> {
    place.turn().await?;
    let [program, args @ ..] = command else {
        let response = place.look(flags).await?;
        if response.kvs.is_empty() {
            return Err(Failure::error("lock lost on init"));
        }
        print(flags, &Answer::Get { response, value_only: false })?;
        return std::future::pending().await;
    };
    let ran = tokio::process::Command::new(program)
        .args(args)
        .env("ETCD_LOCK_KEY", String::from_utf8_lossy(place.key()).as_ref())
        .env("ETCD_LOCK_REV", place.revision().to_string())
        // Whoever loses the lock must not go on as if it had it.
        .kill_on_drop(true)
        .status()
        .await;
    match ran {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status)),
        Err(_) => Err(Failure::error(format!("exec: {program:?}: executable file not found in $PATH"))),
    }
}

/// The command's own exit code.
fn failed(status: ExitStatus) -> Failure {
    match status.code() {
        Some(code) => Failure::new(u8::try_from(code).unwrap_or(BAD_ARGS), format!("exit status {code}")),
        None => Failure::error(status.to_string()),
    }
}
