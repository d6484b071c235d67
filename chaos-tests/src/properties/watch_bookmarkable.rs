//! After a progress notification of revision R no event of R or before comes. Source: etcd's API guarantees,
//! "bookmarkable"; etcd #15220: the notification overtook events.

use super::Check;
use super::events::{describe, watches};
use crate::history::{History, WatchSight};

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    for watch in watches(history) {
        let mut bookmark = 0;
        for record in &watch.records {
            match &record.sight {
                WatchSight::Progress => {
                    check.looked_at += 1;
                    bookmark = bookmark.max(record.revision);
                }
                WatchSight::Events(events) => {
                    for event in events.iter().filter(|event| event.kv.mod_revision <= bookmark) {
                        check.violated(
                            format!(
                                "{}: {} came after progress {bookmark}",
                                watch.name(record),
                                describe(event)
                            ),
                            Vec::new(),
                        );
                    }
                }
                _ => {}
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
    fn an_event_behind_its_bookmark_is_refused() {
        let good = watching(vec![asked(1), created(1), progress(5), events(6, &[event("x", "a", 6)])]);
        assert!(check(&good).violations.is_empty());
        let bad = watching(vec![asked(1), created(1), progress(5), events(5, &[event("x", "a", 5)])]);
        assert!(check(&bad).violations[0].text.contains("came after progress 5"));
    }
}
