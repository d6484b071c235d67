//! Plans the slices of one service.

use std::collections::BTreeMap;
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::desired::{Group, groups, slice_ports};
use super::reconcile::reconcile;
use super::{HEADLESS, MANAGED_BY, MANAGER, SERVICE_NAME};
use crate::action::Action;
use crate::endpoint_ports::{is_headless, is_selecting};
use crate::object::{is_deleting, label, name_of};
use crate::world::{SERVICE, World};

pub fn plan(world: &World, key: &ObjectKey, _: Timestamp) -> Vec<Action> {
    // The slices of a service that is gone go with it, by their owner reference.
    let Some(service) = world.services.find(key) else { return Vec::new() };
    if is_deleting(&service.metadata) || !is_selecting(&service) {
        return Vec::new();
    }
    let mut present = world.endpoint_slices.by_index(SERVICE, &key.to_string());
    present
        .retain(|slice| label(&slice.metadata, MANAGED_BY) == Some(MANAGER) && !is_deleting(&slice.metadata));
    let labels = labels(&service);
    let mut actions = Vec::new();
    for (group, members) in groups(world, &service) {
        let (mine, others): (Vec<_>, Vec<_>) = present.into_iter().partition(|slice| is_of(slice, &group));
        present = others;
        actions.extend(reconcile(world, &service, &labels, &group, members, mine));
    }
    // Slices of ports or families that nobody has any more.
    actions.extend(present.iter().map(|slice| Action::delete(&**slice)));
    creates_before_deletes(actions)
}

/// What is new is told before what is old is taken back, so that a change of ports leaves no moment without endpoints.
fn creates_before_deletes(actions: Vec<Action>) -> Vec<Action> {
    let (deletes, mut ordered): (Vec<_>, Vec<_>) =
        actions.into_iter().partition(|action| matches!(action, Action::Delete { .. }));
    ordered.extend(deletes);
    ordered
}

fn is_of(slice: &Arc<EndpointSlice>, group: &Group) -> bool {
    let ports = slice.ports.clone().unwrap_or_default();
    slice.address_type == group.address_type && ports == slice_ports(&group.ports)
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.retain(|name, _| name != HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), name_of(&service.metadata).to_owned());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}
