//! Which ConfigMaps and Secrets a pod names, in its environment, its volumes and its pull secrets.

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::core::v1::{Pod, Volume};

use super::facts;
use crate::api_link::References;

/// Adds what `pod` names.
pub fn collect(pod: &Pod, references: &mut References) {
    let key = |name: &str| ObjectKey::new(facts::namespace(pod), name);
    let ephemeral: Vec<_> = facts::ephemeral_containers(pod).collect();
    for container in facts::all_containers(pod).chain(&ephemeral) {
        for source in container.env_from.iter().flatten() {
            references.config_maps.extend(source.config_map_ref.as_ref().map(|r| key(&r.name)));
            references.secrets.extend(source.secret_ref.as_ref().map(|r| key(&r.name)));
        }
        let sources = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
        for source in sources {
            references.config_maps.extend(source.config_map_key_ref.as_ref().map(|r| key(&r.name)));
            references.secrets.extend(source.secret_key_ref.as_ref().map(|r| key(&r.name)));
        }
    }
    for volume in facts::spec(pod).volumes.iter().flatten() {
        volume_names(volume, &key, references);
    }
    references.secrets.extend(facts::spec(pod).image_pull_secrets.iter().flatten().map(|r| key(&r.name)));
}

fn volume_names(volume: &Volume, key: &dyn Fn(&str) -> ObjectKey, references: &mut References) {
    references.config_maps.extend(volume.config_map.as_ref().map(|source| key(&source.name)));
    let secret = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
    references.secrets.extend(secret.map(key));
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for source in sources {
        references.config_maps.extend(source.config_map.as_ref().map(|r| key(&r.name)));
        references.secrets.extend(source.secret.as_ref().map(|r| key(&r.name)));
    }
}
