//! What members told one another and wrote into their states, held against what Raft promises.
//!
//! *Election safety* (Raft §5.2, for votes ordered by term and candidate as openraft orders them): the votes that a
//! member grants only grow, also across restarts, so that no two majorities ever stand behind two leaders that do not
//! know of one another. *Log matching* (Raft §5.3): two entries with one log id are the same entry, and follow the same
//! entry. *State machine safety* (Raft §5.4.3), on the level of records: what a revision holds is the same, whichever
//! member wrote it.
//!
//! In: [`Sighting`]s, in the order in which they were seen. They are judged at once, and kept if that is asked for, so that
//! the folder of a run can be judged again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::trace::{Place, name};
use crate::properties::Check;

pub const ELECTION_SAFETY: &str = "election_safety";
pub const LOG_MATCHING: &str = "log_matching";
pub const STATE_MACHINE_SAFETY: &str = "state_machine_safety";
/// The properties that are judged here, and not from what clients saw.
pub const PROPERTIES: [&str; 3] = [ELECTION_SAFETY, LOG_MATCHING, STATE_MACHINE_SAFETY];

/// (term, candidate).
pub type Ballot = (u64, u64);
/// (term, leader, index).
pub type EntryId = (u64, u64, u64);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sighting {
    /// It granted its vote.
    Granted { voter: Place, ballot: Ballot },
    /// It says that it leads.
    Leads { place: Place, ballot: Ballot },
    /// A leader sends an entry.
    Entry { leader: Place, id: EntryId, before: Option<EntryId>, digest: u32 },
    /// It came back with an empty disk, and has granted nothing.
    Forgotten { place: Place },
    /// It wrote what a revision holds.
    Recorded {
        place: Place,
        #[serde(with = "text")]
        key: Bytes,
        #[serde(with = "text")]
        value: Bytes,
    },
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Sightings(Arc<Mutex<Inner>>);

struct Inner {
    book: Book,
    kept: Option<Vec<Sighting>>,
}

/// What was seen so far, as far as later sightings are compared with it.
#[derive(Default)]
struct Book {
    granted: BTreeMap<Place, Ballot>,
    leaders: BTreeMap<Ballot, Place>,
    /// What stands before each entry, and a digest of it.
    entries: BTreeMap<EntryId, (Option<EntryId>, u32)>,
    records: BTreeMap<Bytes, (Bytes, Place)>,
    looked_at: BTreeMap<&'static str, usize>,
    violations: Vec<(&'static str, String)>,
}

impl Sightings {
    pub fn new(keep: bool) -> Sightings {
        Sightings(Arc::new(Mutex::new(Inner { book: Book::default(), kept: keep.then(Vec::new) })))
    }

    pub fn see(&self, sighting: Sighting) {
        let mut inner = self.0.lock();
        inner.book.look_at(&sighting);
        if let Some(kept) = &mut inner.kept {
            kept.push(sighting);
        }
    }

    /// The first one: name of the property, and what was seen.
    pub fn violation(&self) -> Option<(&'static str, String)> {
        self.0.lock().book.violations.first().cloned()
    }

    /// What each of [`PROPERTIES`] found.
    pub fn checks(&self) -> Vec<(&'static str, Check)> {
        let inner = self.0.lock();
        let check = |property| {
            let mut check = Check::looked_at(inner.book.looked_at.get(property).copied().unwrap_or(0));
            let found = inner.book.violations.iter().filter(|(of, _)| *of == property);
            found.for_each(|(_, text)| check.violated(text.clone(), Vec::new()));
            (property, check)
        };
        PROPERTIES.into_iter().map(check).collect()
    }

    /// One line a sighting; nothing unless they were kept.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut lines = String::new();
        for sighting in self.0.lock().kept.iter().flatten() {
            let line = serde_json::to_string(sighting).context("write a sighting as JSON")?;
            writeln!(lines, "{line}").context("write a sighting")?;
        }
        std::fs::write(path, lines).with_context(|| format!("write {}", path.display()))
    }

    /// Judges them anew.
    pub fn load(path: &Path) -> Result<Sightings> {
        let lines = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let sightings = Sightings::new(false);
        for (number, line) in lines.lines().enumerate() {
            let sighting = serde_json::from_str(line);
            sightings.see(sighting.with_context(|| format!("{}, line {}", path.display(), number + 1))?);
        }
        Ok(sightings)
    }
}

impl Book {
    fn look_at(&mut self, sighting: &Sighting) {
        match sighting {
            Sighting::Granted { voter, ballot } => self.vote(*voter, *ballot),
            Sighting::Leads { place, ballot } => self.leader(*place, *ballot),
            Sighting::Entry { leader, id, before, digest } => self.entry(*leader, *id, (*before, *digest)),
            Sighting::Forgotten { place } => drop(self.granted.remove(place)),
            Sighting::Recorded { place, key, value } => self.record(*place, key, value),
        }
    }

    fn vote(&mut self, voter: Place, ballot: Ballot) {
        self.count(ELECTION_SAFETY);
        let before = self.granted.insert(voter, ballot);
        if let Some(before) = before.filter(|before| *before > ballot) {
            let (voter, ballot, before) = (name(voter), describe(ballot), describe(before));
            let text = format!("{voter} granted its vote to {ballot} after it had granted it to {before}");
            self.violations.push((ELECTION_SAFETY, text));
        }
    }

    fn leader(&mut self, place: Place, ballot: Ballot) {
        let known = *self.leaders.entry(ballot).or_insert(place);
        if known != place {
            let text = format!("{} and {} both lead as {}", name(known), name(place), describe(ballot));
            self.violations.push((ELECTION_SAFETY, text));
        }
    }

    fn entry(&mut self, leader: Place, id: EntryId, (before, digest): (Option<EntryId>, u32)) {
        self.count(LOG_MATCHING);
        let known = *self.entries.entry(id).or_insert((before, digest));
        if known.1 != digest || (known.0 != before && known.0.is_some() && before.is_some()) {
            let text = format!(
                "entry {id:?} from {} has digest {digest:08x} behind {before:?}, and was seen as {:08x} behind {:?}",
                name(leader),
                known.1,
                known.0
            );
            self.violations.push((LOG_MATCHING, text));
        }
    }

    fn record(&mut self, place: Place, key: &Bytes, value: &Bytes) {
        self.count(STATE_MACHINE_SAFETY);
        let Some((known, by)) = self.records.get(key) else {
            self.records.insert(key.clone(), (value.clone(), place));
            return;
        };
        if known != value {
            let (by, place) = (name(*by), name(place));
            let text = format!("revision record {key:?}: {by} wrote {known:?} and {place} wrote {value:?}");
            self.violations.push((STATE_MACHINE_SAFETY, text));
        }
    }

    fn count(&mut self, property: &'static str) {
        *self.looked_at.entry(property).or_insert(0) += 1;
    }
}

fn describe(ballot: Ballot) -> String {
    format!("candidate {:x} of term {}", ballot.1, ballot.0)
}

/// Bytes as base64.
mod text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}
