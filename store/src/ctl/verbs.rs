//! The tree of commands.

use clap::Subcommand;

use super::failure::Failure;
use super::flags::Flags;
use super::{
    Cli, alarm, auth, bench, check, compaction, completion, defrag, del, diff, downgrade, elect, endpoint,
    get, go_flags, hashkv, history, inspect, lease, lock, member, mirror, move_leader, offline, put, role,
    snapshot, top, txn, user, verify, version, watch,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
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
    /// Acquires a named lock
    Lock(lock::Args),
    /// Observes and participates in leader election
    Elect(elect::Args),
    /// Compacts the event history in etcd
    #[command(alias = "compact")]
    Compaction(compaction::Args),
    /// Makes a mirror at the destination etcd cluster
    MakeMirror(mirror::Args),
    /// Membership related commands
    Member {
        #[command(subcommand)]
        verb: member::Verb,
    },
    /// Transfers leadership to another etcd cluster member
    MoveLeader(move_leader::Args),
    /// Endpoint related commands
    Endpoint {
        #[command(flatten)]
        args: endpoint::Args,
        #[command(subcommand)]
        verb: endpoint::Verb,
    },
    /// Alarm related commands
    Alarm {
        #[command(subcommand)]
        verb: alarm::Verb,
    },
    /// Defragments the storage of the etcd members with given endpoints
    Defrag(defrag::Args),
    /// Downgrade related commands
    Downgrade {
        #[command(subcommand)]
        verb: downgrade::Verb,
    },
    /// Enable or disable authentication
    Auth {
        #[command(subcommand)]
        verb: auth::Verb,
    },
    /// User related commands
    User {
        #[command(subcommand)]
        verb: user::Verb,
    },
    /// Role related commands
    Role {
        #[command(subcommand)]
        verb: role::Verb,
    },
    /// Commands for checking properties of the etcd cluster
    Check {
        #[command(subcommand)]
        verb: check::Verb,
    },
    /// Every retained version of a key, newest first, with the time it was made
    History(history::Args),
    /// What changed between two revisions
    Diff(diff::Args),
    /// The members, rates and largest prefixes, live
    Top(top::Args),
    /// What is in a member's data directory, without a server
    Inspect(inspect::Args),
    /// Checks that the members agree: hashes, revisions, raft positions
    Verify(verify::Args),
    /// Prints the KV history hash of a given file
    Hashkv(hashkv::Args),
    /// Migrates schema of etcd data dir files to make them compatible with different etcd version
    Migrate(offline::MigrateArgs),
    /// Manages etcd node snapshots
    Snapshot {
        #[command(subcommand)]
        verb: snapshot::Verb,
    },
    /// Loads with the names, flags and report of etcd's benchmark tool, on any etcd
    Bench {
        #[command(flatten)]
        common: bench::Common,
        #[command(subcommand)]
        verb: bench::Verb,
    },
    /// Generate completion script
    Completion(completion::Args),
    /// Prints the version of balsactl
    Version,
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Get(args) => get::run(flags, args).await,
        Verb::Put(args) => put::run(flags, args).await,
        Verb::Del(args) => del::run(flags, args).await,
        Verb::Txn(args) => txn::run(flags, args).await,
        Verb::Watch(args) => watch::run(flags, args).await,
        Verb::Lease { verb } => lease::run(flags, verb).await,
        Verb::Lock(args) => lock::run(flags, args).await,
        Verb::Elect(args) => elect::run(flags, args).await,
        Verb::Compaction(args) => compaction::run(flags, args).await,
        Verb::MakeMirror(args) => mirror::run(flags, args).await,
        Verb::Member { verb } => member::run(flags, verb).await,
        Verb::MoveLeader(args) => move_leader::run(flags, args).await,
        Verb::Endpoint { args, verb } => endpoint::run(flags, args, verb).await,
        Verb::Alarm { verb } => alarm::run(flags, verb).await,
        Verb::Defrag(args) => defrag::run(flags, args).await,
        Verb::Downgrade { verb } => downgrade::run(flags, verb).await,
        Verb::Auth { verb } => auth::run(flags, verb).await,
        Verb::User { verb } => user::run(flags, verb).await,
        Verb::Role { verb } => role::run(flags, verb).await,
        Verb::Check { verb } => check::run(flags, verb).await,
        Verb::History(args) => history::run(flags, args).await,
        Verb::Diff(args) => diff::run(flags, args).await,
        Verb::Top(args) => top::run(flags, args).await,
        Verb::Inspect(args) => inspect::run(flags, &args),
        Verb::Verify(args) => verify::run(flags, args).await,
        Verb::Hashkv(args) => hashkv::run(flags, &args),
        Verb::Migrate(args) => offline::migrate(&args),
        Verb::Snapshot { verb } => snapshot::run(flags, verb).await,
        Verb::Bench { common, verb } => bench::run(flags, common, verb).await,
        Verb::Completion(args) => completion::run(go_flags::command::<Cli>(), &args),
        Verb::Version => version::run(),
    }
}
