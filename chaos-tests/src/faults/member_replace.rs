//! `member_replace`: a member is removed by RPC and its data is gone; undone by adding a new one in its place.
//!
//! The new one has the old one's name and address, an empty disk and another identity: it learns all from the others while
//! clients go on.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::kill::start_stopped;
use super::{Act, Arena, Part, part_names};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberReplace {
    pub members: Vec<usize>,
}

impl Act for MemberReplace {
    fn what(&self, arena: &dyn Arena) -> String {
        format!("{} is removed, wiped, and later added anew", part_names(arena, &self.members))
    }

    fn parts(&self) -> &[usize] {
        &self.members
    }

    /// One that was removed may end itself before it is killed.
    fn may_end_parts(&self) -> bool {
        true
    }

    fn keeps_down(&self, number: usize, _: &Part) -> bool {
        self.members.contains(&number)
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        for &member in &self.members {
            arena.membership().remove(member)?;
            arena.kill(member)?;
            wipe(&arena.data_dir(member))?;
        }
        Ok(())
    }

    fn undo(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()> {
        for &member in &self.members {
            arena.membership().add(member)?;
            // Without data it could only found a store of its own.
            arena.set_joining(member);
        }
        start_stopped(arena, &self.members, held)
    }
}

fn wipe(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        // An earlier fault of this kind was here.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.with_context(|| format!("remove {}", folder.display())),
    }
}
