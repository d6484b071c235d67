//! `balsa image-tar`: an image archive from one static binary, for examples and tests on machines without a registry.

use std::path::PathBuf;

use anyhow::{Context, Result};

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The static binary; busybox gets a link for each of its applets.
    #[arg(long)]
    pub rootfs_binary: PathBuf,

    /// Name and tag; may be given more than once.
    #[arg(long, required = true)]
    pub name: Vec<String>,

    /// The archive to write.
    #[arg(long)]
    pub output: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    balsa_nodeagent::image_tar(&args.rootfs_binary, &args.name, &args.output)
        .with_context(|| format!("make {} from {}", args.output.display(), args.rootfs_binary.display()))
}
