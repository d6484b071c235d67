//! balsactl: etcdctl's commands, flags and output, for our store and for any stock etcd. One verb per file.
//!
//! A verb asks the server over the etcd v3 API and gives an [`Answer`]; [`display`] knows how each answer looks in each
//! format. What goes wrong is a [`Failure`]: a sentence on stderr and etcdctl's exit code.
//! Source of flags and texts: etcd 3.4–3.6 `etcdctl/ctlv3`.

pub mod compaction;
pub mod connect;
pub mod del;
pub mod display;
pub mod duration;
pub mod endpoint;
pub mod failure;
pub mod flags;
pub mod get;
pub mod hashkv;
pub mod lease;
pub mod member_list;
pub mod offline;
pub mod put;
pub mod snapshot;
pub mod txn;
pub mod txn_syntax;
pub mod version;
pub mod watch;
pub mod watch_exec;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use display::{Answer, Display};
pub use failure::Failure;
pub use flags::Flags;

#[derive(Debug, Parser)]
#[command(name = "balsactl", about = "A simple command line client for etcd3.", disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Gets the key or a range of keys
    Get(get::Args),
    /// Puts the given key into the store
    Put(put::Args),
    /// Removes the specified key or range of keys [key, range_end)
    Del(del::Args),
    /// Txn processes all the requests in one transaction
    Txn(txn::Args),
    /// Watches events stream on keys or prefixes
    Watch(watch::Args),
    /// Lease related commands
    Lease {
        #[command(subcommand)]
        verb: lease::Verb,
    },
    /// Compacts the event history in etcd
    #[command(alias = "compact")]
    Compaction(compaction::Args),
    /// Membership related commands
    Member {
        #[command(subcommand)]
        verb: MemberVerb,
    },
    /// Endpoint related commands
    Endpoint {
        #[command(flatten)]
        args: endpoint::Args,
        #[command(subcommand)]
        verb: endpoint::Verb,
    },
    /// Prints the KV history hash of a given file
    Hashkv(hashkv::Args),
    /// Migrates schema of etcd data dir files to make them compatible with different etcd version
    Migrate(offline::MigrateArgs),
    /// Manages etcd node snapshots
    Snapshot {
        #[command(subcommand)]
        verb: snapshot::Verb,
    },
    /// Prints the version of balsactl
    Version,
}

#[derive(Debug, Subcommand)]
enum MemberVerb {
    /// Lists all members in the cluster
    List(member_list::Args),
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no failure.
            let failed = error.use_stderr();
            let _ = error.print();
            return if failed { ExitCode::from(failure::BAD_ARGS) } else { ExitCode::SUCCESS };
        }
    };
    // A second call finds the provider installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: start the runtime: {error}");
            return ExitCode::from(failure::ERROR);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("Error: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let flags = &cli.flags;
    match cli.verb {
        Verb::Get(args) => get::run(flags, args).await,
        Verb::Put(args) => put::run(flags, args).await,
        Verb::Del(args) => del::run(flags, args).await,
        Verb::Txn(args) => txn::run(flags, args).await,
        Verb::Watch(args) => watch::run(flags, args).await,
        Verb::Lease { verb } => lease::run(flags, verb).await,
        Verb::Compaction(args) => compaction::run(flags, args).await,
        Verb::Member { verb: MemberVerb::List(args) } => member_list::run(flags, args).await,
        Verb::Endpoint { args, verb } => endpoint::run(flags, args, verb).await,
        Verb::Hashkv(args) => hashkv::run(flags, &args),
        Verb::Migrate(args) => offline::migrate(&args),
        Verb::Snapshot { verb } => snapshot::run(flags, verb).await,
        Verb::Version => version::run(),
    }
}

/// Writes to stdout. A reader that went away (`| head`) ends the program quietly, as it ends others.
pub fn say(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(failure::IO, error.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
