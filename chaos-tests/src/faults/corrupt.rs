//! `corrupt`: a member is stopped, bits of one of its files are flipped, and it is started again.
//!
//! The member may refuse to start, and should say why; then it is undone by giving the file its old bytes back. One that
//! did start keeps its files: it has voted and acknowledged with them since. It must not serve what is wrong.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::kill::{Kill, start_stopped};
use super::{Fault, names};
use crate::lab::{Condition, StoreCluster};

/// Flipped bytes, in a row, as a bad sector would do it.
const DAMAGE_BYTES: usize = 512;
/// Smaller files are lock files, and names of other files.
const FILE_MIN_BYTES: u64 = 1024;

pub struct Corrupt {
    victims: Vec<usize>,
    random: StdRng,
    /// Member, file, and its bytes before.
    originals: Vec<(usize, PathBuf, Vec<u8>)>,
}

impl Corrupt {
    pub fn new(victims: Vec<usize>, seed: u64) -> Self {
        Self { victims, random: StdRng::seed_from_u64(seed), originals: Vec::new() }
    }

    fn damage(&mut self, victim: usize, folder: &Path) -> Result<()> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        let Some(file) = files.choose(&mut self.random) else { return Ok(()) };
        let original = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let mut bytes = original.clone();
        let from = self.random.random_range(0..bytes.len());
        for byte in bytes.iter_mut().skip(from).take(DAMAGE_BYTES) {
            *byte ^= 0x55;
        }
        std::fs::write(file, bytes).with_context(|| format!("write {}", file.display()))?;
        self.originals.push((victim, file.clone(), original));
        Ok(())
    }
}

impl Fault for Corrupt {
    fn what(&self, cluster: &StoreCluster) -> String {
        format!("a file of {} is damaged while it is stopped", names(cluster, self.victims()))
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn may_end_members(&self) -> bool {
        true
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        Kill::new(self.victims.clone()).inject(cluster)?;
        for victim in self.victims.clone() {
            let folder = cluster.members()[victim].data_dir().to_owned();
            self.damage(victim, &folder)?;
        }
        start_stopped(cluster, &self.victims)
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        for (victim, file, original) in self.originals.drain(..) {
            if cluster.members()[victim].condition() == Condition::Stopped {
                std::fs::write(&file, original).with_context(|| format!("write {}", file.display()))?;
            }
        }
        start_stopped(cluster, &self.victims)
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
