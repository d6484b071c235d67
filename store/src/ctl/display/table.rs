//! A table drawn with lines, for answers that are lists.

use super::{Answer, simple};

const MEMBER_HEAD: [&str; 6] = ["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"];
const STATUS_HEAD: [&str; 16] = [
    "ENDPOINT",
    "ID",
    "VERSION",
    "STORAGE VERSION",
    "DB SIZE",
    "IN USE",
    "PERCENTAGE NOT IN USE",
    "QUOTA",
    "IS LEADER",
    "IS LEARNER",
    "RAFT TERM",
    "RAFT INDEX",
    "RAFT APPLIED INDEX",
    "ERRORS",
    "DOWNGRADE TARGET VERSION",
    "DOWNGRADE ENABLED",
];
const HASH_HEAD: [&str; 3] = ["ENDPOINT", "HASH", "HASH REVISION"];
const HEALTH_HEAD: [&str; 4] = ["ENDPOINT", "HEALTH", "TOOK", "ERROR"];

/// `None` for answers that stock etcdctl gives no table for.
pub fn show(answer: &Answer) -> Option<String> {
    match answer {
        Answer::MemberList(response) => {
            Some(draw(&MEMBER_HEAD, response.members.iter().map(simple::member_cells).collect()))
        }
        Answer::EndpointStatus(statuses) => {
            Some(draw(&STATUS_HEAD, statuses.iter().map(simple::status_cells).collect()))
        }
        Answer::EndpointHealth(healths) => {
            let row = |health: &super::Health| {
                let took = health.took_text();
                let error = health.error.clone().unwrap_or_default();
                vec![health.endpoint.clone(), health.error.is_none().to_string(), took, error]
            };
            Some(draw(&HEALTH_HEAD, healths.iter().map(row).collect()))
        }
        Answer::EndpointHashKv(hashes) => {
            Some(draw(&HASH_HEAD, hashes.iter().map(simple::hash_cells).collect()))
        }
        Answer::Get { .. }
        | Answer::Put(_)
        | Answer::Del(_)
        | Answer::Txn(_)
        | Answer::Watch(_)
        | Answer::LeaseGrant(_)
        | Answer::LeaseRevoke { .. }
        | Answer::LeaseTimeToLive { .. }
        | Answer::LeaseList(_)
        | Answer::LeaseKeepAlive(_)
        | Answer::MemberAdd { .. }
        | Answer::MemberChange { .. }
        | Answer::Alarms(_)
        | Answer::MoveLeader { .. }
        | Answer::Downgrade { .. }
        | Answer::AuthStatus(_)
        | Answer::RoleGet { .. }
        | Answer::RoleList(_)
        | Answer::UserGet { .. }
        | Answer::UserList(_)
        | Answer::Done { .. } => None,
    }
}

/// Heads in the middle, cells to the right.
pub fn draw(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
    let rule = format!("+{rule}+\n");
    let heads: Vec<String> =
        head.iter().zip(&widths).map(|(head, width)| format!(" {head:^width$} ")).collect();
    let mut out = format!("{rule}|{}|\n{rule}", heads.join("|"));
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:>width$} ")).collect();
        out.push_str(&format!("|{}|\n", cells.join("|")));
    }
    out + &rule
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn looks_like_stock() {
        let want = "+------+---------+\n| NAME | VERSION |\n+------+---------+\n|    a |   3.4.2 |\n+------+---------+\n";
        assert_eq!(draw(&["NAME", "VERSION"], vec![vec!["a".into(), "3.4.2".into()]]), want);
    }
}
