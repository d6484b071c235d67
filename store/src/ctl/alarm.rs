//! `alarm list | disarm`.

use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{AlarmRequest, AlarmResponse};
use clap::Subcommand;

use super::connect::{self, Connection};
use super::failure::Failure;
use super::flags::Flags;
use super::{Answer, print};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Disarms all alarms
    Disarm {
        #[arg(hide = true)]
        words: Vec<String>,
    },
    /// Lists all alarms
    List {
        #[arg(hide = true)]
        words: Vec<String>,
    },
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    let (word, words) = match &verb {
        Verb::Disarm { words } => ("disarm", words),
        Verb::List { words } => ("list", words),
    };
    if !words.is_empty() {
        return Err(Failure::bad_args(format!("alarm {word} command accepts no arguments")));
    }
    let mut client = MaintenanceClient::new(connect::any(flags).await?);
    let response = match verb {
        Verb::Disarm { .. } => disarm(flags, &mut client).await?,
        Verb::List { .. } => ask(flags, &mut client, AlarmRequest::default()).await?,
    };
    print(flags, &Answer::Alarms(response))
}

/// Every alarm of every member. The answer has those that were there and, as etcdctl's, no header.
async fn disarm(flags: &Flags, client: &mut MaintenanceClient<Connection>) -> Result<AlarmResponse, Failure> {
    let raised = ask(flags, client, AlarmRequest::default()).await?;
    let mut disarmed = AlarmResponse::default();
    for alarm in raised.alarms {
        let action = AlarmAction::Deactivate as i32;
        let request = AlarmRequest { action, member_id: alarm.member_id, alarm: alarm.alarm };
        disarmed.alarms.extend(ask(flags, client, request).await?.alarms);
    }
    Ok(disarmed)
}

async fn ask(
    flags: &Flags,
    client: &mut MaintenanceClient<Connection>,
    request: AlarmRequest,
) -> Result<AlarmResponse, Failure> {
    connect::ask(flags, client.alarm(request)).await
}
