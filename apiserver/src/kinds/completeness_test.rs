//! Nothing of `k8s-openapi` is left out by accident: every kind with a place of its own is served, or is named here.

use std::collections::BTreeSet;

use super::{all, lookup_kind};
use crate::openapi::types::KIND_TYPES;

/// Kinds that are bodies of subresources; the table has them as such.
const BODIES: &[(&str, &str)] =
    &[("authentication.k8s.io", "TokenRequest"), ("autoscaling", "Scale"), ("policy", "Eviction")];

/// Versions that a stock server of this level has switched off: alpha and beta ones.
fn is_off_by_default(version: &str) -> bool {
    version.contains("alpha") || version.contains("beta")
}

#[test]
fn every_kind_of_the_crate_is_served_or_has_a_reason_not_to_be() {
    let bodies: BTreeSet<_> = all().iter().flat_map(|kind| kind.subresources).map(|sub| sub.kind).collect();
    for kind in KIND_TYPES {
        let is_served = lookup_kind(kind.group, kind.version, kind.kind).is_some();
        let name = format!("{}/{} {}", kind.group, kind.version, kind.kind);
        if BODIES.contains(&(kind.group, kind.kind)) {
            assert!(bodies.contains(kind.kind), "no subresource takes {name}");
        } else {
            assert_eq!(is_served, !is_off_by_default(kind.version), "{name}");
        }
    }
    for kind in all() {
        let is_known = KIND_TYPES
            .iter()
            .any(|known| (known.group, known.version, known.kind) == (kind.group, kind.version, kind.kind));
        assert!(is_known, "{} is served and has no schema", kind.kind);
    }
}
