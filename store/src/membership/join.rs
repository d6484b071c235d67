//! How a starting member that has no data yet finds out who it is.
//!
//! A member of a new cluster computes it from its flags; one that joins asks the members that run, over the page
//! `/members` of their peer ports, and goes on only if they know it under its URLs. Source: etcd v3.6
//! `etcdserver/bootstrap.go` and `etcdserver/cluster_util.go`.

use std::collections::BTreeMap;

use balsa_proto::store::MemberRecord;
use serde::{Deserialize, Serialize};

use super::peer_page;
use crate::config::{Config, Url};
use crate::server::connect::Connector;

/// The header that names the cluster on a page of the peer port.
pub const CLUSTER_ID_HEADER: &str = "x-etcd-cluster-id";

/// A member as the page `/members` shows it, in etcd's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMember {
    pub id: u64,
    #[serde(rename = "peerURLs", default)]
    pub peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_learner: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(rename = "clientURLs", default, skip_serializing_if = "Vec::is_empty")]
    pub client_urls: Vec<String>,
}

impl From<MemberRecord> for PageMember {
    fn from(record: MemberRecord) -> Self {
        PageMember {
            id: record.member_id,
            peer_urls: record.peer_urls,
            is_learner: record.is_learner,
            name: record.name,
            client_urls: record.client_urls,
        }
    }
}

/// What another member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningCluster {
    pub cluster_id: u64,
    pub members: Vec<PageMember>,
}

/// Why a member cannot take its place. etcd's words where it has any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"
    )]
    NobodyAnswers,
    #[error(
        "error validating peerURLs: member count is unequal: --initial-cluster names {flags} members, the cluster has {cluster}; add this member first"
    )]
    Count { flags: usize, cluster: usize },
    #[error(
        "error validating peerURLs: unmatched member while checking PeerURLs: no member of the cluster has exactly the URLs {urls} of {name:?}"
    )]
    Unmatched { name: String, urls: String },
    #[error(
        "member {0:x} has already been bootstrapped: remove it from the cluster, add it again, and start it with --initial-cluster-state=existing"
    )]
    AlreadyBootstrapped(u64),
}

/// Cluster id and member id of a member that starts without data.
pub async fn place(config: &Config, connector: &Connector) -> Result<(u64, u64), JoinError> {
    let others = config.initial_cluster.iter().filter(|(name, _)| **name != config.name);
    let urls: Vec<Url> = others.flat_map(|(_, urls)| urls).cloned().collect();
    let running = ask_all(&urls, connector).await;
    if config.joins_existing_cluster {
        return find(config, running.as_ref().ok_or(JoinError::NobodyAnswers)?);
    }
    let (cluster_id, member_id) = (config.cluster_id(), config.own_id());
    match running {
        Some(running) if running.cluster_id == cluster_id && has_served(&running, member_id) => {
            Err(JoinError::AlreadyBootstrapped(member_id))
        }
        // Another cluster behind these URLs refuses our messages, and its own members speak up.
        Some(_) | None => Ok((cluster_id, member_id)),
    }
}

/// A member that served once has promised things that an empty disk forgot.
fn has_served(running: &RunningCluster, id: u64) -> bool {
    running.members.iter().any(|member| member.id == id && !member.client_urls.is_empty())
}

fn find(config: &Config, running: &RunningCluster) -> Result<(u64, u64), JoinError> {
    let (flags, cluster) = (config.initial_cluster.len(), running.members.len());
    if flags != cluster {
        return Err(JoinError::Count { flags, cluster });
    }
    let mut ids = BTreeMap::new();
    for (name, urls) in &config.initial_cluster {
        let urls = sorted(urls.iter().map(ToString::to_string));
        let found = running.members.iter().find(|member| sorted(member.peer_urls.iter().cloned()) == urls);
        let unmatched = || JoinError::Unmatched { name: name.clone(), urls: urls.join(",") };
        ids.insert(name, found.ok_or_else(unmatched)?.id);
    }
    let own = ids.get(&config.name).copied().expect("the flags are checked to name this member");
    Ok((running.cluster_id, own))
}

fn sorted(urls: impl Iterator<Item = String>) -> Vec<String> {
    let mut urls: Vec<String> = urls.collect();
    urls.sort();
    urls
}

/// What the first of them says that answers. Nobody is waited for once one has spoken.
async fn ask_all(urls: &[Url], connector: &Connector) -> Option<RunningCluster> {
    let asked = urls.iter().map(|url| {
        Box::pin(async move {
            ask(url, connector).await.inspect_err(|error| {
                tracing::info!(%url, error, "a member of the cluster cannot be asked");
            })
        })
    });
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        return None;
    }
    futures::future::select_ok(asked).await.ok().map(|(running, _)| running)
}

async fn ask(url: &Url, connector: &Connector) -> Result<RunningCluster, String> {
    let page = peer_page::get(url, connector, "/members").await?;
    let id = page.headers.get(CLUSTER_ID_HEADER).and_then(|id| id.to_str().ok());
    let cluster_id = id.and_then(|id| u64::from_str_radix(id, 16).ok()).ok_or("it names no cluster")?;
    let members = serde_json::from_slice(&page.body).map_err(|error| error.to_string())?;
    Ok(RunningCluster { cluster_id, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_initial_cluster;

    fn config(flags: &str) -> Config {
        Config {
            name: "b".into(),
            initial_cluster: parse_initial_cluster(flags).expect("parses"),
            ..Config::default()
        }
    }

    fn running(urls: &[&str]) -> RunningCluster {
        let member = |(i, urls): (usize, &&str)| PageMember {
            id: i as u64 + 1,
            peer_urls: urls.split(' ').map(ToOwned::to_owned).collect(),
            is_learner: false,
            name: String::new(),
            client_urls: Vec::new(),
        };
        RunningCluster { cluster_id: 7, members: urls.iter().enumerate().map(member).collect() }
    }

    #[test]
    fn a_joining_member_is_found_by_its_urls() {
        let flags = "a=http://a:1,b=http://b:1,b=http://b:2";
        let found = find(&config(flags), &running(&["http://a:1", "http://b:2 http://b:1"]));
        assert_eq!(found, Ok((7, 2)));
        assert_eq!(
            find(&config(flags), &running(&["http://a:1"])),
            Err(JoinError::Count { flags: 2, cluster: 1 })
        );
        let other = find(&config(flags), &running(&["http://a:1", "http://b:1"]));
        assert!(matches!(other, Err(JoinError::Unmatched { .. })), "{other:?}");
    }

    #[test]
    fn the_page_has_etcds_form() {
        let text = r#"[{"id":1,"peerURLs":["http://a:1"],"isLearner":true},{"id":2,"peerURLs":["http://b:1"],"name":"b","clientURLs":["http://c:1"]}]"#;
        let members: Vec<PageMember> = serde_json::from_str(text).expect("parses");
        assert!(members[0].is_learner && members[0].name.is_empty());
        assert_eq!(serde_json::to_string(&members).expect("prints"), text);
    }
}
