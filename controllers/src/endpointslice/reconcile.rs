//! Brings the slices of one group to the wanted members with few changes: endpoints stay in the slice they are in, new
//! ones fill slices that change anyway, then others with room, then new slices.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::desired::{Group, Members, slice_ports};
use crate::action::Action;
use crate::object::{controller_reference, name_of};
use crate::world::World;

struct Draft {
    present: Arc<EndpointSlice>,
    endpoints: Vec<Endpoint>,
}

impl Draft {
    fn is_changed(&self) -> bool {
        self.present.endpoints.clone().unwrap_or_default() != self.endpoints
    }
}

pub fn reconcile(
    world: &World,
    service: &Service,
    labels: &BTreeMap<String, String>,
    group: &Group,
    mut members: Members,
    present: Vec<Arc<EndpointSlice>>,
) -> Vec<Action> {
    let limit = world.settings.max_endpoints_per_slice;
    let mut drafts: Vec<_> = present.into_iter().map(|slice| keep(slice, &mut members, limit)).collect();
    let mut newcomers: Vec<Endpoint> = members.into_values().collect();
    fill(&mut drafts, &mut newcomers, limit, Draft::is_changed);
    fill(&mut drafts, &mut newcomers, limit, |_| true);
    let mut actions = Vec::new();
    // An empty group keeps one slice, which says that nobody serves.
    let mut kept = drafts.iter().filter(|draft| !draft.endpoints.is_empty()).count();
    let mut creates = Vec::new();
    while !newcomers.is_empty() {
        let rest = newcomers.split_off(newcomers.len().min(limit));
        creates.push(Action::create(slice(service, labels, group, newcomers)));
        newcomers = rest;
        kept += 1;
    }
    for draft in drafts {
        if draft.endpoints.is_empty() && kept > 0 {
            actions.push(Action::delete(&*draft.present));
            continue;
        }
        kept = kept.max(1);
        if draft.is_changed() || draft.present.metadata.labels.as_ref() != Some(labels) {
            actions.push(Action::update(updated(&draft, labels)));
        }
    }
    if kept == 0 {
        creates.push(Action::create(slice(service, labels, group, Vec::new())));
    }
    actions.extend(creates);
    actions
}

/// Keeps the endpoints that are still wanted, in their places, as they are now.
fn keep(slice: Arc<EndpointSlice>, members: &mut Members, limit: usize) -> Draft {
    let old = slice.endpoints.iter().flatten();
    let uids = old.filter_map(|endpoint| endpoint.target_ref.as_ref()?.uid.as_deref());
    let endpoints = uids.filter_map(|uid| members.remove(uid)).take(limit).collect();
    Draft { present: slice, endpoints }
}

fn fill(drafts: &mut [Draft], newcomers: &mut Vec<Endpoint>, limit: usize, takes: fn(&Draft) -> bool) {
    for draft in drafts.iter_mut().filter(|draft| takes(draft)) {
        let room = limit.saturating_sub(draft.endpoints.len()).min(newcomers.len());
        draft.endpoints.extend(newcomers.drain(..room));
    }
}

fn updated(draft: &Draft, labels: &BTreeMap<String, String>) -> EndpointSlice {
    let mut slice = (*draft.present).clone();
    slice.metadata.labels = Some(labels.clone());
    slice.endpoints = Some(draft.endpoints.clone());
    slice
}

fn slice(
    service: &Service,
    labels: &BTreeMap<String, String>,
    group: &Group,
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", name_of(&service.metadata))),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels.clone()),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: group.address_type.to_owned(),
        endpoints: Some(endpoints),
        ports: Some(slice_ports(&group.ports)),
    }
}
