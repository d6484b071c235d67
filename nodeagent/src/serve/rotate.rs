//! Log rotation: a log beyond its size is renamed and the runtime told to open a new one; old ones are compressed, then
//! dropped.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::limits;
use crate::runtime::Runtime;

#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub max_bytes: u64,
    /// With the current one.
    pub max_files: usize,
}

pub async fn run(runtime: Arc<dyn Runtime>, policy: Policy, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(limits::LOG_ROTATION);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => look(runtime.as_ref(), policy).await,
            () = shutdown.cancelled() => return,
        }
    }
}

async fn look(runtime: &dyn Runtime, policy: Policy) {
    let Ok(containers) = runtime.list_containers(None).await else { return };
    let running = balsa_proto::cri::ContainerState::ContainerRunning;
    for container in containers.into_iter().filter(|c| c.state() == running) {
        let Ok(status) = runtime.container_status(&container.id).await else { continue };
        let path = PathBuf::from(&status.log_path);
        let is_large = std::fs::metadata(&path).is_ok_and(|meta| meta.len() > policy.max_bytes);
        if is_large && let Err(error) = rotate(runtime, &container.id, &path, policy).await {
            warn!(log = %path.display(), error, "log not rotated");
        }
    }
}

async fn rotate(runtime: &dyn Runtime, id: &str, path: &Path, policy: Policy) -> Result<(), String> {
    let stamp = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let rotated = PathBuf::from(format!("{}.{stamp}", path.display()));
    let old = rotated_files(path);
    std::fs::rename(path, &rotated).map_err(|error| error.to_string())?;
    if let Err(error) = runtime.reopen_log(id).await {
        // Without a reopened log the container would write into the renamed file: undo.
        std::fs::rename(&rotated, path).map_err(|undo| format!("{error}; undo: {undo}"))?;
        return Err(error.to_string());
    }
    info!(log = %path.display(), "log rotated");
    let compressed = tokio::task::spawn_blocking(move || {
        let mut plain = old.iter().filter(|path| path.extension().is_none_or(|ext| ext != "gz"));
        plain.try_for_each(|path| compress(path))
    });
    compressed.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let files = rotated_files(path);
    let surplus = (files.len() + 1).saturating_sub(policy.max_files);
    for file in &files[..surplus.min(files.len())] {
        std::fs::remove_file(file).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Oldest first: the stamp sorts.
fn rotated_files(path: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}.", path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default());
    let listing = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let entries = listing.into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

fn compress(path: &Path) -> std::io::Result<()> {
    let target = PathBuf::from(format!("{}.gz", path.display()));
    let mut input = std::fs::File::open(path)?;
    let mut output = GzEncoder::new(std::fs::File::create(&target)?, Compression::fast());
    let mut block = vec![0; 64 << 10];
    loop {
        let read = input.read(&mut block)?;
        if read == 0 {
            break;
        }
        output.write_all(&block[..read])?;
    }
    output.finish()?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::fake::Fake;

    #[tokio::test]
    async fn old_files_are_compressed_and_few() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let policy = Policy { max_bytes: 10, max_files: 3 };
        for stamp in ["20260101-000000.gz", "20260102-000000.gz", "20260103-000000"] {
            std::fs::write(format!("{}.{stamp}", path.display()), "old\n").unwrap();
        }
        std::fs::write(&path, "a long line\n").unwrap();
        rotate(&Fake::default(), "c1", &path, policy).await.unwrap();
        let files = rotated_files(&path);
        let names: Vec<_> =
            files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect();
        // With the log itself, which the runtime makes anew, that is three.
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(names[0], "0.log.20260103-000000.gz");
        assert_eq!(std::fs::read_to_string(&files[1]).unwrap(), "a long line\n");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_log_that_is_not_reopened_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "a long line\n").unwrap();
        let runtime = Fake::default();
        runtime.fail("ReopenContainerLog", "no");
        let refused = rotate(&runtime, "c1", &path, Policy { max_bytes: 1, max_files: 3 }).await;
        assert!(refused.is_err() && path.exists() && rotated_files(&path).is_empty());
    }
}
