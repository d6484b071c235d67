//! Which files a configMap, secret, downwardAPI or projected volume holds.

use std::collections::BTreeMap;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret, Volume,
};

use super::token::{self, Tokens};
use crate::api_link::ApiLink;
use crate::pod::downward::{self, NodeFacts};
use crate::pod::facts;

const DEFAULT_MODE: i32 = 0o644;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("references non-existent {kind} key: {key}")]
    NoKey { kind: &'static str, key: String },
    #[error(transparent)]
    Downward(#[from] downward::Error),
    #[error(transparent)]
    Token(#[from] token::Error),
    #[error("projected source {0} is not supported by this node agent")]
    UnsupportedSource(&'static str),
    #[error("invalid path {0}: must be relative and without ..")]
    BadPath(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub content: Vec<u8>,
    pub mode: u32,
}

/// By path within the volume.
pub type Files = BTreeMap<String, File>;

#[derive(Debug, Default)]
pub struct Payload {
    pub files: Files,
    pub renew_at: Option<Timestamp>,
}

pub struct Context<'a> {
    pub pod: &'a Pod,
    pub node: &'a NodeFacts,
    pub pod_ips: &'a [String],
    pub link: &'a dyn ApiLink,
    pub tokens: &'a Tokens,
}

/// The plugin's folder name and the files; `None` for a volume that is not of files.
pub async fn collect(
    context: &Context<'_>,
    volume: &Volume,
) -> Result<Option<(&'static str, Payload)>, Error> {
    let mut payload = Payload::default();
    let kind = if let Some(source) = &volume.config_map {
        let wanted = Wanted::new(&source.name, source.items.as_deref(), source.optional, source.default_mode);
        config_map(context, &wanted, &mut payload.files).await?;
        "kubernetes.io~configmap"
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.clone().unwrap_or_default();
        let wanted = Wanted::new(&name, source.items.as_deref(), source.optional, source.default_mode);
        secret(context, &wanted, &mut payload.files).await?;
        "kubernetes.io~secret"
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        downward_files(context, source.items.as_deref(), mode, &mut payload.files)?;
        "kubernetes.io~downward-api"
    } else if let Some(source) = &volume.projected {
        projected(context, &volume.name, source, &mut payload).await?;
        "kubernetes.io~projected"
    } else {
        return Ok(None);
    };
    match payload.files.keys().find(|path| !is_safe(path)) {
        Some(path) => Err(Error::BadPath(path.clone())),
        None => Ok(Some((kind, payload))),
    }
}

fn is_safe(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| part != "..")
}

/// What a source asks of one object.
struct Wanted<'a> {
    name: &'a str,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
    mode: i32,
}

impl<'a> Wanted<'a> {
    fn new(name: &'a str, items: Option<&'a [KeyToPath]>, optional: Option<bool>, mode: Option<i32>) -> Self {
        Self { name, items, optional: optional == Some(true), mode: mode.unwrap_or(DEFAULT_MODE) }
    }
}

async fn config_map(context: &Context<'_>, wanted: &Wanted<'_>, files: &mut Files) -> Result<(), Error> {
    let key = ObjectKey::new(facts::namespace(context.pod), wanted.name);
    match context.link.config_map(&key).await {
        Some(map) => select("config", wanted, |key| config_map_key(&map, key), config_map_keys(&map), files),
        None if wanted.optional => Ok(()),
        None => Err(Error::NotFound { kind: "configmap", name: wanted.name.to_owned() }),
    }
}

fn config_map_key(map: &ConfigMap, key: &str) -> Option<Vec<u8>> {
    let text = map.data.as_ref().and_then(|data| data.get(key)).map(|text| text.clone().into_bytes());
    text.or_else(|| map.binary_data.as_ref()?.get(key).map(|bytes| bytes.0.clone()))
}

fn config_map_keys(map: &ConfigMap) -> Vec<String> {
    let text = map.data.iter().flatten().map(|(key, _)| key.clone());
    text.chain(map.binary_data.iter().flatten().map(|(key, _)| key.clone())).collect()
}

async fn secret(context: &Context<'_>, wanted: &Wanted<'_>, files: &mut Files) -> Result<(), Error> {
    let key = ObjectKey::new(facts::namespace(context.pod), wanted.name);
    let value = |secret: &Secret, key: &str| secret.data.as_ref()?.get(key).map(|bytes| bytes.0.clone());
    match context.link.secret(&key).await {
        Some(found) => {
            let keys = found.data.iter().flatten().map(|(key, _)| key.clone()).collect();
            select("secret", wanted, |key| value(&found, key), keys, files)
        }
        None if wanted.optional => Ok(()),
        None => Err(Error::NotFound { kind: "secret", name: wanted.name.to_owned() }),
    }
}

/// All keys as files, or the listed ones under their paths.
fn select(
    kind: &'static str,
    wanted: &Wanted<'_>,
    value: impl Fn(&str) -> Option<Vec<u8>>,
    keys: Vec<String>,
    files: &mut Files,
) -> Result<(), Error> {
    let Some(items) = wanted.items.filter(|items| !items.is_empty()) else {
        for key in keys {
            let content = value(&key).unwrap_or_default();
            files.insert(key, File { content, mode: mode(wanted.mode) });
        }
        return Ok(());
    };
    for item in items {
        match value(&item.key) {
            Some(content) => {
                let mode = mode(item.mode.unwrap_or(wanted.mode));
                files.insert(item.path.clone(), File { content, mode });
            }
            None if wanted.optional => {}
            None => return Err(Error::NoKey { kind, key: item.key.clone() }),
        }
    }
    Ok(())
}

fn mode(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or(0o644) & 0o777
}

fn downward_files(
    context: &Context<'_>,
    items: Option<&[DownwardAPIVolumeFile]>,
    default_mode: i32,
    files: &mut Files,
) -> Result<(), Error> {
    for item in items.unwrap_or_default() {
        let text = if let Some(field) = &item.field_ref {
            downward::field(context.pod, &field.field_path, context.node, context.pod_ips)?
        } else if let Some(resource) = &item.resource_field_ref {
            downward::resource(context.pod, "", resource, context.node)?
        } else {
            continue;
        };
        let mode = mode(item.mode.unwrap_or(default_mode));
        files.insert(item.path.clone(), File { content: text.into_bytes(), mode });
    }
    Ok(())
}

async fn projected(
    context: &Context<'_>,
    volume: &str,
    source: &ProjectedVolumeSource,
    payload: &mut Payload,
) -> Result<(), Error> {
    let default_mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    for part in source.sources.iter().flatten() {
        if let Some(from) = &part.config_map {
            let wanted = Wanted::new(&from.name, from.items.as_deref(), from.optional, Some(default_mode));
            config_map(context, &wanted, &mut payload.files).await?;
        } else if let Some(from) = &part.secret {
            let wanted = Wanted::new(&from.name, from.items.as_deref(), from.optional, Some(default_mode));
            secret(context, &wanted, &mut payload.files).await?;
        } else if let Some(from) = &part.downward_api {
            downward_files(context, from.items.as_deref(), default_mode, &mut payload.files)?;
        } else if let Some(from) = &part.service_account_token {
            let token = context.tokens.get(context.pod, volume, from).await?;
            payload.renew_at =
                Some(payload.renew_at.map_or(token.renew_at, |earlier| earlier.min(token.renew_at)));
            let file = File { content: token.token.into_bytes(), mode: mode(default_mode) };
            payload.files.insert(from.path.clone(), file);
        } else if part.cluster_trust_bundle.is_some() {
            return Err(Error::UnsupportedSource("clusterTrustBundle"));
        } else if part.pod_certificate.is_some() {
            return Err(Error::UnsupportedSource("podCertificate"));
        }
    }
    Ok(())
}
