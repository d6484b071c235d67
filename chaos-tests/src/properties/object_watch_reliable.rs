//! A watch leaves nothing out: of every acknowledged write between two versions that a watch has seen, it was told.
//!
//! Source: etcd's watch validator `Reliable`, one level up; the API's concepts ("watch … notifies of all changes").

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::history::History;
use crate::history::object::{ObjectOperation, ObjectSight, ObjectVerb, ObjectWatchRecord};

/// What one watch can vouch for: every version from a list's to the newest that followed without another list.
struct Stretch {
    after: u64,
    until: u64,
    told: BTreeSet<u64>,
}

pub fn check(history: &History) -> Check {
    let mut watches: BTreeMap<(u32, &str), Vec<&ObjectWatchRecord>> = BTreeMap::new();
    for record in &history.object_watches {
        watches.entry((record.watch, record.scope.as_str())).or_default().push(record);
    }
    let mut check = Check::default();
    for ((watch, scope), records) in watches {
        let stretches = stretches(&records);
        for write in history.object_operations.iter().filter(|write| is_of(write, scope)) {
            let Some(version) = write.version() else { continue };
            for stretch in stretches.iter().filter(|s| s.after < version && version <= s.until) {
                check.looked_at += 1;
                if !stretch.told.contains(&version) {
                    let text = format!(
                        "watch {watch} ({scope}) saw {} and was never told of\n  {}",
                        stretch.until,
                        write.describe()
                    );
                    check.violated_by_objects(text, [write]);
                }
            }
        }
    }
    check
}

/// The version of a delete's answer is that of the object before it.
fn is_of(write: &ObjectOperation, scope: &str) -> bool {
    let is_told = match write.verb {
        ObjectVerb::Create | ObjectVerb::Update => true,
        ObjectVerb::Delete | ObjectVerb::List => false,
    };
    is_told && write.object.strip_prefix(scope).is_some_and(|rest| rest.starts_with('/'))
}

fn stretches(records: &[&ObjectWatchRecord]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for record in records {
        let told = match &record.sight {
            ObjectSight::Listed { version, .. } => {
                stretches.push(Stretch { after: *version, until: *version, told: BTreeSet::new() });
                continue;
            }
            ObjectSight::Applied(seen) | ObjectSight::Deleted(seen) => (seen.version, Some(seen.version)),
            ObjectSight::Bookmark { version } => (*version, None),
            ObjectSight::Broken { .. } | ObjectSight::Expired => continue,
        };
        if let Some(stretch) = stretches.last_mut() {
            stretch.until = stretch.until.max(told.0);
            stretch.told.extend(told.1);
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::super::object_fixture::*;
    use super::*;

    fn judge(sights: Vec<ObjectSight>) -> Check {
        let mut history = history(vec![create("a", "1", ok(5)), update("a", "2", ok(6))], vec![]);
        history.object_watches = watching(sights);
        check(&history)
    }

    #[test]
    fn a_version_between_two_that_were_seen_is_missed() {
        let listed = |version| ObjectSight::Listed { version, objects: Vec::new() };
        let applied = |version| ObjectSight::Applied(config_map("a", "x", version));
        assert!(judge(vec![listed(4), applied(5), applied(6)]).violations.is_empty());
        assert!(judge(vec![listed(4), applied(6)]).violations[0].text.contains("was never told of"));
        assert_eq!(judge(vec![listed(5), ObjectSight::Bookmark { version: 7 }]).violations.len(), 1);
        assert!(judge(vec![listed(4), applied(5)]).violations.is_empty(), "the rest may still come");
        assert!(judge(vec![listed(4), listed(7)]).violations.is_empty(), "a list tells all at once");
    }
}
