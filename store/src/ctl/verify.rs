//! `verify`: do the members agree? Hashes at one revision, revisions, and raft positions. The exit code says it.

use balsa_proto::etcd::etcdserverpb as pb;

use super::endpoint::{chosen, each, hash_kv_of, status_of};
use super::failure::{BAD_FEATURE, Failure};
use super::flags::{Flags, Format};
use super::{display, say};

/// Entries that a member may be behind the leader and still count as following: what etcd lets a server lag before it
/// refuses requests.
const MAX_LAG: u64 = 5_000;
/// A compaction between two questions makes hashes incomparable; asking again helps.
const ATTEMPTS: usize = 5;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use all endpoints from the cluster member list
    #[arg(long)]
    cluster: bool,
}

/// What one member says.
struct Member {
    endpoint: String,
    status: pb::StatusResponse,
    hash: Option<pb::HashKvResponse>,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let format = flags.format();
    if !matches!(format, Format::Simple | Format::Json | Format::Table) {
        return Err(Failure::new(BAD_FEATURE, "verify is printed as simple, table or json"));
    }
    let endpoints = chosen(flags, args.cluster).await?;
    let mut findings = Vec::new();
    let mut members = Vec::new();
    for (endpoint, answer) in each(&endpoints, |endpoint| status_of(flags, endpoint)).await {
        match answer {
            Ok(status) => members.push(Member { endpoint, status, hash: None }),
            Err(failure) => findings.push(format!("{endpoint} does not answer: {}", failure.text)),
        }
    }
    hash(flags, &mut members, &mut findings).await;
    findings.extend(judge(&members));
    let text = match format {
        Format::Json => json(&members, &findings),
        _ => {
            table(&members)
                + &findings.iter().map(|finding| format!("DIFFER: {finding}\n")).collect::<String>()
        }
    };
    say(text)?;
    if !findings.is_empty() {
        return Err(Failure::error("the members do not agree"));
    }
    if format != Format::Json {
        say(format!("the {} members agree\n", members.len()))?;
    }
    Ok(())
}

/// Hashes of all members at the greatest revision that all of them have, if they can be compared.
async fn hash(flags: &Flags, members: &mut [Member], findings: &mut Vec<String>) {
    let Some(revision) = members.iter().map(|member| revision(&member.status)).min() else { return };
    for attempt in 1..=ATTEMPTS {
        let endpoints: Vec<String> = members.iter().map(|member| member.endpoint.clone()).collect();
        let answers = each(&endpoints, |endpoint| hash_kv_of(flags, endpoint, revision)).await;
        let mut failed = Vec::new();
        for (member, (endpoint, answer)) in members.iter_mut().zip(answers) {
            match answer {
                Ok(hash) => member.hash = Some(hash),
                Err(failure) => {
                    failed.push(format!("{endpoint} gives no hash at revision {revision}: {}", failure.text))
                }
            }
        }
        let compacted: Vec<i64> =
            members.iter().flat_map(|m| &m.hash).map(|hash| hash.compact_revision).collect();
        let comparable = compacted.windows(2).all(|pair| pair[0] == pair[1]);
        if (failed.is_empty() && comparable) || attempt == ATTEMPTS {
            if !comparable {
                failed.push(format!("the members are compacted at different revisions: {compacted:?}"));
            }
            findings.extend(failed);
            return;
        }
    }
}

fn revision(status: &pb::StatusResponse) -> i64 {
    status.header.as_ref().map_or(0, |header| header.revision)
}

/// What does not fit together; empty if all does.
fn judge(members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    let distinct = |of: &dyn Fn(&Member) -> String| {
        let mut values: Vec<String> = members.iter().map(of).collect();
        values.sort();
        values.dedup();
        values
    };
    let mut same = |what: &str, of: &dyn Fn(&Member) -> String| {
        let values = distinct(of);
        if values.len() > 1 {
            findings.push(format!("{what}: {}", values.join(" and ")));
        }
    };
    same("cluster ids", &|member| {
        format!("{:x}", member.status.header.map_or(0, |header| header.cluster_id))
    });
    same("leaders", &|member| format!("{:x}", member.status.leader));
    same("raft terms", &|member| member.status.raft_term.to_string());
    if members.iter().all(|member| member.hash.is_some()) {
        same("hashes at one revision", &|member| member.hash.map_or(0, |hash| hash.hash).to_string());
    }
    let newest = members.iter().map(|member| member.status.raft_applied_index).max().unwrap_or(0);
    for Member { endpoint, status, .. } in members {
        let lag = newest - status.raft_applied_index;
        if lag > MAX_LAG {
            findings.push(format!("{endpoint} is {lag} entries behind"));
        }
        if status.leader == 0 {
            findings.push(format!("{endpoint} knows no leader"));
        }
        findings.extend(status.errors.iter().map(|error| format!("{endpoint} reports: {error}")));
    }
    findings
}

fn table(members: &[Member]) -> String {
    let head = [
        "ENDPOINT",
        "ID",
        "REVISION",
        "HASH",
        "AT REVISION",
        "COMPACTED",
        "RAFT TERM",
        "RAFT APPLIED",
        "LEADER",
    ];
    let row = |Member { endpoint, status, hash }: &Member| {
        let of = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        vec![
            endpoint.clone(),
            format!("{:x}", status.header.map_or(0, |header| header.member_id)),
            revision(status).to_string(),
            of(hash.map(|hash| hash.hash.to_string())),
            of(hash.map(|hash| hash.hash_revision.to_string())),
            of(hash.map(|hash| hash.compact_revision.to_string())),
            status.raft_term.to_string(),
            status.raft_applied_index.to_string(),
            format!("{:x}", status.leader),
        ]
    };
    display::table::draw(&head, members.iter().map(row).collect())
}

fn json(members: &[Member], findings: &[String]) -> String {
    let row = |Member { endpoint, status, hash }: &Member| {
        serde_json::json!({
            "endpoint": endpoint,
            "member_id": status.header.map_or(0, |header| header.member_id),
            "revision": revision(status),
            "hash": hash.map(|hash| hash.hash),
            "hash_revision": hash.map(|hash| hash.hash_revision),
            "compact_revision": hash.map(|hash| hash.compact_revision),
            "raft_term": status.raft_term,
            "raft_applied_index": status.raft_applied_index,
            "leader": status.leader,
        })
    };
    let rows: Vec<_> = members.iter().map(row).collect();
    serde_json::json!({ "agree": findings.is_empty(), "findings": findings, "members": rows }).to_string()
        + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(endpoint: &str, term: u64, applied: u64, hash: u32) -> Member {
        let header = Some(pb::ResponseHeader { cluster_id: 1, ..Default::default() });
        Member {
            endpoint: endpoint.into(),
            status: pb::StatusResponse {
                header,
                leader: 7,
                raft_term: term,
                raft_applied_index: applied,
                ..Default::default()
            },
            hash: Some(pb::HashKvResponse { hash, ..Default::default() }),
        }
    }

    #[test]
    fn only_what_differs_is_found() {
        assert!(judge(&[member("a", 2, 10, 5), member("b", 2, 12, 5)]).is_empty());
        let found = judge(&[member("a", 2, 10, 5), member("b", 3, 9_000, 6)]);
        assert_eq!(
            found,
            ["raft terms: 2 and 3", "hashes at one revision: 5 and 6", "a is 8990 entries behind"]
        );
    }
}
