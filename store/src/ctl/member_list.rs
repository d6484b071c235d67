//! `member list`: who is in the cluster.

use balsa_proto::etcd::etcdserverpb::MemberListRequest;
use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;

use super::failure::{BAD_FEATURE, Failure};
use super::flags::Flags;
use super::{Answer, Display, connect, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Linearizable(l) or Serializable(s)
    #[arg(long, default_value = "l")]
    consistency: String,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let linearizable = match args.consistency.as_str() {
        "l" => true,
        "s" => false,
        other => return Err(Failure::new(BAD_FEATURE, format!("unknown consistency flag {other:?}"))),
    };
    let mut client = ClusterClient::new(connect::any(flags).await?);
    let response = connect::ask(flags, client.member_list(MemberListRequest { linearizable })).await?;
    say(&Display::new(flags).show(&Answer::MemberList(response))?)
}
