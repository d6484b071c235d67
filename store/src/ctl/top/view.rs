//! Two samples as a picture.

use balsa_proto::etcd::etcdserverpb::StatusResponse;

use super::{Prefixes, Sample, Seen};
use crate::ctl::display::simple::human_size;
use crate::ctl::display::table;

const HEAD: [&str; 10] =
    ["NAME", "ID", "ROLE", "VERSION", "RAFT INDEX", "APPLIED", "LAG", "DB SIZE", "IN USE", "ROUND TRIP"];

pub fn picture(before: &Sample, now: &Sample, prefixes: Prefixes<'_>) -> String {
    let rows = now.members.iter().map(|seen| row(seen, newest_index(now))).collect();
    let mut out = summary(before, now) + &table::draw(&HEAD, rows);
    match prefixes {
        Ok(prefixes) => {
            let rows =
                prefixes.iter().map(|prefix| vec![prefix.name.clone(), prefix.keys.to_string()]).collect();
            out.push_str(&table::draw(&["PREFIX", "KEYS"], rows));
        }
        Err(reason) => out.push_str(&format!("prefixes are not known: {reason}\n")),
    }
    for seen in &now.members {
        match &seen.status {
            Ok(status) => {
                status.errors.iter().for_each(|error| out.push_str(&format!("{}: {error}\n", seen.name)));
            }
            Err(failure) => out.push_str(&format!("{} at {}: {}\n", seen.name, seen.endpoint, failure.text)),
        }
    }
    out
}

fn answered(sample: &Sample) -> impl Iterator<Item = &StatusResponse> {
    sample.members.iter().filter_map(|seen| seen.status.as_ref().ok())
}

fn newest_index(sample: &Sample) -> u64 {
    answered(sample).map(|status| status.raft_index).max().unwrap_or(0)
}

fn newest_revision(sample: &Sample) -> i64 {
    answered(sample)
        .filter_map(|status| status.header.as_ref())
        .map(|header| header.revision)
        .max()
        .unwrap_or(0)
}

fn summary(before: &Sample, now: &Sample) -> String {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(f64::MIN_POSITIVE);
    let rate = |more: f64| format!("{:.1}/s", more / seconds);
    let header = answered(now).find_map(|status| status.header).unwrap_or_default();
    let term = answered(now).map(|status| status.raft_term).max().unwrap_or(0);
    let revisions = (newest_revision(now) - newest_revision(before)) as f64;
    let entries = newest_index(now) as f64 - newest_index(before) as f64;
    format!(
        "cluster {:x}  term {term}  revision {}  changes {}  raft entries {}  members {} of {} answer\n",
        header.cluster_id,
        newest_revision(now),
        rate(revisions),
        rate(entries),
        answered(now).count(),
        now.members.len(),
    )
}

fn row(seen: &Seen, newest: u64) -> Vec<String> {
    let Ok(status) = &seen.status else {
        let mut cells = vec![String::from("-"); HEAD.len()];
        cells[0] = seen.name.clone();
        cells[2] = "away".into();
        return cells;
    };
    let id = status.header.map_or(0, |header| header.member_id);
    let role = match () {
        () if status.is_learner => "learner",
        () if status.leader == id => "leader",
        () => "follower",
    };
    let size = |bytes: i64| human_size(bytes.max(0) as u64);
    vec![
        seen.name.clone(),
        format!("{id:x}"),
        role.into(),
        status.version.clone(),
        status.raft_index.to_string(),
        status.raft_applied_index.to_string(),
        newest.saturating_sub(status.raft_applied_index).to_string(),
        size(status.db_size),
        size(status.db_size_in_use),
        format!("{:.1}ms", seen.took.as_secs_f64() * 1000.0),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use balsa_proto::etcd::etcdserverpb::ResponseHeader;

    use super::super::prefixes::Prefix;
    use super::*;
    use crate::ctl::failure::Failure;

    fn sample(at: Instant, revision: i64, index: u64) -> Sample {
        let header = Some(ResponseHeader { member_id: 1, revision, ..Default::default() });
        let status = StatusResponse {
            header,
            leader: 1,
            raft_index: index,
            raft_applied_index: index - 1,
            ..Default::default()
        };
        let seen = |name: &str, status| Seen {
            name: name.into(),
            endpoint: "e".into(),
            took: Duration::from_millis(2),
            status,
        };
        let members = vec![seen("a", Ok(status)), seen("b", Err(Failure::error("refused")))];
        Sample { at, members }
    }

    #[test]
    fn a_picture_has_rates_roles_lag_and_who_is_away() {
        let start = Instant::now();
        let (before, now) = (sample(start, 10, 20), sample(start + Duration::from_secs(2), 30, 24));
        let prefixes = [Prefix { name: "/registry/".into(), keys: 5 }];
        let text = picture(&before, &now, Ok(&prefixes));
        for part in ["changes 10.0/s", "raft entries 2.0/s", "members 1 of 2", "leader", "away", "/registry/"]
        {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(text.contains("b at e: refused"), "{text}");
    }
}
