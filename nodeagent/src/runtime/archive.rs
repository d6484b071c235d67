//! Image archives made here: an OCI layout in a tar, with one layer.
//!
//! In: one static program, its names, and how it starts. Out: bytes that `ctr images import` and every OCI tool read.
//! The same input gives the same bytes (all times are zero), so that an image id can be compared with what a runtime
//! holds. Source: OCI image-spec 1.0, image-layout.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

/// A file of the layer.
pub enum Entry {
    Directory { path: String, mode: u32 },
    File { path: String, mode: u32, content: Vec<u8> },
    Symlink { path: String, target: String },
}

pub struct ImageSource {
    /// Full names with tags, all for the same image.
    pub names: Vec<String>,
    pub entries: Vec<Entry>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
}

pub struct Archive {
    /// `sha256:…` of the image's config: what CRI calls the image id.
    pub image_id: String,
    pub tar: Vec<u8>,
}

struct Blob {
    digest: String,
    content: Vec<u8>,
}

impl Blob {
    fn new(content: Vec<u8>) -> Self {
        let digest = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digest, content }
    }

    fn descriptor(&self, media_type: &str) -> serde_json::Value {
        let digest = format!("sha256:{}", self.digest);
        json!({ "mediaType": media_type, "digest": digest, "size": self.content.len() })
    }
}

/// The architecture's name in images and in Kubernetes' labels.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Packs the image.
pub fn build(source: &ImageSource) -> io::Result<Archive> {
    let layer = Blob::new(layer(&source.entries)?);
    let config = Blob::new(config(source, &layer).to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = Blob::new(manifest.to_string().into_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": index_entries(&source.names, &manifest) });
    let image_id = format!("sha256:{}", config.digest);

    let mut tar = tar::Builder::new(Vec::new());
    file(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    file(&mut tar, "index.json", 0o644, index.to_string().as_bytes())?;
    for blob in [&layer, &config, &manifest] {
        file(&mut tar, &format!("blobs/sha256/{}", blob.digest), 0o644, &blob.content)?;
    }
    Ok(Archive { image_id, tar: tar.into_inner()? })
}

fn config(source: &ImageSource, layer: &Blob) -> serde_json::Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": source.entrypoint,
            "Cmd": source.command,
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)] },
    })
}

/// One entry per name: importers take the name from the annotation.
fn index_entries(names: &[String], manifest: &Blob) -> Vec<serde_json::Value> {
    let entry = |name: &String| {
        let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        entry["annotations"] =
            json!({ "io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag });
        entry["platform"] = json!({ "architecture": architecture(), "os": "linux" });
        entry
    };
    names.iter().map(entry).collect()
}

fn layer(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        match entry {
            Entry::Directory { path, mode } => {
                let mut header = header(tar::EntryType::Directory, *mode, 0);
                tar.append_data(&mut header, path, io::empty())?;
            }
            Entry::File { path, mode, content } => file(&mut tar, path, *mode, content)?,
            Entry::Symlink { path, target } => {
                let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                tar.append_link(&mut header, path, target)?;
            }
        }
    }
    tar.into_inner()
}

fn file<W: Write>(tar: &mut tar::Builder<W>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, mode, content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}

/// A root file system around one static program that answers to many names, such as Debian's busybox-static.
/// `applets` are those names; each becomes a link in `/bin`.
pub fn multi_call_rootfs(program: &Path, applets: &[String]) -> io::Result<Vec<Entry>> {
    let content = std::fs::read(program)?;
    let name = program.file_name().and_then(|n| n.to_str()).unwrap_or("program").to_owned();
    let directory = |path: &str, mode| Entry::Directory { path: path.to_owned(), mode };
    let text = |path: &str, content: &str| Entry::File {
        path: path.to_owned(),
        mode: 0o644,
        content: content.as_bytes().to_vec(),
    };
    let link = |path: String, target: &str| Entry::Symlink { path, target: target.to_owned() };
    let mut entries = vec![
        directory("bin", 0o755),
        directory("etc", 0o755),
        directory("root", 0o700),
        directory("tmp", 0o1777),
        directory("usr", 0o755),
        directory("usr/bin", 0o755),
        directory("var", 0o755),
        text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        text("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        Entry::File { path: format!("bin/{name}"), mode: 0o755, content },
        link("usr/bin/env".to_owned(), &format!("/bin/{name}")),
    ];
    let others = applets.iter().filter(|applet| **applet != name);
    entries.extend(others.map(|applet| link(format!("bin/{applet}"), &name)));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_source_gives_the_same_id_and_one_name_per_index_entry() {
        let source = || ImageSource {
            names: vec!["balsa.local/x:1".to_owned(), "balsa.local/x:latest".to_owned()],
            entries: vec![Entry::File { path: "x".to_owned(), mode: 0o755, content: b"hi".to_vec() }],
            entrypoint: vec!["/x".to_owned()],
            command: Vec::new(),
        };
        let (one, two) = (build(&source()).unwrap(), build(&source()).unwrap());
        assert_eq!((&one.image_id, &one.tar), (&two.image_id, &two.tar));

        let mut names = Vec::new();
        let mut archive = tar::Archive::new(one.tar.as_slice());
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            if entry.path().unwrap().to_str() == Some("index.json") {
                let index: serde_json::Value = serde_json::from_reader(entry).unwrap();
                for manifest in index["manifests"].as_array().unwrap() {
                    names.push(manifest["annotations"]["io.containerd.image.name"].to_string());
                }
            }
        }
        assert_eq!(names, [r#""balsa.local/x:1""#, r#""balsa.local/x:latest""#]);
    }
}
