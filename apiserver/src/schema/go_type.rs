//! Names of types as Go prints them in decoding errors: `v1.PodSpec`, `[]v1.Container`, `map[string]string`.

use super::types::{Scalar, Type, Typed};

pub(super) fn name(ty: Typed<'_>) -> String {
    match ty.ty {
        Type::Scalar(scalar) => scalar_name(scalar).to_owned(),
        Type::Struct(id) => qualified(&ty.schemas.struct_(id).name),
        Type::List(id) => format!("[]{}", name(ty.with(ty.schemas.list(id).element))),
        Type::Map(id) => format!("map[string]{}", name(ty.with(ty.schemas.map(id).element))),
        Type::Any => "runtime.RawExtension".to_owned(),
    }
}

/// The bare name of a struct: `PodSpec`.
pub(super) fn bare(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

/// Package and name: `v1.PodSpec`.
fn qualified(definition: &str) -> String {
    let mut words = definition.rsplit('.');
    match (words.next(), words.next()) {
        (Some(name), Some(package)) => format!("{package}.{name}"),
        _ => definition.to_owned(),
    }
}

fn scalar_name(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::String => "string",
        Scalar::Bool => "bool",
        Scalar::Int32 => "int32",
        Scalar::Int64 => "int64",
        Scalar::Double => "float64",
        Scalar::Bytes => "[]uint8",
        Scalar::Time => "v1.Time",
        Scalar::MicroTime => "v1.MicroTime",
        Scalar::Quantity => "resource.Quantity",
        Scalar::IntOrString => "intstr.IntOrString",
    }
}
