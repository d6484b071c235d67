//! A disk that forgets: a file system in memory that knows what was synced, and loses the rest at a power cut.
//!
//! ```text
//!  member ── write, fsync ──► kernel ── /dev/fuse ──► session ──► state
//!                                                                  │ live: what reads see
//!  power cut: kill the member, unmount, live := durable, mount ◄───┤ durable: what fsync made safe
//! ```
//! [`state`] is the file system, without any kernel; [`session`] speaks the kernel's FUSE protocol ([`wire`], version
//! 7.31), by plain reads and writes of `/dev/fuse`; [`mount`] owns a mounted one, [`server`] in a process of its own. Writes go straight through to the state:
//! the kernel keeps no dirty pages of its own, so nothing is durable but by fsync. The same disk is also slow, full, or
//! broken, when a fault says so.

pub mod content;
pub mod mount;
pub mod server;
pub mod session;
pub mod state;
pub mod wire;

pub use mount::ForgetfulDisk;
pub use state::{Disk, Metadata, Survivors, Trouble};
