//! A watch tells only what was asked for: keys of its range. Source: etcd tests/robustness, validate/watch.go, "filter".

use super::Check;
use super::events::{describe, watches};
use crate::history::History;

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    for watch in watches(history) {
        for (record, event) in watch.events() {
            check.looked_at += 1;
            if !event.kv.key.starts_with(watch.prefix) {
                check.violated(
                    format!("{}: {} was not asked for", watch.name(record), describe(event)),
                    Vec::new(),
                );
            }
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn a_key_outside_of_the_range_is_refused() {
        let mut bad = watching(vec![asked(1), created(1), events(2, &[event("x", "a", 2)])]);
        assert!(check(&bad).violations.is_empty());
        bad.watches.iter_mut().for_each(|record| "y".clone_into(&mut record.prefix));
        assert!(check(&bad).violations[0].text.contains("was not asked for"));
    }
}
