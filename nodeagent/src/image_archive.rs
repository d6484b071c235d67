//! The hidden verb that packs one static program into an image archive, so that examples and tests need no registry.

use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::runtime::archive::{self, ImageSource};

#[derive(Debug, Clone, clap::Args)]
pub struct ImageArchiveArgs {
    /// A statically linked program, such as /bin/busybox of Debian's busybox-static
    #[arg(long, value_name = "FILE")]
    pub program: PathBuf,
    /// Full name with tag; may be given more than once
    #[arg(long = "name", required = true)]
    pub names: Vec<String>,
    /// Where to write the archive; `*.tar` in <data-dir>/images is imported at start
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Links for the names that the program lists with `--list` (as busybox does) come along.
pub fn run(args: ImageArchiveArgs) -> Result<(), Error> {
    let read = |source| Error::Read { path: args.program.clone(), source };
    let listed = Command::new(&args.program).arg("--list").output().map_err(read)?;
    let applets: Vec<String> =
        String::from_utf8_lossy(&listed.stdout).lines().map(|line| line.trim().to_owned()).collect();
    let source = ImageSource {
        names: args.names,
        entries: archive::multi_call_rootfs(&args.program, &applets).map_err(read)?,
        entrypoint: Vec::new(),
        command: vec!["/bin/sh".to_owned()],
    };
    let create = |source| Error::Create { path: args.output.clone(), source };
    let archive = archive::build(&source).map_err(create)?;
    if let Some(folder) = args.output.parent() {
        std::fs::create_dir_all(folder).map_err(create)?;
    }
    // Renamed into place: a start that looks at the folder now must not see half of it.
    let partial = args.output.with_extension("partial");
    std::fs::write(&partial, archive.tar).map_err(create)?;
    std::fs::rename(&partial, &args.output).map_err(create)
}
