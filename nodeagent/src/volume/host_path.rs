//! hostPath: the path must be of the type that the volume says.

use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::HostPathVolumeSource;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("hostPath type check failed: {} is not a {expected}", path.display())]
    WrongType { path: PathBuf, expected: &'static str },
    #[error("hostPath type check failed: unknown type {0}")]
    UnknownType(String),
    #[error("create {}: {source}", path.display())]
    Create { path: PathBuf, source: std::io::Error },
}

pub fn check(source: &HostPathVolumeSource) -> Result<(), Error> {
    let path = Path::new(&source.path);
    let create = |source| Error::Create { path: path.to_path_buf(), source };
    let kind = std::fs::metadata(path).ok().map(|meta| meta.file_type());
    let (fits, expected) = match source.type_.as_deref().unwrap_or_default() {
        "" => return Ok(()),
        "DirectoryOrCreate" => {
            if kind.is_none() {
                std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(create)?;
                return Ok(());
            }
            (kind.is_some_and(|k| k.is_dir()), "directory")
        }
        "FileOrCreate" => {
            if kind.is_none() {
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create(true).truncate(false).mode(0o644).open(path).map_err(create)?;
                return Ok(());
            }
            (kind.is_some_and(|k| k.is_file()), "file")
        }
        "Directory" => (kind.is_some_and(|k| k.is_dir()), "directory"),
        "File" => (kind.is_some_and(|k| k.is_file()), "file"),
        "Socket" => (kind.is_some_and(|k| k.is_socket()), "socket file"),
        "CharDevice" => (kind.is_some_and(|k| k.is_char_device()), "character device"),
        "BlockDevice" => (kind.is_some_and(|k| k.is_block_device()), "block device"),
        other => return Err(Error::UnknownType(other.to_owned())),
    };
    if fits { Ok(()) } else { Err(Error::WrongType { path: path.to_path_buf(), expected }) }
}
