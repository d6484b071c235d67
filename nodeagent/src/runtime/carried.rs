//! Images that come with us, so that no registry is needed for them: the sandbox image, embedded in the program, and
//! archives that an operator puts into a folder.
//!
//! Imports go through containerd's own `ctr`, which Debian ships with it. CRI's image store learns of an import by an
//! event, so an import is done only when CRI shows the image.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;
use tracing::info;

use super::archive::{self, Archive, Entry, ImageSource};
use super::{Runtime, cri::Cri};
use crate::limits;

/// The name under which containerd's configuration knows the sandbox image.
pub const PAUSE_IMAGE: &str = "balsa.local/pause:1";

static PAUSE_PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("pack image {name}")]
    Pack {
        name: String,
        #[source]
        source: std::io::Error,
    },
    #[error("read image archive {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("start ctr to import an image (it comes with the containerd package)")]
    StartCtr(#[source] std::io::Error),
    #[error("ctr images import ended with {status}: {stderr}")]
    Import { status: std::process::ExitStatus, stderr: String },
    #[error("image {name} was imported but the runtime does not show it after {} s", limits::IMPORT_VISIBLE.as_secs())]
    Invisible { name: String },
}

/// The sandbox image: one static program that waits.
pub fn pause_archive() -> Result<Archive, Error> {
    let source = ImageSource {
        names: vec![PAUSE_IMAGE.to_owned()],
        entries: vec![Entry::File { path: "pause".to_owned(), mode: 0o755, content: PAUSE_PROGRAM.to_vec() }],
        entrypoint: vec!["/pause".to_owned()],
        command: Vec::new(),
    };
    archive::build(&source).map_err(|source| Error::Pack { name: PAUSE_IMAGE.to_owned(), source })
}

/// Imports into the containerd behind `socket`.
pub struct Importer {
    socket: PathBuf,
    snapshotter: &'static str,
    cri: Cri,
}

impl Importer {
    pub fn new(socket: &Path, snapshotter: &'static str) -> Self {
        Self { socket: socket.to_path_buf(), snapshotter, cri: Cri::new(socket) }
    }

    /// Does nothing when the runtime holds exactly this sandbox image.
    pub async fn ensure_pause(&self) -> Result<(), Error> {
        let archive = pause_archive()?;
        if self.shows(PAUSE_IMAGE, Some(&archive.image_id)).await {
            return Ok(());
        }
        self.import(&archive.tar).await?;
        self.wait_visible(PAUSE_IMAGE, Some(&archive.image_id)).await
    }

    /// Imports every `*.tar` of `folder` whose image ids the runtime lacks. A folder that is not there is empty.
    pub async fn import_folder(&self, folder: &Path) -> Result<usize, Error> {
        let mut imported = 0;
        for path in archives(folder) {
            imported += usize::from(self.import_file(&path).await?);
        }
        Ok(imported)
    }

    async fn import_file(&self, path: &Path) -> Result<bool, Error> {
        let read = |source| Error::Read { path: path.to_path_buf(), source };
        let content = tokio::fs::read(path).await.map_err(read)?;
        let names = image_names(&content).map_err(read)?;
        let mut missing = false;
        for name in &names {
            missing |= !self.shows(name, None).await;
        }
        // Newer content under an old name is told by the marker beside the archive.
        let marker = path.with_extension("imported");
        let stamp = format!("{} bytes, {:?}", content.len(), modified(path));
        let is_known = tokio::fs::read_to_string(&marker).await.is_ok_and(|text| text == stamp);
        if is_known && !missing {
            return Ok(false);
        }
        self.import(&content).await?;
        for name in &names {
            self.wait_visible(name, None).await?;
        }
        tokio::fs::write(&marker, stamp).await.map_err(read)?;
        info!(archive = %path.display(), images = ?names, "image archive imported");
        Ok(true)
    }

    async fn import(&self, tar: &[u8]) -> Result<(), Error> {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(&self.socket).args(["--namespace", "k8s.io", "images", "import"]);
        ctr.args(["--snapshotter", self.snapshotter, "-"]);
        ctr.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = ctr.spawn().map_err(Error::StartCtr)?;
        let mut stdin = child.stdin.take().expect("stdin is piped above");
        let written = stdin.write_all(tar).await;
        drop(stdin);
        let output = child.wait_with_output().await.map_err(Error::StartCtr)?;
        if !output.status.success() || written.is_err() {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Import { status: output.status, stderr });
        }
        Ok(())
    }

    async fn shows(&self, name: &str, image_id: Option<&str>) -> bool {
        let found = self.cri.image_status(name).await.ok().flatten();
        found.is_some_and(|image| image_id.is_none_or(|id| image.id == id))
    }

    /// There is no event to wait for in CRI, so this asks; an import is visible after some 10 ms.
    async fn wait_visible(&self, name: &str, image_id: Option<&str>) -> Result<(), Error> {
        let deadline = Instant::now() + limits::IMPORT_VISIBLE;
        while !self.shows(name, image_id).await {
            if Instant::now() > deadline {
                return Err(Error::Invisible { name: name.to_owned() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

fn archives(folder: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = listing.flatten().map(|entry| entry.path());
    let mut tars: Vec<_> = paths.filter(|path| path.extension().is_some_and(|ext| ext == "tar")).collect();
    tars.sort();
    tars
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Names in an OCI layout's index, or in a docker archive's manifest.
fn image_names(tar: &[u8]) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if path != "index.json" && path != "manifest.json" {
            continue;
        }
        let document: serde_json::Value = serde_json::from_reader(entry)?;
        let manifests = document["manifests"].as_array().into_iter().flatten();
        let annotated = manifests.filter_map(|m| m["annotations"]["io.containerd.image.name"].as_str());
        names.extend(annotated.map(str::to_owned));
        let images = document.as_array().into_iter().flatten();
        let tags = images.flat_map(|image| image["RepoTags"].as_array().into_iter().flatten());
        names.extend(tags.filter_map(|tag| tag.as_str()).map(str::to_owned));
    }
    Ok(names)
}
