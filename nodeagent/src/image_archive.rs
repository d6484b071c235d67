//! The hidden verb that packs one static program into an image archive, so that examples and tests need no registry.

use std::path::{Path, PathBuf};
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

/// busybox brings a link for each of its applets, and runs a shell; any other program is what its image runs.
pub fn run(args: ImageArchiveArgs) -> Result<(), Error> {
    let read = |source| Error::Read { path: args.program.clone(), source };
    let name = args.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_busybox = name == "busybox";
    // Only busybox is run: another program may do anything when it is, or never end.
    let applets = if is_busybox { applets(&args.program).map_err(read)? } else { Vec::new() };
    let command = if is_busybox { "/bin/sh".to_owned() } else { format!("/bin/{name}") };
    let source = ImageSource {
        names: args.names,
        entries: archive::multi_call_rootfs(&args.program, &applets).map_err(read)?,
        entrypoint: Vec::new(),
        command: vec![command],
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

fn applets(busybox: &Path) -> std::io::Result<Vec<String>> {
    let listed = Command::new(busybox).arg("--list").output()?;
    Ok(String::from_utf8_lossy(&listed.stdout).lines().map(|line| line.trim().to_owned()).collect())
}
