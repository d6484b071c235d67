//! Flags in, configuration or one sentence out.

use clap::Parser;

use super::*;
use crate::args::Args;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn parse(flags: &str) -> Result<Config, ConfigError> {
    let words = std::iter::once("balsa").chain(flags.split_whitespace());
    Cli::try_parse_from(words).expect("flags exist").args.into_config()
}

#[test]
fn defaults_are_those_of_etcd() {
    let config = parse("").expect("valid");
    assert_eq!(join(&config.listen_client_urls), "http://localhost:2379");
    assert_eq!(join(&config.advertise_client_urls), "http://localhost:2379");
    assert_eq!(join(&config.listen_peer_urls), "http://localhost:2380");
    assert_eq!(config.data_dir, PathBuf::from("default.etcd"));
    assert_eq!(config.initial_cluster.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!((config.heartbeat_interval.as_millis(), config.election_timeout.as_millis()), (100, 1000));
}

#[test]
fn members_agree_on_ids() {
    let cluster = "--initial-cluster a=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3";
    let of = |name: &str, port: u16| {
        parse(&format!("--name {name} --initial-advertise-peer-urls http://127.0.0.1:{port} {cluster}"))
            .expect("valid")
    };
    let (a, b) = (of("a", 1), of("b", 2));
    assert_eq!(a.cluster_id(), b.cluster_id());
    assert_eq!(a.own_id(), b.member_id("a"));
    assert_ne!(a.own_id(), b.own_id());
    let other = parse("--initial-cluster-token other").expect("valid");
    assert_ne!(other.cluster_id(), parse("").expect("valid").cluster_id());
}

#[test]
fn wrong_flags_get_a_sentence() {
    let error = |flags| parse(flags).expect_err("refused").to_string();
    assert_eq!(
        error("--listen-client-urls localhost:2379"),
        "--listen-client-urls: \"localhost:2379\" is not a URL of the form http://host:port, https://host:port, unix://path or unixs://path"
    );
    assert_eq!(
        error("--initial-cluster b=http://localhost:2380"),
        "--initial-cluster does not name this member, \"default\", with the peer URLs http://localhost:2380"
    );
    assert_eq!(
        error("--listen-client-urls https://localhost:2379"),
        "--listen-client-urls has an https:// URL but --cert-file and --key-file are not both given"
    );
    assert_eq!(
        error("--election-timeout 400"),
        "--election-timeout (400 ms) must be at least five times --heartbeat-interval (100 ms)"
    );
}

/// Every flag that stock etcd 3.6 or 3.4 has.
const STOCK_FLAGS: &str = include_str!("../../testdata/stock-flags.txt");

#[test]
fn every_flag_of_etcd_acts_or_says_why_not() {
    use clap::CommandFactory;
    let command = Cli::command();
    for flag in STOCK_FLAGS.lines() {
        let known = command.get_arguments().any(|arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(flag) || aliases.contains(&flag)
        });
        assert!(known, "--{flag} is neither acted on nor refused");
    }
}

#[test]
fn refused_flags_say_why_and_take_what_happens_anyway() {
    for refusal in crate::flags::refused::REFUSALS {
        let parse = |value: &str| Cli::try_parse_from(["balsa", &format!("--{}={value}", refusal.flag)]);
        let error = parse("surprise").expect_err(refusal.flag).to_string();
        assert!(error.contains(refusal.why), "{error}");
        for value in refusal.taken {
            assert!(parse(value).is_ok(), "--{}={value}", refusal.flag);
        }
    }
}

#[test]
fn flags_that_act_have_a_variable_of_etcds_name() {
    use clap::CommandFactory;
    for arg in Cli::command().get_arguments() {
        let id = arg.get_id().as_str();
        if matches!(id, "help" | "version") {
            continue;
        }
        let want = crate::flags::environment::variable(id);
        assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(want.as_str()), "{id}");
    }
}

#[test]
fn variables_that_name_no_flag_are_told() {
    let names = ["ETCD_NAME", "ETCD_NOSUCH", "ETCDCTL_API", "PATH"].map(str::to_owned);
    assert_eq!(crate::flags::environment::unrecognized(names.into_iter()), ["ETCD_NOSUCH"]);
}

#[test]
fn tls_settings_must_make_sense() {
    let error = |flags| parse(flags).expect_err("refused").to_string();
    let peers =
        "--initial-cluster default=https://a:1,b=https://b:1 --initial-advertise-peer-urls https://a:1";
    assert!(error(peers).contains("--peer-trusted-ca-file is not given"));
    assert!(parse(&format!("{peers} --peer-auto-tls")).is_ok());
    assert!(parse("--listen-client-urls https://localhost:1 --auto-tls").is_ok());
    assert!(error("--tls-min-version TLS1.3 --tls-max-version TLS1.2").contains("is newer than"));
    assert!(error("--peer-cert-allowed-cn a").contains("need --peer-client-cert-auth"));
}
