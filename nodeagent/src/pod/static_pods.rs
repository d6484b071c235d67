//! Static pods: manifests in a folder, run without an API server.
//!
//! The folder is read at start and after every change that inotify tells. A pod's identity is a hash of its manifest, so
//! an edited manifest is another pod. Each gets a mirror pod on the API server, which only shows it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use balsa_proto::client::Error;
use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use k8s_openapi::api::core::v1::{Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::facts;
use crate::api_link::ApiLink;
use crate::limits;

/// Sends the whole set at start and after each change.
pub async fn run(
    folder: PathBuf,
    node_name: String,
    sets: mpsc::Sender<Vec<Arc<Pod>>>,
    shutdown: CancellationToken,
) {
    let watch = watch(&folder);
    if sets.send(read(&folder, &node_name)).await.is_err() {
        return;
    }
    let mut changes = match watch {
        Ok(changes) => changes,
        Err(error) => return warn!(folder = %folder.display(), %error, "static pods are not watched"),
    };
    loop {
        tokio::select! {
            event = changes.next() => match event {
                Some(Ok(_)) => {}
                Some(Err(error)) => warn!(%error, "watch of static pods"),
                None => return,
            },
            () = shutdown.cancelled() => return,
        }
        if sets.send(read(&folder, &node_name)).await.is_err() {
            return;
        }
    }
}

fn watch(folder: &Path) -> std::io::Result<inotify::EventStream<Vec<u8>>> {
    let inotify = Inotify::init()?;
    let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
    inotify.watches().add(folder, mask)?;
    inotify.into_event_stream(vec![0; limits::LOG_CHUNKS * 4096])
}

fn read(folder: &Path, node_name: &str) -> Vec<Arc<Pod>> {
    let Ok(listing) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> =
        listing.flatten().map(|entry| entry.path()).filter(|path| is_manifest(path)).collect();
    paths.sort();
    let mut pods = Vec::new();
    for path in paths {
        match std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| parse(&text, node_name))
        {
            Ok(pod) => pods.push(Arc::new(pod)),
            Err(error) => warn!(path = %path.display(), error, "static pod manifest not read"),
        }
    }
    pods
}

fn is_manifest(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    path.is_file() && !is_hidden
}

fn parse(text: &str, node_name: &str) -> Result<Pod, String> {
    let mut pod: Pod = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let hash: String = Sha256::digest(format!("{node_name}\n{text}"))[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let metadata = &mut pod.metadata;
    metadata.name = metadata.name.take().map(|name| format!("{name}-{node_name}"));
    metadata.namespace.get_or_insert_with(|| "default".to_owned());
    metadata.uid = Some(hash.clone());
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(facts::CONFIG_SOURCE.to_owned(), "file".to_owned());
    annotations.insert(facts::CONFIG_HASH.to_owned(), hash);
    if metadata.name.is_none() {
        return Err("metadata.name is missing".to_owned());
    }
    let spec = pod.spec.as_mut().ok_or("spec is missing")?;
    spec.node_name = Some(node_name.to_owned());
    let everything = Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    };
    spec.tolerations.get_or_insert_default().push(everything);
    Ok(pod)
}

/// Shows a static pod to the API server; returns when it is there, or refused for good.
pub async fn make_mirror(link: &dyn ApiLink, pod: &Pod, node_name: &str) {
    let mut pause = limits::REGISTER_RETRY;
    loop {
        let error = match create_mirror(link, pod, node_name).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if error.is_already_exists() {
            return;
        }
        // Before the API server is up, before our Node is registered, or while the name is still taken.
        debug!(pod = %facts::key(pod), %error, "mirror pod not created; tried again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(limits::STATUS_BACKOFF.longest);
    }
}

async fn create_mirror(link: &dyn ApiLink, pod: &Pod, node_name: &str) -> Result<(), Error> {
    let node = link.node(node_name).await?;
    link.create_pod(&mirror(pod, node.metadata.uid.unwrap_or_default())).await.map(drop)
}

/// Owned by the Node, as API servers demand of a pod that a node creates.
fn mirror(pod: &Pod, node_uid: String) -> Pod {
    let mut mirror = pod.clone();
    mirror.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: facts::spec(pod).node_name.clone().unwrap_or_default(),
        uid: node_uid,
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    mirror.metadata.uid = None;
    let hash = facts::annotation(pod, facts::CONFIG_HASH).unwrap_or_default().to_owned();
    mirror.metadata.annotations.get_or_insert_default().insert(facts::CONFIG_MIRROR.to_owned(), hash);
    mirror.status = None;
    mirror
}
