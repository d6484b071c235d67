//! The disk that forgets below a member of a cluster's store: mounted for all machines to see, served by a process that
//! is not on the machine, so that it stays when the machine's power goes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use nix::mount::{MntFlags, umount2};
use serde::{Deserialize, Serialize};

use super::init;
use super::life::Life;
use crate::disk::Metadata;
use crate::disk::server::{self, Order};
use crate::lab::{Host, binary};

/// Its process and its place; it belongs to whoever holds the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreDisk {
    server: Life,
    place: PathBuf,
}

impl StoreDisk {
    /// Mounts an empty one at `place`; its process is in the network namespace of `host`, which must have no other.
    pub fn mount(host: &Host, place: &Path, metadata: Metadata) -> Result<Self> {
        let mut command = host.command(binary("lab")?);
        let metadata = metadata.to_possible_value().context("each reading has a name")?;
        command.arg("disk").arg(place).arg(metadata.get_name());
        let server =
            init::spawn(&mut command).and_then(init::wait_ready).context("start the disk's process")?;
        Ok(Self { server, place: place.to_owned() })
    }

    pub fn give(&self, host: &Host, order: Order) -> Result<()> {
        host.run_inside(|| server::give(order))?
    }

    /// The end of it, and of all that is on it.
    pub fn unmount(self) -> Result<()> {
        let killed = self.server.kill();
        let unmounted = umount2(&self.place, MntFlags::MNT_DETACH);
        killed.and(unmounted.with_context(|| format!("unmount {}", self.place.display())))
    }
}
