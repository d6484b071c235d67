//! What an etcd can be trusted with, by its version.
//!
//! Before 3.4.31 and 3.5.13 a progress answer could overtake events (etcd #15220, #17507), so it proves nothing there.

use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{PutRequest, StatusRequest};

use super::{Store, StoreError};

/// A key of ours that is written to make etcd send an event where progress cannot be trusted.
const NUDGE: &str = "balsa/progress";

impl Store {
    pub async fn has_reliable_progress(&self) -> Result<bool, StoreError> {
        let call = |channel| async move { MaintenanceClient::new(channel).status(StatusRequest {}).await };
        let status = self.members.repeatable(call).await?;
        Ok(is_reliable(&status.version))
    }

    /// Writes below the prefix, so that every watch of it gets an event.
    pub async fn nudge(&self) -> Result<(), StoreError> {
        let key = format!("{}{NUDGE}", self.prefix);
        self.put_call(PutRequest { key: key.into(), ..Default::default() }).await?;
        Ok(())
    }
}

/// An unreadable version is taken for a new one.
fn is_reliable(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|word| word.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten(), numbers.next().flatten()) {
        (Some(3), Some(4), Some(patch)) => patch >= 31,
        (Some(3), Some(5), Some(patch)) => patch >= 13,
        (Some(major), Some(minor), _) => (major, minor) > (3, 5),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::is_reliable;

    #[test]
    fn old_versions_are_not_believed() {
        for (version, expect) in [
            ("3.4.23", false),
            ("3.4.31", true),
            ("3.5.12", false),
            ("3.5.13", true),
            ("3.6.1-balsa", true),
            ("3.3.9", false),
        ] {
            assert_eq!(is_reliable(version), expect, "{version}");
        }
    }
}
