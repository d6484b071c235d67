//! `corrupt`: a member is stopped, bits of one of its files are flipped, and it is started again.
//!
//! The member may refuse to start, and should say why; then it is undone by giving the file its old bytes back, which are
//! kept beside its data. One that did start keeps its files: it has voted and acknowledged with them since. It must not
//! serve what is wrong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use super::kill::{kill_all, start_stopped};
use super::{Act, Arena, part_names};
use crate::lab::Condition;

/// Flipped bytes, in a row, as a bad sector would do it.
const DAMAGE_BYTES: usize = 512;
/// Smaller files are lock files, and names of other files.
const FILE_MIN_BYTES: u64 = 1024;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Corrupt {
    members: Vec<usize>,
    seed: u64,
    damages: Vec<Damage>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Damage {
    member: usize,
    file: PathBuf,
    /// Its bytes before.
    original: PathBuf,
}

impl Corrupt {
    pub fn new(members: Vec<usize>, seed: u64) -> Self {
        Self { members, seed, damages: Vec::new() }
    }

    fn damage(&mut self, member: usize, folder: &Path, random: &mut StdRng) -> Result<()> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        let Some(file) = files.choose(random) else { return Ok(()) };
        let original = folder.with_extension("undamaged");
        let mut bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        std::fs::write(&original, &bytes).with_context(|| format!("write {}", original.display()))?;
        let from = random.random_range(0..bytes.len());
        for byte in bytes.iter_mut().skip(from).take(DAMAGE_BYTES) {
            *byte ^= 0x55;
        }
        self.damages.push(Damage { member, file: file.clone(), original });
        std::fs::write(file, bytes).with_context(|| format!("write {}", file.display()))
    }
}

impl Damage {
    /// A file that is gone went with all of the member's data.
    fn repair(&self) -> Result<()> {
        if self.file.exists() {
            std::fs::copy(&self.original, &self.file)
                .with_context(|| format!("give {} its bytes back", self.file.display()))?;
        }
        Ok(())
    }
}

impl Act for Corrupt {
    fn what(&self, arena: &dyn Arena) -> String {
        format!("a file of {} is damaged while it is stopped", part_names(arena, &self.members))
    }

    fn parts(&self) -> &[usize] {
        &self.members
    }

    fn may_end_parts(&self) -> bool {
        true
    }

    fn inject(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()> {
        kill_all(arena, &self.members)?;
        let mut random = StdRng::seed_from_u64(self.seed);
        for member in self.members.clone() {
            self.damage(member, &arena.data_dir(member), &mut random)?;
        }
        start_stopped(arena, &self.members, held)
    }

    fn undo(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()> {
        let parts = arena.parts();
        for damage in self.damages.drain(..) {
            if parts[damage.member].condition == Condition::Stopped {
                damage.repair()?;
            }
            // It may have gone with the disk that it was on.
            let _ = std::fs::remove_file(&damage.original);
        }
        start_stopped(arena, &self.members, held)
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        let metadata = entry.metadata().with_context(|| format!("look at {}", entry.path().display()))?;
        if metadata.is_dir() {
            collect(&entry.path(), files)?;
        } else if metadata.len() >= FILE_MIN_BYTES {
            files.push(entry.path());
        }
    }
    Ok(())
}
