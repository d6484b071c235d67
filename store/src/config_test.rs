//! Flags in, configuration or one sentence out.

use clap::Parser;

use super::*;
use crate::args::Args;

#[derive(Parser)]
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
        "--listen-client-urls: \"localhost:2379\" is not a URL of the form http://host:port or https://host:port"
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
