//! A mounted disk that forgets, and what faults may do to it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rand::rngs::StdRng;

use super::session;
use super::state::{Disk, Metadata, Survivors, Trouble};

/// What a list of mounts calls it.
pub const DEVICE: &str = "balsa-chaos-disk";

/// Unmounted when dropped.
pub struct ForgetfulDisk {
    disk: Arc<Mutex<Disk>>,
    dir: PathBuf,
    mounted: bool,
}

impl ForgetfulDisk {
    /// Mounts an empty disk at `dir`, which is made. Needs root and `/dev/fuse`.
    pub fn mount(dir: &Path, metadata: Metadata) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let mut disk =
            Self { disk: Arc::new(Mutex::new(Disk::new(metadata))), dir: dir.to_owned(), mounted: false };
        disk.attach()?;
        Ok(disk)
    }

    /// No process may use the disk any more: all of them were killed before the power went.
    pub fn power_cut(&mut self, survivors: Survivors, random: &mut StdRng) -> Result<()> {
        self.detach()?;
        self.state().power_cut(survivors, random);
        self.attach()
    }

    pub fn set_trouble(&self, trouble: Trouble) {
        self.state().trouble = trouble;
    }

    fn state(&self) -> MutexGuard<'_, Disk> {
        // A panic elsewhere does not damage the state: each method leaves it whole.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&mut self) -> Result<()> {
        let device = File::options().read(true).write(true).open("/dev/fuse").context("open /dev/fuse")?;
        let options = format!("fd={},rootmode=40755,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        mount(
            Some(DEVICE),
            &self.dir,
            Some("fuse"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some(options.as_str()),
        )
        .with_context(|| format!("mount a file system at {}", self.dir.display()))?;
        self.mounted = true;
        let disk = self.disk.clone();
        // Ends when the file system is unmounted.
        std::thread::spawn(move || session::serve(device, &disk));
        Ok(())
    }

    /// Forced, so that whoever still waits for an answer gets an error instead.
    fn detach(&mut self) -> Result<()> {
        if self.mounted {
            umount2(&self.dir, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH)
                .with_context(|| format!("unmount {}", self.dir.display()))?;
            self.mounted = false;
        }
        Ok(())
    }
}

impl Drop for ForgetfulDisk {
    fn drop(&mut self) {
        if let Err(error) = self.detach() {
            eprintln!("left behind: {error:#}");
        }
    }
}
