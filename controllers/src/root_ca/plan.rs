//! Plans one namespace's `kube-root-ca.crt`.

use std::collections::BTreeMap;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::action::Action;
use crate::object::is_deleting;
use crate::world::World;

pub const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);

pub fn plan(world: &World, key: &ObjectKey, _: Timestamp) -> Vec<Action> {
    let Some(pem) = &world.settings.root_ca_pem else { return Vec::new() };
    let living = world.namespaces.find(key).is_some_and(|namespace| !is_deleting(&namespace.metadata));
    if !living {
        return Vec::new();
    }
    let data = BTreeMap::from([("ca.crt".to_owned(), pem.clone())]);
    match world.config_maps.get(&key.name, NAME) {
        None => vec![Action::create(config_map(&key.name, data))],
        Some(present) if present.data.as_ref() != Some(&data) => {
            vec![Action::update(ConfigMap { data: Some(data), ..(*present).clone() })]
        }
        Some(_) => Vec::new(),
    }
}

fn config_map(namespace: &str, data: BTreeMap<String, String>) -> ConfigMap {
    let (annotation, text) = DESCRIPTION;
    ConfigMap {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(NAME.to_owned()),
            annotations: Some(BTreeMap::from([(annotation.to_owned(), text.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    }
}
