//! Flags of etcd whose subject does not exist here, or that would break a promise.
//!
//! A value that asks for what happens anyway is taken: a manifest that spells out etcd's defaults starts ours.

use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// One flag: its name, the values that are taken, and why no other is.
pub struct Refusal {
    pub flag: &'static str,
    pub taken: &'static [&'static str],
    pub why: &'static str,
}

const fn no(flag: &'static str, taken: &'static [&'static str], why: &'static str) -> Refusal {
    Refusal { flag, taken, why }
}

const OFF: &[&str] = &["false", ""];
const ON: &[&str] = &["true"];

const DISCOVERY: &str = "there is no discovery service; name the members with --initial-cluster";
const TRACING: &str = "spans are not exported; the log and /metrics tell how long requests take";
const CHECKPOINTS: &str = "a new leader extends leases instead of knowing what remained of them";
const BBOLT: &str = "there is no bbolt database whose pages or batches could be tuned";
const COMPACTION: &str = "old versions are removed in the background by RocksDB, without batches to tune";
const PROXY: &str = "there is no proxy mode; put a TCP load balancer in front of the members";
const V2: &str = "there is no v2 API; its clients must move to v3 first";
const PROFILES: &str = "there are no Go profiles to serve; use `perf record -p PID`";

pub const REFUSALS: &[Refusal] = &[
    no("wal-dir", &[""], "the raft log lives in the data directory; put --data-dir on the faster disk"),
    no("max-snapshots", &["5", "0"], "no snapshot files are kept; the state itself is on disk"),
    no("max-wals", &["5", "0"], "the raft log is one database, cut after --snapshot-count entries"),
    no("memory-mlock", OFF, "the state is not mapped into memory; give the machine enough of it instead"),
    no("backend-bbolt-freelist-type", &["map", "array", ""], BBOLT),
    no("backend-batch-interval", &["", "0", "0s", "100ms"], BBOLT),
    no("backend-batch-limit", &["0", "10000"], BBOLT),
    no("bootstrap-defrag-threshold-megabytes", &["0", ""], "RocksDB gives space back by itself"),
    no("raft-read-timeout", &["5s"], "a silent peer connection is dropped after one --election-timeout"),
    no("raft-write-timeout", &["5s"], "a silent peer connection is dropped after one --election-timeout"),
    no(
        "initial-election-tick-advance",
        ON,
        "a member that starts never waits longer than one election timeout",
    ),
    no("v2-deprecation", &["write-only", "write-only-drop-data", "gone", ""], "there is no v2 store"),
    no("discovery", &[""], DISCOVERY),
    no("discovery-token", &[""], DISCOVERY),
    no("discovery-endpoints", &[""], DISCOVERY),
    no("discovery-dial-timeout", &["2s"], DISCOVERY),
    no("discovery-request-timeout", &["5s"], DISCOVERY),
    no("discovery-keepalive-time", &["2s"], DISCOVERY),
    no("discovery-keepalive-timeout", &["6s"], DISCOVERY),
    no("discovery-insecure-transport", ON, DISCOVERY),
    no("discovery-insecure-skip-tls-verify", OFF, DISCOVERY),
    no("discovery-cert", &[""], DISCOVERY),
    no("discovery-key", &[""], DISCOVERY),
    no("discovery-cacert", &[""], DISCOVERY),
    no("discovery-user", &[""], DISCOVERY),
    no("discovery-password", &[""], DISCOVERY),
    no("discovery-fallback", &["exit"], DISCOVERY),
    no("discovery-proxy", &[""], DISCOVERY),
    no("discovery-srv", &[""], "members are not looked up in DNS; name them with --initial-cluster"),
    no("discovery-srv-name", &[""], "members are not looked up in DNS; name them with --initial-cluster"),
    no("enable-pprof", OFF, PROFILES),
    no("grpc-keepalive-min-time", &["5s", "0", "0s"], "how often clients ping is not limited"),
    no("socket-reuse-address", &["true", "false"], "ports are always bound with SO_REUSEADDR"),
    no("client-cert-file", &[""], "nobody is called on the client port"),
    no("client-key-file", &[""], "nobody is called on the client port"),
    no("logger", &["zap", ""], "there is one logger; --log-format decides what it writes"),
    no("enable-distributed-tracing", OFF, TRACING),
    no("distributed-tracing-address", &["localhost:4317"], TRACING),
    no("distributed-tracing-service-name", &["etcd"], TRACING),
    no("distributed-tracing-instance-id", &[""], TRACING),
    no("distributed-tracing-sampling-rate", &["0"], TRACING),
    no("compaction-batch-limit", &["1000"], COMPACTION),
    no("compaction-sleep-interval", &["", "10ms", "0s"], COMPACTION),
    no("downgrade-check-time", &["", "5s"], "the storage has one version; a downgrade never runs"),
    no(
        "unsafe-no-fsync",
        OFF,
        "every acknowledged write is on a majority of disks; there is no switch for that",
    ),
    no("experimental-enable-lease-checkpoint", OFF, CHECKPOINTS),
    no("experimental-enable-lease-checkpoint-persist", OFF, CHECKPOINTS),
    no(
        "experimental-stop-grpc-service-on-defrag",
        &["true", "false", ""],
        "defragmenting does not stop the service",
    ),
    no(
        "experimental-txn-mode-write-with-shared-buffer",
        &["true", "false", ""],
        "transactions read from a version that nobody changes",
    ),
    // Of etcd 3.4, which 3.5 and 3.6 dropped.
    no("debug", OFF, "etcd 3.5 removed this flag; use --log-level=debug"),
    no("log-package-levels", &[""], "etcd 3.5 removed this flag; use --log-level"),
    no("enable-v2", OFF, V2),
    no("experimental-enable-v2v3", &[""], V2),
    no("proxy", &["off", ""], PROXY),
    no("proxy-failure-wait", &["5000", "0"], PROXY),
    no("proxy-refresh-interval", &["30000", "0"], PROXY),
    no("proxy-dial-timeout", &["1000", "0"], PROXY),
    no("proxy-write-timeout", &["5000", "0"], PROXY),
    no("proxy-read-timeout", &["0"], PROXY),
];

/// Ids and variables of the flags above. clap asks for names that live as long as the process.
static NAMES: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
    let names = |refusal: &Refusal| -> (&'static str, &'static str) {
        (id(refusal.flag).leak(), super::environment::variable(refusal.flag).leak())
    };
    REFUSALS.iter().map(names).collect()
});

/// Makes clap know the flags, so that it can say more than that they do not exist.
#[derive(Debug, Clone, Default)]
pub struct Refused;

impl clap::Args for Refused {
    fn augment_args(command: Command) -> Command {
        REFUSALS.iter().zip(NAMES.iter()).fold(command, |command, (refusal, (id, variable))| {
            let arg = Arg::new(*id)
                .long(refusal.flag)
                .env(*variable)
                .action(ArgAction::Set)
                .num_args(0..=1)
                .default_missing_value("true")
                .hide(true);
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Refused {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        super::environment::check_conflicts(matches)?;
        if super::environment::names_a_file(matches) {
            return Ok(Refused);
        }
        for refusal in REFUSALS {
            let given = matches.get_one::<String>(&id(refusal.flag));
            if let Some(value) = given.filter(|value| !refusal.taken.contains(&value.as_str())) {
                return Err(refuse(refusal, value, matches.value_source(&id(refusal.flag))));
            }
        }
        Ok(Refused)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(drop)
    }
}

fn id(flag: &str) -> String {
    flag.replace('-', "_")
}

fn refuse(refusal: &Refusal, value: &str, source: Option<ValueSource>) -> clap::Error {
    let from = match source {
        Some(ValueSource::EnvVariable) => super::environment::variable(refusal.flag),
        _ => format!("--{}", refusal.flag),
    };
    let why = refusal.why;
    clap::Error::raw(ErrorKind::InvalidValue, format!("{from}={value} is not supported: {why}\n"))
}
