//! A pod's volumes: made before its sandbox, kept current while it runs, removed after its end.
//!
//! | file | what |
//! |---|---|
//! | [`payload`] | configMap, secret, downwardAPI and projected volumes: which files they hold |
//! | [`token`] | service account tokens, renewed in time |
//! | [`atomic`] | writing such files so that a reader sees all of the old or all of the new |
//! | [`host_path`] | checks of hostPath types |
//! | [`sub_path`] | subPath, without a way out of the volume |
//! | [`mounts`] | tmpfs and bind mounts below a pod's folder |
//!
//! Promised: mounting twice changes nothing that is right already, so a restarted agent may mount again below running
//! containers. A volume type that this agent lacks is an error that names it.

pub mod atomic;
pub mod host_path;
pub mod mounts;
pub mod payload;
pub mod sub_path;
pub mod token;

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, Pod, Volume};

use crate::api_link::ApiLink;
use crate::pod::container_config::BoundMount;
use crate::pod::downward::NodeFacts;
use crate::pod::expand::expand;
use crate::pod::facts;
use crate::pod::paths::Paths;

/// Why a volume is not there. Display is what follows `MountVolume.SetUp failed for volume "x" : `.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error(transparent)]
    Payload(#[from] payload::Error),
    #[error(transparent)]
    HostPath(#[from] host_path::Error),
    #[error(transparent)]
    SubPath(#[from] sub_path::Error),
    #[error("volume type {0} is not supported by this node agent")]
    Unsupported(String),
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
}

#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {reason}")]
pub struct Error {
    pub volume: String,
    pub reason: Reason,
}

/// Host paths by volume name.
#[derive(Debug, Clone, Default)]
pub struct Mounted {
    pub paths: BTreeMap<String, PathBuf>,
    /// When a token must be renewed.
    pub renew_at: Option<Timestamp>,
}

pub struct Volumes {
    paths: Paths,
    link: Arc<dyn ApiLink>,
    node: NodeFacts,
    tokens: token::Tokens,
}

impl Volumes {
    pub fn new(paths: Paths, link: Arc<dyn ApiLink>, node: NodeFacts) -> Self {
        Self { tokens: token::Tokens::new(link.clone()), paths, link, node }
    }

    /// Makes what is missing and rewrites what changed. `pod_ips` may still be empty.
    pub async fn mount(&self, pod: &Pod, pod_ips: &[String]) -> Result<Mounted, Error> {
        let mut mounted = Mounted::default();
        for volume in facts::spec(pod).volumes.iter().flatten() {
            let path = self.mount_one(pod, volume, pod_ips, &mut mounted.renew_at).await;
            let path = path.map_err(|reason| Error { volume: volume.name.clone(), reason })?;
            mounted.paths.insert(volume.name.clone(), path);
        }
        Ok(mounted)
    }

    async fn mount_one(
        &self,
        pod: &Pod,
        volume: &Volume,
        pod_ips: &[String],
        renew_at: &mut Option<Timestamp>,
    ) -> Result<PathBuf, Reason> {
        if let Some(source) = &volume.empty_dir {
            return self.empty_dir(pod, &volume.name, source);
        }
        if let Some(source) = &volume.host_path {
            host_path::check(source)?;
            return Ok(PathBuf::from(&source.path));
        }
        let context = payload::Context {
            pod,
            node: &self.node,
            pod_ips,
            link: self.link.as_ref(),
            tokens: &self.tokens,
        };
        let Some((kind, payload)) = payload::collect(&context, volume).await? else {
            return Err(Reason::Unsupported(kind_of(volume)));
        };
        if let Some(at) = payload.renew_at {
            *renew_at = Some(renew_at.map_or(at, |earlier| earlier.min(at)));
        }
        let path = self.paths.volume(facts::uid(pod), kind, &volume.name);
        make_dir(&path)?;
        // Secrets must never reach a disk.
        if kind != "kubernetes.io~configmap" {
            mounts::tmpfs(&path, None).map_err(io("mount tmpfs at", &path))?;
        }
        let fs_group = fs_group(pod);
        atomic::write(&path, &payload.files, fs_group).map_err(io("write", &path))?;
        Ok(path)
    }

    fn empty_dir(&self, pod: &Pod, name: &str, source: &EmptyDirVolumeSource) -> Result<PathBuf, Reason> {
        let path = self.paths.volume(facts::uid(pod), "kubernetes.io~empty-dir", name);
        let is_new = !path.exists();
        make_dir(&path)?;
        let limit = source.size_limit.as_ref();
        let limit = limit.and_then(|raw| balsa_proto::meta::Quantity::parse(&raw.0).ok()).map(|q| q.value());
        match source.medium.as_deref() {
            None | Some("") => {}
            Some("Memory") => mounts::tmpfs(&path, limit).map_err(io("mount tmpfs at", &path))?,
            Some(other) => return Err(Reason::Unsupported(format!("emptyDir with medium {other}"))),
        }
        if is_new || mounts::is_mount_point(&path) {
            open_to_all(&path, fs_group(pod)).map_err(io("set the mode of", &path))?;
        }
        Ok(path)
    }

    /// A container's mounts, with subPaths resolved.
    pub fn bind(
        &self,
        pod: &Pod,
        container: &Container,
        mounted: &Mounted,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<BoundMount>, Error> {
        let mut bound = Vec::new();
        for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let fail = |reason| Error { volume: mount.name.clone(), reason };
            let Some(host_path) = mounted.paths.get(&mount.name) else {
                return Err(fail(Reason::Unsupported(
                    "volumeMounts of a volume that the pod does not have".to_owned(),
                )));
            };
            let sub = match (&mount.sub_path, &mount.sub_path_expr) {
                (Some(path), _) if !path.is_empty() => Some(path.clone()),
                (_, Some(path)) if !path.is_empty() => Some(expand(path, environment)),
                (_, _) => None,
            };
            let host_path = match sub {
                None => host_path.clone(),
                Some(sub) => {
                    let target = self.paths.subpaths(facts::uid(pod));
                    let target = target.join(&mount.name).join(&container.name).join(at.to_string());
                    sub_path::bind(host_path, &sub, &target).map_err(|error| fail(error.into()))?;
                    target
                }
            };
            bound.push(BoundMount {
                container_path: mount.mount_path.clone(),
                host_path,
                read_only: mount.read_only == Some(true) || is_written_by_us(pod, &mount.name),
                propagation: mount.mount_propagation.clone(),
            });
        }
        Ok(bound)
    }

    /// Unmounts and removes everything of a pod on this node but its logs.
    pub fn remove(&self, uid: &str) -> std::io::Result<()> {
        self.tokens.forget(uid);
        let pod_dir = self.paths.pod(uid);
        mounts::unmount_below(&pod_dir)?;
        match std::fs::remove_dir_all(&pod_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// What a container writes there would be lost with the next change, so it cannot.
fn is_written_by_us(pod: &Pod, name: &str) -> bool {
    let volume = facts::spec(pod).volumes.iter().flatten().find(|volume| volume.name == name);
    volume.is_some_and(|volume| {
        volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.downward_api.is_some()
            || volume.projected.is_some()
    })
}

fn fs_group(pod: &Pod) -> Option<u32> {
    let group = facts::spec(pod).security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

fn make_dir(path: &Path) -> Result<(), Reason> {
    std::fs::create_dir_all(path).map_err(io("create", path))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Reason {
    let path = path.to_path_buf();
    move |source| Reason::Io { action, path, source }
}

/// An emptyDir is everyone's in the pod; with fsGroup new files inherit the group.
fn open_to_all(path: &Path, fs_group: Option<u32>) -> std::io::Result<()> {
    let mode = if fs_group.is_some() { 0o2777 } else { 0o777 };
    chown(path, None, fs_group)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// The field that is set besides the name.
fn kind_of(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten().map(|(name, _)| name);
    fields.filter(|name| *name != "name").cloned().collect::<Vec<_>>().join(", ")
}
