//! After healing, all members hold the same at the same revision. Source: Raft's state machine safety; etcd #13766 and
//! #18667 let members diverge.

use super::Check;
use crate::history::{FinalState, History};

pub fn check(history: &History) -> Check {
    let mut check = Check::looked_at(history.finals.iter().map(|state| state.kvs.len()).sum());
    let Some((first, others)) = history.finals.split_first() else { return check };
    for other in others {
        if other.revision == first.revision && other.kvs != first.kvs {
            check.violated(difference(first, other), Vec::new());
        }
        // A hash covers what a compaction left, so that it says something only at one compacted revision.
        let comparable = first.revision == other.revision && first.compact_revision == other.compact_revision;
        if let (true, Some(one), Some(two)) = (comparable, first.hash, other.hash)
            && one != two
        {
            let text = format!(
                "HashKV at revision {} is {one:08x} on {} and {two:08x} on {}",
                first.revision, first.member, other.member
            );
            check.violated(text, Vec::new());
        }
    }
    let hashes = history.finals.iter().filter(|state| state.hash.is_some()).count();
    check.notes.push(format!("{} members compared, {hashes} of them gave a hash", history.finals.len()));
    check
}

fn difference(one: &FinalState, two: &FinalState) -> String {
    let missing = |from: &FinalState, of: &FinalState| {
        from.kvs
            .iter()
            .filter(|kv| !of.kvs.contains(kv))
            .take(3)
            .map(|kv| format!("{kv:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "at revision {} {} holds {} keys and {} holds {}; only {}: [{}], only {}: [{}]",
        one.revision,
        one.member,
        one.kvs.len(),
        two.member,
        two.kvs.len(),
        one.member,
        missing(one, two),
        two.member,
        missing(two, one)
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    fn state(member: &str, value: &str, hash: u32) -> FinalState {
        FinalState {
            member: member.to_owned(),
            revision: 9,
            kvs: vec![kv("x", value, 9)],
            hash: Some(hash),
            compact_revision: 0,
        }
    }

    fn judge(finals: Vec<FinalState>) -> Check {
        check(&History { finals, ..History::default() })
    }

    #[test]
    fn members_that_differ_are_refused() {
        assert!(judge(vec![state("m1", "a", 1), state("m2", "a", 1)]).violations.is_empty());
        assert!(
            judge(vec![state("m1", "a", 1), state("m2", "b", 1)]).violations[0].text.contains("only m2: [Kv")
        );
        assert!(
            judge(vec![state("m1", "a", 1), state("m2", "a", 2)]).violations[0]
                .text
                .contains("HashKV at revision 9")
        );
    }
}
