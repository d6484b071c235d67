//! Plans one namespace's default service account.

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::action::Action;
use crate::object::is_deleting;
use crate::world::World;

const DEFAULT: &str = "default";

pub fn plan(world: &World, key: &ObjectKey, _: Timestamp) -> Vec<Action> {
    let living = world.namespaces.find(key).is_some_and(|namespace| !is_deleting(&namespace.metadata));
    if !living || world.service_accounts.get(&key.name, DEFAULT).is_some() {
        return Vec::new();
    }
    let name = Some(DEFAULT.to_owned());
    let metadata = ObjectMeta { namespace: Some(key.name.clone()), name, ..ObjectMeta::default() };
    vec![Action::create(ServiceAccount { metadata, ..ServiceAccount::default() })]
}
