//! `downgrade validate | enable | cancel`.

use balsa_proto::etcd::etcdserverpb::DowngradeRequest;
use balsa_proto::etcd::etcdserverpb::downgrade_request::DowngradeAction;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use clap::Subcommand;

use super::failure::Failure;
use super::flags::Flags;
use super::{Answer, connect, print};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Validate downgrade capability before starting downgrade
    Validate {
        #[arg(value_name = "TARGET_VERSION")]
        words: Vec<String>,
    },
    /// Start a downgrade action to cluster
    Enable {
        #[arg(value_name = "TARGET_VERSION")]
        words: Vec<String>,
    },
    /// Cancel the ongoing downgrade action to cluster
    Cancel,
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    let (word, action, version) = match verb {
        Verb::Validate { words } => ("validate", DowngradeAction::Validate, target(&words)?),
        Verb::Enable { words } => ("enable", DowngradeAction::Enable, target(&words)?),
        Verb::Cancel => ("cancel", DowngradeAction::Cancel, String::new()),
    };
    let mut client = MaintenanceClient::new(connect::any(flags).await?);
    let request = DowngradeRequest { action: action as i32, version };
    let response = connect::ask(flags, client.downgrade(request)).await?;
    print(flags, &Answer::Downgrade { action: word, response })
}

fn target(words: &[String]) -> Result<String, Failure> {
    match words {
        [] => Err(Failure::bad_args("TARGET_VERSION not provided")),
        [version] => Ok(version.clone()),
        _ => Err(Failure::bad_args("too many arguments")),
    }
}
