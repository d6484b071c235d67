//! Events of a watch come in the order of their revisions. Source: etcd's API guarantees, "ordered".

use super::Check;
use super::events::{describe, watches};
use crate::history::History;

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    for watch in watches(history) {
        let mut last = None;
        for (record, event) in watch.events() {
            check.looked_at += 1;
            if let Some(last) =
                last.filter(|last: &&crate::history::Event| last.kv.mod_revision > event.kv.mod_revision)
            {
                check.violated(
                    format!("{}: {} came after {}", watch.name(record), describe(event), describe(last)),
                    Vec::new(),
                );
            }
            last = Some(event);
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn an_earlier_revision_after_a_later_one_is_refused() {
        let good = watching(vec![asked(1), created(1), events(3, &[event("x", "a", 2), event("x", "b", 3)])]);
        assert!(check(&good).violations.is_empty());
        let bad = watching(vec![
            asked(1),
            created(1),
            events(3, &[event("x", "b", 3)]),
            events(3, &[event("x", "a", 2)]),
        ]);
        assert!(check(&bad).violations[0].text.contains("revision 2: put a of x came after revision 3"));
    }
}
