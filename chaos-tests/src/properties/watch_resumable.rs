//! A stream that asks from revision R on is told nothing from before R. Source: etcd's API guarantees, "resumable"; etcd
//! #15271 and #20221 went back in time.

use super::Check;
use super::events::{describe, watches};
use crate::history::{History, WatchSight};

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    for watch in watches(history) {
        let mut asked = 0;
        for record in &watch.records {
            match &record.sight {
                WatchSight::Asked { start_revision, .. } => {
                    asked = *start_revision;
                    check.looked_at += 1;
                }
                // Asked from now on: from after the revision of the answer.
                WatchSight::Created if asked == 0 => asked = record.revision + 1,
                WatchSight::Events(events) => {
                    for event in events.iter().filter(|event| event.kv.mod_revision < asked) {
                        check.violated(
                            format!(
                                "{}: {}, though the stream asked from {asked} on",
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
    fn a_stream_that_goes_back_in_time_is_refused() {
        let bad = watching(vec![asked(5), created(9), events(9, &[event("x", "a", 4)])]);
        assert!(check(&bad).violations[0].text.contains("asked from 5 on"));
        let now = watching(vec![asked(0), created(9), events(9, &[event("x", "a", 9)])]);
        assert!(check(&now).violations[0].text.contains("asked from 10 on"));
        let good =
            watching(vec![asked(0), created(9), events(10, &[event("x", "a", 10)]), asked(11), created(12)]);
        assert!(check(&good).violations.is_empty());
    }
}
