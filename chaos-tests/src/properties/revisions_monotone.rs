//! One client at one member never sees `header.revision` go back. Source: etcd #17780, #16693, #6633.

use std::collections::BTreeMap;

use super::Check;
use crate::history::{History, Operation};

pub fn check(history: &History) -> Check {
    let mut by_client: BTreeMap<(u32, &str), Vec<&Operation>> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| operation.revision().is_some()) {
        // A keep-alive is answered by the leader, with the revision of the leader.
        if operation.request.touches_keys() {
            by_client.entry((operation.client, &operation.member)).or_default().push(operation);
        }
    }
    let mut check = Check::default();
    for mut operations in by_client.into_values() {
        operations.sort_by_key(|operation| operation.call_us);
        check.looked_at += operations.len();
        for pair in operations.windows(2).filter(|pair| pair[0].revision() > pair[1].revision()) {
            let text = format!("the revision went back:\n  {}\n  {}", pair[0].describe(), pair[1].describe());
            check.violated(text, vec![pair[0].clone(), pair[1].clone()]);
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn a_revision_that_goes_back_is_refused() {
        let run = |second| {
            check(&history(vec![
                op(1, (0, 1), put("x", "a"), done(5)),
                op(1, (2, 3), get("y"), nothing(second)),
            ]))
        };
        assert!(run(5).violations.is_empty());
        assert!(run(4).violations[0].text.contains("the revision went back"));
    }
}
