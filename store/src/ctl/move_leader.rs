//! `move-leader`: hands the leadership to another member. Only the leader can, so it must be among the endpoints.

use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{MoveLeaderRequest, StatusRequest};

use super::connect::{self, Connection};
use super::failure::Failure;
use super::flags::Flags;
use super::{Answer, print};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_name = "TRANSFEREE_MEMBER_ID")]
    words: Vec<String>,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let [word] = &args.words[..] else {
        return Err(Failure::bad_args("move-leader command needs 1 argument"));
    };
    let to = u64::from_str_radix(word, 16)
        .map_err(|_| Failure::bad_args(format!("strconv.ParseUint: parsing {word:?}: invalid syntax")))?;
    let (from, mut leader) = leader(flags).await?;
    connect::ask(flags, leader.move_leader(MoveLeaderRequest { target_id: to })).await?;
    print(flags, &Answer::MoveLeader { from, to })
}

async fn leader(flags: &Flags) -> Result<(u64, MaintenanceClient<Connection>), Failure> {
    for endpoint in &flags.endpoints {
        let mut client = MaintenanceClient::new(connect::one(flags, endpoint).await?);
        let status = connect::ask(flags, client.status(StatusRequest {})).await?;
        let member = status.header.as_ref().map_or(0, |header| header.member_id);
        if status.leader == member {
            return Ok((member, client));
        }
    }
    let endpoints = flags.endpoints.join(" ");
    Err(Failure::bad_args(format!("no leader endpoint given at [{endpoints}]")))
}
