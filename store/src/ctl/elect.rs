//! `elect`: campaigns in an election until elected and then leads until a signal comes; or looks on (`--listen`).

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::v3electionpb::LeaderRequest;
use balsa_proto::etcd::v3electionpb::election_client::ElectionClient;

use super::failure::Failure;
use super::flags::Flags;
use super::session::Session;
use super::turn::Place;
use super::{Answer, connect, print, signal};

/// As stock's sessions live by default.
const TTL_SECONDS: i64 = 60;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The election, and what to propose
    #[arg(value_name = "ELECTION-NAME [PROPOSAL]")]
    words: Vec<String>,
    /// Observation mode
    #[arg(short, long)]
    listen: bool,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    match (&words[..], args.listen) {
        ([name], true) => observe(flags, name).await,
        ([_, _], true) => Err(Failure::bad_args("proposal given but -l is set")),
        ([name, proposal], false) => campaign(flags, name, proposal).await,
        ([_], false) => Err(Failure::bad_args("no proposal argument but -l not set")),
        _ => {
            Err(Failure::bad_args("elect takes one election name argument and an optional proposal argument"))
        }
    }
}

async fn observe(flags: &Flags, name: &str) -> Result<(), Failure> {
    let mut client = ElectionClient::new(connect::patiently(flags).await?);
    let request = LeaderRequest { name: name.to_owned().into() };
    let mut leaders = tokio::select! {
        leaders = client.observe(request) => leaders?.into_inner(),
        () = signal::asked_to_stop() => return Ok(()),
    };
    loop {
        let leader = tokio::select! {
            leader = leaders.message() => leader?,
            () = signal::asked_to_stop() => return Ok(()),
        };
        let Some(leader) = leader else { return Err(Failure::error("elect: observer lost")) };
        let kvs: Vec<_> = leader.kv.into_iter().collect();
        let response = pb::RangeResponse { header: leader.header, kvs, ..pb::RangeResponse::default() };
        print(flags, &Answer::Get { response, value_only: false })?;
    }
}

async fn campaign(flags: &Flags, name: &str, proposal: &str) -> Result<(), Failure> {
    let connection = connect::patiently(flags).await?;
    let session = Session::open(flags, connection.clone(), TTL_SECONDS).await?;
    let mut place = Place::take(flags, connection, name, session.lease(), proposal).await?;
    let led = tokio::select! {
        failed = lead(flags, &mut place) => failed,
        () = session.lost() => return Err(Failure::error("elect: session expired")),
        () = signal::asked_to_stop() => Ok(()),
    };
    place.leave(flags).await?;
    session.close(flags).await?;
    led
}

async fn lead(flags: &Flags, place: &mut Place) -> Result<(), Failure> {
    place.turn().await?;
    let response = place.look(flags).await?;
    print(flags, &Answer::Get { response, value_only: false })?;
    std::future::pending().await
}
