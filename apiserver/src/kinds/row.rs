//! How a row of the table is written: start with where the kind lives, then say where it differs.

use super::{Conversion, Hooks, Kind, Part, StorageClass, Subresource, Traits};
use crate::table as print;

const STANDARD: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Namespaces are never deleted in bulk.
pub(super) const NO_COLLECTION_DELETE: &[&str] =
    &["create", "delete", "get", "list", "patch", "update", "watch"];
pub(super) const CREATE: &[&str] = &["create"];
pub(super) const GET_LIST: &[&str] = &["get", "list"];
pub(super) const GET: &[&str] = &["get"];
pub(super) const UPDATE: &[&str] = &["update"];
pub(super) const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];
pub(super) const STREAM: &[&str] = &["create", "get"];
pub(super) const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

const PLAIN: Traits = Traits {
    generation: false,
    status: false,
    status_on_create: false,
    create_on_update: false,
    unconditional_update: true,
    orphans_by_default: false,
    ttl_seconds: None,
};

pub(super) const fn subresource(
    name: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource { name, group: "", version: "", kind, verbs, part: None }
}

/// Read as the object, written in part.
pub(super) const fn part(name: &'static str, kind: &'static str, part: &'static Part) -> Subresource {
    Subresource { part: Some(part), ..subresource(name, kind, GET_PATCH_UPDATE) }
}

pub(super) const fn status(kind: &'static str) -> Subresource {
    subresource("status", kind, GET_PATCH_UPDATE)
}

pub(super) const SCALE: Subresource = Subresource {
    name: "scale",
    group: "autoscaling",
    version: "v1",
    kind: "Scale",
    verbs: GET_PATCH_UPDATE,
    part: None,
};

/// A kind in its three spellings: `Pod`, `pods`, `pod`.
pub(super) struct Words(pub &'static str, pub &'static str, pub &'static str);

const fn stored(
    group: &'static str,
    version: &'static str,
    words: Words,
    prefix: &'static str,
    namespaced: bool,
) -> Kind {
    Kind {
        group,
        version,
        kind: words.0,
        plural: words.1,
        singular: words.2,
        short_names: &[],
        categories: &[],
        namespaced,
        verbs: STANDARD,
        subresources: &[],
        storage: StorageClass::Etcd { prefix },
        hooks: Hooks::NONE,
        printer: print::NAME_AND_AGE,
        traits: PLAIN,
        conversion: None,
        deprecation: None,
    }
}

/// Namespaced, stored under its plural name.
pub(super) const fn namespaced(group: &'static str, version: &'static str, words: Words) -> Kind {
    let prefix = words.1;
    stored(group, version, words, prefix, true)
}

/// Cluster-scoped, stored under its plural name.
pub(super) const fn cluster(group: &'static str, version: &'static str, words: Words) -> Kind {
    let prefix = words.1;
    stored(group, version, words, prefix, false)
}

/// Answered at once, never stored.
pub(super) const fn review(
    group: &'static str,
    version: &'static str,
    words: Words,
    namespaced: bool,
) -> Kind {
    let kind = stored(group, version, words, "", namespaced);
    Kind { verbs: CREATE, storage: StorageClass::Virtual, ..kind }
}

/// Found out when asked, never stored.
pub(super) const fn observed(group: &'static str, version: &'static str, words: Words) -> Kind {
    let kind = stored(group, version, words, "", false);
    Kind { verbs: GET_LIST, storage: StorageClass::Virtual, ..kind }
}

impl Kind {
    pub(super) const fn at(self, prefix: &'static str) -> Kind {
        Kind { storage: StorageClass::Etcd { prefix }, ..self }
    }
    pub(super) const fn short(self, short_names: &'static [&'static str]) -> Kind {
        Kind { short_names, ..self }
    }
    pub(super) const fn in_all(self) -> Kind {
        Kind { categories: &["all"], ..self }
    }
    pub(super) const fn in_api_extensions(self) -> Kind {
        Kind { categories: &["api-extensions"], ..self }
    }
    pub(super) const fn verbs(self, verbs: &'static [&'static str]) -> Kind {
        Kind { verbs, ..self }
    }
    /// Has a status of its own; the list names all subresources, `status` among them.
    pub(super) const fn with_status(self, subresources: &'static [Subresource]) -> Kind {
        Kind { subresources, traits: Traits { status: true, ..self.traits }, ..self }
    }
    pub(super) const fn with(self, subresources: &'static [Subresource]) -> Kind {
        Kind { subresources, ..self }
    }
    pub(super) const fn hooks(self, hooks: Hooks) -> Kind {
        Kind { hooks, ..self }
    }
    pub(super) const fn prints(self, printer: print::Printer) -> Kind {
        Kind { printer, ..self }
    }
    pub(super) const fn counts_generations(self) -> Kind {
        Kind { traits: Traits { generation: true, ..self.traits }, ..self }
    }
    pub(super) const fn keeps_status_on_create(self) -> Kind {
        Kind { traits: Traits { status_on_create: true, ..self.traits }, ..self }
    }
    pub(super) const fn creates_on_update(self) -> Kind {
        Kind { traits: Traits { create_on_update: true, ..self.traits }, ..self }
    }
    pub(super) const fn needs_resource_version(self) -> Kind {
        Kind { traits: Traits { unconditional_update: false, ..self.traits }, ..self }
    }
    pub(super) const fn orphans_by_default(self) -> Kind {
        Kind { traits: Traits { orphans_by_default: true, ..self.traits }, ..self }
    }
    /// One hour, as a stock server keeps events.
    pub(super) const fn expires_after_an_hour(self) -> Kind {
        Kind { traits: Traits { ttl_seconds: Some(3600), ..self.traits }, ..self }
    }
    pub(super) const fn deprecated(self, warning: &'static str) -> Kind {
        Kind { deprecation: Some(warning), ..self }
    }
    pub(super) const fn converts(self, conversion: Conversion) -> Kind {
        Kind { conversion: Some(conversion), ..self }
    }
}
