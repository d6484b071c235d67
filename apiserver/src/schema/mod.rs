//! What every kind looks like, and everything that follows from it.
//!
//! [`types`] is the arena of structs, lists and maps that [`load`] builds from the embedded tables. Over it work
//! [`decode`] (bodies to objects, field validation), [`patch`] (JSON, merge and strategic merge patch) and
//! [`managed_fields`] (server-side apply). All of them take and give `serde_json::Value` objects and do no I/O.
//! A new API level is a new `types.txt` (see `generate.rs`) and the few new lines of `merge_facts.txt`.

pub mod types;

mod load;

pub mod decode;
pub mod patch;

pub mod managed_fields;

mod body;
mod check;
mod go_type;
pub(crate) mod json_syntax;
mod node;
mod scalar;

#[cfg(test)]
mod decode_test;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod merge_facts_test;
#[cfg(test)]
mod sample_test;
#[cfg(test)]
mod schema_test;
#[cfg(test)]
mod script;

pub use decode::{Decoded, FieldValidation};
pub use load::builtin;
pub use types::{Schemas, Typed};

use crate::kinds::Kind;

/// Group, version and kind: all that this module needs to know of a [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gvk<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
}

impl<'a> Gvk<'a> {
    /// From the words of a body; None if `api_version` has more than one slash.
    pub fn parse(api_version: &'a str, kind: &'a str) -> Option<Gvk<'a>> {
        let (group, version) = match api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", api_version),
        };
        (!version.contains('/')).then_some(Gvk { group, version, kind })
    }

    /// `apps/v1`, `v1`
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The type of the kind. Options that belong to every group are found under the core group.
    pub fn typed(&self) -> Option<Typed<'static>> {
        let schemas = builtin();
        schemas.kind(self.group, self.version, self.kind).or_else(|| {
            let common = matches!((self.group, self.version, self.kind), ("", "v1", "DeleteOptions"));
            common.then(|| schemas.definition("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"))?
        })
    }
}

impl<'a> From<&'a Kind> for Gvk<'a> {
    fn from(kind: &'a Kind) -> Gvk<'a> {
        Gvk { group: kind.group, version: kind.version, kind: kind.kind }
    }
}
