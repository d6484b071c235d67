//! `top`: the members as they are now, again and again: roles, lag, rates, sizes, and where the keys are.
//!
//! Plain ANSI on a terminal, until control-C. `--once` prints one picture for scripts.

pub mod prefixes;
pub mod view;

use std::time::{Duration, Instant};

use balsa_proto::etcd::etcdserverpb as pb;

use super::endpoint::{each, status_of};
use super::failure::Failure;
use super::flags::Flags;
use super::{duration, member, say, signal};
use prefixes::Prefix;

/// Puts the cursor at the top left and clears what is below it, so that the picture does not flicker.
const HOME: &str = "\x1b[H\x1b[J";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one picture and end
    #[arg(long)]
    once: bool,
    /// Between two pictures; rates are over this time
    #[arg(long, default_value = "2s", value_parser = duration::parse)]
    interval: Duration,
    /// So many parts of a key, split at `/`, make a prefix
    #[arg(long, default_value_t = 2)]
    depth: usize,
    /// At most so many prefixes
    #[arg(long, default_value_t = 10)]
    prefixes: usize,
}

/// What was seen at one moment.
pub struct Sample {
    at: Instant,
    members: Vec<Seen>,
}

struct Seen {
    name: String,
    endpoint: String,
    took: Duration,
    status: Result<pb::StatusResponse, Failure>,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    if args.interval.is_zero() {
        return Err(Failure::bad_args("--interval must be more than 0"));
    }
    let mut before = look(flags).await?;
    loop {
        let asked = tokio::time::sleep(args.interval);
        tokio::select! {
            () = asked => {}
            () = signal::asked_to_stop() => return Ok(()),
        }
        let now = look(flags).await?;
        let found = prefixes::largest(flags, args.depth, args.prefixes).await;
        let picture = view::picture(&before, &now, found.as_deref().map_err(|failure| failure.text.as_str()));
        if args.once {
            return say(picture);
        }
        say(format!("{HOME}{picture}"))?;
        before = now;
    }
}

/// All members at once, each at its first client URL.
async fn look(flags: &Flags) -> Result<Sample, Failure> {
    let members = member::list(flags, false).await?.members;
    let (names, endpoints): (Vec<String>, Vec<String>) = members
        .into_iter()
        .map(|member| (member.name, member.client_ur_ls.into_iter().next().unwrap_or_default()))
        .unzip();
    let asked = each(&endpoints, |endpoint| async move {
        let started = Instant::now();
        let status = if endpoint.is_empty() {
            Err(Failure::error("not started"))
        } else {
            status_of(flags, endpoint).await
        };
        (started.elapsed(), status)
    })
    .await;
    let members = names
        .into_iter()
        .zip(asked)
        .map(|(name, (endpoint, (took, status)))| Seen { name, endpoint, took, status })
        .collect();
    Ok(Sample { at: Instant::now(), members })
}

/// Keys under a prefix.
pub type Prefixes<'a> = Result<&'a [Prefix], &'a str>;
