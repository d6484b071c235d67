//! The shape of every kind: structs, maps and lists in one arena, with what merging needs to know of each.
//!
//! One engine reads it: decoding, strategic merge, server-side apply and the published OpenAPI documents.
//! Types are small copyable handles into the arena; names of built-in types point into the embedded tables, so
//! that the whole API level costs a few hundred kilobytes. Descriptions are not here: only documents need them.

use std::collections::HashMap;

use smol_str::SmolStr;

/// Index of a struct in its [`Schemas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StructId(pub(super) u32);

/// Index of a list or map type in its [`Schemas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShapeId(pub(super) u32);

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Scalar(Scalar),
    Struct(StructId),
    List(ShapeId),
    Map(ShapeId),
    /// Any JSON, kept as it is (RawExtension, FieldsV1, JSON).
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    String,
    Bool,
    Int32,
    Int64,
    Double,
    /// Base64 on the wire.
    Bytes,
    /// RFC 3339, whole seconds.
    Time,
    /// RFC 3339, six decimals.
    MicroTime,
    Quantity,
    IntOrString,
}

/// An object with named fields.
#[derive(Debug)]
pub struct Struct {
    /// `io.k8s.api.core.v1.PodSpec`
    pub name: SmolStr,
    /// Ordered by name.
    pub fields: Vec<Field>,
    /// Owned and replaced as one value (selectors, references).
    pub atomic: bool,
}

#[derive(Debug)]
pub struct Field {
    pub name: SmolStr,
    pub ty: Type,
    pub required: bool,
    /// A struct that is always there in the stock server's memory, if only empty; see `managed_fields`.
    pub embedded: bool,
    pub patch: Option<PatchStrategy>,
    /// The value of an absent field, as JSON text.
    pub default: Option<SmolStr>,
}

/// How strategic merge patch treats a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchStrategy {
    pub merge: bool,
    pub retain_keys: bool,
    /// Field that tells the elements of a merged list of objects apart.
    pub key: Option<SmolStr>,
}

#[derive(Debug)]
pub struct List {
    pub element: Type,
    pub merge: ListMerge,
}

/// How server-side apply treats a list (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListMerge {
    /// One value. `stated` if the published documents say so.
    Atomic {
        stated: bool,
    },
    Set,
    /// Elements are told apart by these fields, in the published order.
    Map(Vec<SmolStr>),
}

#[derive(Debug)]
pub struct Map {
    pub element: Type,
    pub atomic: bool,
}

impl Struct {
    pub fn field(&self, name: &str) -> Option<&Field> {
        let at = self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok()?;
        Some(&self.fields[at])
    }
}

/// The arena. Handles are only meaningful with the arena that made them.
#[derive(Debug, Default)]
pub struct Schemas {
    pub(super) structs: Vec<Struct>,
    pub(super) lists: Vec<List>,
    pub(super) maps: Vec<Map>,
    pub(super) by_name: HashMap<SmolStr, StructId>,
    /// `apps/v1/Deployment`, `/v1/Pod`
    pub(super) by_kind: HashMap<SmolStr, StructId>,
}

impl Schemas {
    pub fn struct_(&self, id: StructId) -> &Struct {
        &self.structs[id.0 as usize]
    }

    pub fn list(&self, id: ShapeId) -> &List {
        &self.lists[id.0 as usize]
    }

    pub fn map(&self, id: ShapeId) -> &Map {
        &self.maps[id.0 as usize]
    }

    /// By definition name.
    pub fn by_name(&self, name: &str) -> Option<&Struct> {
        self.by_name.get(name).map(|id| self.struct_(*id))
    }

    /// The type of a definition.
    pub fn definition(&self, name: &str) -> Option<Typed<'_>> {
        self.by_name.get(name).map(|id| Typed { schemas: self, ty: Type::Struct(*id) })
    }

    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Typed<'_>> {
        let id = self.by_kind.get(format!("{group}/{version}/{kind}").as_str())?;
        Some(Typed { schemas: self, ty: Type::Struct(*id) })
    }

    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.by_kind.keys().map(SmolStr::as_str)
    }
}

/// A type with its arena: what every walk over a value carries along.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'s> {
    pub schemas: &'s Schemas,
    pub ty: Type,
}

impl<'s> Typed<'s> {
    pub fn with(self, ty: Type) -> Typed<'s> {
        Typed { schemas: self.schemas, ty }
    }

    pub fn as_struct(self) -> Option<&'s Struct> {
        match self.ty {
            Type::Struct(id) => Some(self.schemas.struct_(id)),
            Type::Scalar(_) | Type::List(_) | Type::Map(_) | Type::Any => None,
        }
    }

    pub fn as_list(self) -> Option<&'s List> {
        match self.ty {
            Type::List(id) => Some(self.schemas.list(id)),
            Type::Scalar(_) | Type::Struct(_) | Type::Map(_) | Type::Any => None,
        }
    }

    /// The declared field of a struct.
    pub fn field(self, name: &str) -> Option<&'s Field> {
        self.as_struct()?.field(name)
    }

    /// The type below a key: a struct's field, or any key of a map.
    pub fn member(self, name: &str) -> Option<Typed<'s>> {
        match self.ty {
            Type::Struct(_) => self.field(name).map(|field| self.with(field.ty)),
            Type::Map(id) => Some(self.with(self.schemas.map(id).element)),
            Type::Any => Some(self),
            Type::Scalar(_) | Type::List(_) => None,
        }
    }

    /// Owned and replaced as one value, by structure: scalars, atomic lists, maps and structs, free JSON.
    pub fn is_atomic(self) -> bool {
        match self.ty {
            Type::Scalar(_) | Type::Any => true,
            Type::Struct(id) => self.schemas.struct_(id).atomic,
            Type::List(id) => matches!(self.schemas.list(id).merge, ListMerge::Atomic { .. }),
            Type::Map(id) => self.schemas.map(id).atomic,
        }
    }
}
