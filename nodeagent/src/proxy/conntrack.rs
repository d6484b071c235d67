//! Forgetting UDP flows to endpoints that are gone.
//!
//! DNAT decides once per flow, and a UDP flow lives as long as packets come: without this, a client that keeps
//! its socket would talk to a dead pod for ever. Without the `conntrack` tool nothing is flushed; flows then end
//! by their timeout (30 to 180 s).

use std::net::Ipv4Addr;
use std::process::Stdio;

use tokio::process::Command;
use tracing::{debug, warn};

use super::model::Model;

/// Arguments of one `conntrack -D`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush(pub Vec<String>);

/// What must be forgotten between two models.
pub fn flushes(old: &Model, new: &Model) -> Vec<Flush> {
    let mut flushes = Vec::new();
    for (front, backs) in &old.udp_backs {
        let now = new.udp_backs.get(front);
        for gone in backs.iter().filter(|back| now.is_none_or(|now| !now.contains(back))) {
            flushes.push(flush(&["--orig-dst", &front.address.to_string()], front.port, Some(*gone)));
        }
        if backs.is_empty() && now.is_some_and(|now| !now.is_empty()) {
            // Flows that began while nobody answered were not translated at all.
            flushes.push(flush(&["--orig-dst", &front.address.to_string()], front.port, None));
        }
    }
    for (front, backs) in &old.udp_node_port_backs {
        let now = new.udp_node_port_backs.get(front);
        for gone in backs.iter().filter(|back| now.is_none_or(|now| !now.contains(back))) {
            flushes.push(flush(&[], front.port, Some(*gone)));
        }
    }
    flushes
}

fn flush(destination: &[&str], port: u16, gone: Option<Ipv4Addr>) -> Flush {
    let mut arguments: Vec<String> = ["-D", "-p", "udp"].map(str::to_owned).to_vec();
    arguments.extend(destination.iter().map(|part| (*part).to_owned()));
    arguments.extend(["--dport".to_owned(), port.to_string()]);
    if let Some(gone) = gone {
        arguments.extend(["--dst-nat".to_owned(), gone.to_string()]);
    }
    Flush(arguments)
}

/// conntrack also fails when there was nothing to delete, so a failure is only worth a debug line; its absence is told
/// once.
pub async fn run(flush: &Flush) {
    let result = Command::new("conntrack")
        .args(&flush.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await;
    static TOLD: std::sync::Once = std::sync::Once::new();
    if result.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        TOLD.call_once(|| {
            warn!("the command conntrack is missing: UDP clients keep talking to endpoints that are gone until they pause");
        });
    }
    debug!(arguments = ?flush.0, ?result, "flushed UDP flows");
}
