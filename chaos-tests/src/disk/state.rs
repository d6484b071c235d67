//! The file system itself: a live tree that reads see, and a durable one that a power cut leaves.
//!
//! What makes what durable is the contract of POSIX, in one of two readings ([`Metadata`]). A power cut throws away
//! everything else, or lets a random part of it survive ([`Survivors`]): a disk writes back unsynced pages whenever it
//! likes. Inode numbers are never used twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use nix::errno::Errno;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::content::{Content, PAGE_BYTES};

pub const ROOT: u64 = 1;

/// When names are durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    /// As ext4 and XFS: any fsync also makes all earlier changes of names durable, in their order.
    #[default]
    Journaled,
    /// No more than POSIX says: a name is durable after an fsync of its directory.
    Strict,
}

/// What of the unsynced outlives a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Survivors {
    #[default]
    Nothing,
    /// Each unsynced page by the toss of a coin.
    Some,
}

#[derive(Debug)]
pub struct Inode {
    pub kind: Kind,
    pub mode: u32,
    pub modified: SystemTime,
    /// What the kernel remembers of it; it may ask for the number until it forgets.
    lookups: u64,
}

#[derive(Debug)]
pub enum Kind {
    File(File),
    Folder(Folder),
}

#[derive(Debug, Default)]
pub struct File {
    pub live: Content,
    durable: Content,
    /// Pages whose live and durable bytes may differ.
    dirty: BTreeSet<u64>,
}

#[derive(Debug, Default)]
pub struct Folder {
    pub live: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
}

/// How the disk behaves badly at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Every sync takes this much longer.
    pub sync_delay: Duration,
    pub write_delay: Duration,
    /// Syncs fail with EIO, and make nothing durable.
    pub syncs_fail: bool,
    /// No space for new pages.
    pub full: bool,
}

#[derive(Debug)]
pub struct Disk {
    inodes: HashMap<u64, Inode>,
    next: u64,
    metadata: Metadata,
    pub trouble: Trouble,
}

type Result<T> = std::result::Result<T, Errno>;

impl Disk {
    pub fn new(metadata: Metadata) -> Self {
        let root = Inode::new(Kind::Folder(Folder::default()), 0o755);
        Self { inodes: HashMap::from([(ROOT, root)]), next: ROOT + 1, metadata, trouble: Trouble::default() }
    }

    pub fn inode(&self, number: u64) -> Result<&Inode> {
        self.inodes.get(&number).ok_or(Errno::ENOENT)
    }

    pub fn lookup(&self, parent: u64, name: &str) -> Result<u64> {
        self.folder(parent)?.live.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// The kernel now knows the inode once more.
    pub fn remember(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.lookups += 1;
        }
    }

    /// The kernel forgets it `count` times. An inode that no name leads to goes with the last one.
    pub fn forget(&mut self, number: u64, count: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.lookups = inode.lookups.saturating_sub(count);
        }
        self.drop_if_lost(number);
    }

    pub fn create(&mut self, parent: u64, name: &str, mode: u32) -> Result<u64> {
        if self.trouble.full {
            return Err(Errno::ENOSPC);
        }
        self.add(parent, name, Inode::new(Kind::File(File::default()), mode))
    }

    pub fn make_folder(&mut self, parent: u64, name: &str, mode: u32) -> Result<u64> {
        self.add(parent, name, Inode::new(Kind::Folder(Folder::default()), mode))
    }

    pub fn link(&mut self, number: u64, parent: u64, name: &str) -> Result<()> {
        let folder = self.folder_mut(parent)?;
        if folder.live.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        folder.live.insert(name.to_owned(), number);
        Ok(())
    }

    pub fn unlink(&mut self, parent: u64, name: &str) -> Result<()> {
        let number = self.lookup(parent, name)?;
        self.folder_mut(parent)?.live.remove(name);
        self.drop_if_lost(number);
        Ok(())
    }

    pub fn remove_folder(&mut self, parent: u64, name: &str) -> Result<()> {
        let number = self.lookup(parent, name)?;
        if !self.folder(number)?.live.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.unlink(parent, name)
    }

    /// Over what may be there under the new name.
    pub fn rename(&mut self, from: (u64, &str), to: (u64, &str)) -> Result<()> {
        let number = self.lookup(from.0, from.1)?;
        if let Ok(there) = self.lookup(to.0, to.1)
            && let Kind::Folder(folder) = &self.inode(there)?.kind
            && !folder.live.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder_mut(from.0)?.live.remove(from.1);
        let replaced = self.folder_mut(to.0)?.live.insert(to.1.to_owned(), number);
        if let Some(replaced) = replaced {
            self.drop_if_lost(replaced);
        }
        Ok(())
    }

    pub fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        let full = self.trouble.full;
        let file = self.file_mut(number)?;
        if full && file.live.pages_missing(offset, bytes.len() as u64) > 0 {
            return Err(Errno::ENOSPC);
        }
        let touched = file.live.write(offset, bytes);
        file.dirty.extend(touched);
        self.touch(number);
        Ok(())
    }

    /// `fallocate`; with `keep_size` the file does not look longer.
    pub fn allocate(&mut self, number: u64, offset: u64, length: u64, keep_size: bool) -> Result<()> {
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        if self.trouble.full {
            return Err(Errno::ENOSPC);
        }
        let file = self.file_mut(number)?;
        let touched = file.live.allocate(offset, length);
        file.dirty.extend(touched);
        if !keep_size {
            file.live.size = file.live.size.max(offset + length);
        }
        Ok(())
    }

    pub fn truncate(&mut self, number: u64, size: u64) -> Result<()> {
        let file = self.file_mut(number)?;
        let changed = file.live.truncate(size);
        file.dirty.extend(changed);
        self.touch(number);
        Ok(())
    }

    pub fn set_mode(&mut self, number: u64, mode: u32) -> Result<()> {
        self.inodes.get_mut(&number).ok_or(Errno::ENOENT)?.mode = mode & 0o7777;
        Ok(())
    }

    /// `fsync` and `fdatasync` of a file: its bytes are durable when this returns.
    pub fn sync_file(&mut self, number: u64) -> Result<()> {
        if self.trouble.syncs_fail {
            return Err(Errno::EIO);
        }
        let file = self.file_mut(number)?;
        for page in std::mem::take(&mut file.dirty) {
            file.durable.copy_page(&file.live, page);
        }
        file.durable.size = file.live.size;
        self.commit_names_if_journaled();
        Ok(())
    }

    pub fn sync_folder(&mut self, number: u64) -> Result<()> {
        if self.trouble.syncs_fail {
            return Err(Errno::EIO);
        }
        let folder = self.folder_mut(number)?;
        folder.durable.clone_from(&folder.live);
        self.commit_names_if_journaled();
        Ok(())
    }

    /// What is left when the power comes back. The kernel must not know any inode any more.
    pub fn power_cut(&mut self, survivors: Survivors, random: &mut StdRng) {
        if survivors == Survivors::Some && random.random_bool(0.5) {
            self.commit_names();
        }
        for inode in self.inodes.values_mut() {
            inode.lookups = 0;
            match &mut inode.kind {
                Kind::File(file) => file.lose(survivors, random),
                Kind::Folder(folder) => folder.live.clone_from(&folder.durable),
            }
        }
        let kept = self.reachable();
        self.inodes.retain(|number, _| kept.contains(number));
    }

    /// Bytes in pages, for `statfs`.
    pub fn used_bytes(&self) -> u64 {
        let pages = self.inodes.values().map(|inode| match &inode.kind {
            Kind::File(file) => file.live.page_count(),
            Kind::Folder(_) => 0,
        });
        pages.sum::<u64>() * PAGE_BYTES
    }

    fn add(&mut self, parent: u64, name: &str, inode: Inode) -> Result<u64> {
        let number = self.next;
        let folder = self.folder_mut(parent)?;
        if folder.live.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        folder.live.insert(name.to_owned(), number);
        self.inodes.insert(number, inode);
        self.next += 1;
        Ok(number)
    }

    fn commit_names_if_journaled(&mut self) {
        if self.metadata == Metadata::Journaled {
            self.commit_names();
        }
    }

    fn commit_names(&mut self) {
        for inode in self.inodes.values_mut() {
            if let Kind::Folder(folder) = &mut inode.kind
                && folder.durable != folder.live
            {
                folder.durable.clone_from(&folder.live);
            }
        }
    }

    fn drop_if_lost(&mut self, number: u64) {
        let known = self.inodes.get(&number).is_none_or(|inode| inode.lookups > 0);
        if !known && !self.reachable().contains(&number) {
            self.inodes.remove(&number);
        }
    }

    /// Inodes that a live or a durable name leads to. There are tens of them, not thousands.
    fn reachable(&self) -> BTreeSet<u64> {
        let names = self.inodes.values().filter_map(|inode| match &inode.kind {
            Kind::Folder(folder) => Some(folder.live.values().chain(folder.durable.values())),
            Kind::File(_) => None,
        });
        names.flatten().copied().chain([ROOT]).collect()
    }

    fn touch(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.modified = SystemTime::now();
        }
    }

    pub fn folder(&self, number: u64) -> Result<&Folder> {
        match &self.inode(number)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub fn file(&self, number: u64) -> Result<&File> {
        match &self.inode(number)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }

    fn folder_mut(&mut self, number: u64) -> Result<&mut Folder> {
        match &mut self.inodes.get_mut(&number).ok_or(Errno::ENOENT)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn file_mut(&mut self, number: u64) -> Result<&mut File> {
        match &mut self.inodes.get_mut(&number).ok_or(Errno::ENOENT)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }
}

impl Inode {
    fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, mode: mode & 0o7777, modified: SystemTime::now(), lookups: 0 }
    }
}

impl File {
    fn lose(&mut self, survivors: Survivors, random: &mut StdRng) {
        if survivors == Survivors::Some {
            for &page in &self.dirty {
                if random.random_bool(0.5) {
                    self.durable.copy_page(&self.live, page);
                    let end = ((page + 1) * PAGE_BYTES).min(self.live.size);
                    self.durable.size = self.durable.size.max(end);
                }
            }
        }
        self.dirty.clear();
        self.live = self.durable.clone();
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
