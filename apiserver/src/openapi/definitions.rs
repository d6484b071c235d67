//! The definitions of a document: `k8s-openapi`'s schemas with the extensions that clients merge and explain by.
//!
//! The two versions differ in notation only: in v3 a reference with siblings is wrapped in `allOf`, and defaults are
//! published; in v2 it is not, and they are not.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::types::{COMMON_TYPES, KIND_TYPES, KindType};
use crate::schema::builtin;
use crate::schema::types::{Field, ListMerge, Scalar, Schemas, Struct, Type};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

type Definitions = BTreeMap<String, Value>;

/// The definitions of these kinds, their lists, and everything that they refer to.
pub(super) fn definitions(dialect: Dialect, wanted: impl Fn(&KindType) -> bool) -> Definitions {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let kinds: Vec<&KindType> = KIND_TYPES.iter().filter(|kind| wanted(kind)).collect();
    kinds.iter().for_each(|kind| {
        (kind.describe)(&mut generator);
    });
    COMMON_TYPES.iter().for_each(|describe| {
        describe(&mut generator);
    });
    let mut definitions: Definitions = generator
        .take_definitions(false)
        .into_iter()
        .map(|(name, schema)| {
            let schema = definition(dialect, &name, schema);
            (name, schema)
        })
        .collect();
    for kind in kinds {
        mark_kind(dialect, kind, &mut definitions);
    }
    mark_common(&mut definitions);
    definitions
}

fn definition(dialect: Dialect, name: &str, schema: Value) -> Value {
    let description = schema.get("description").cloned().unwrap_or_default();
    if let Some(special) = special(dialect, name) {
        return with_description(special, description);
    }
    match builtin().by_name(name) {
        Some(shape) => structure(dialect, shape, schema),
        None => schema,
    }
}

fn special(dialect: Dialect, name: &str) -> Option<Value> {
    let v3 = dialect == Dialect::V3;
    match name.rsplit('.').next().unwrap_or(name) {
        "Quantity" if v3 => Some(json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] })),
        "Quantity" => Some(json!({ "type": "string" })),
        "IntOrString" if v3 => {
            Some(json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] }))
        }
        "IntOrString" => Some(json!({ "type": "string", "format": "int-or-string" })),
        "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            Some(json!({}))
        }
        _ => None,
    }
}

fn with_description(mut schema: Value, description: Value) -> Value {
    if let (Some(object), false) = (schema.as_object_mut(), description.is_null()) {
        object.insert("description".into(), description);
    }
    schema
}

/// Adds to the generated properties what only our tables know.
fn structure(dialect: Dialect, shape: &Struct, mut schema: Value) -> Value {
    let Some(object) = schema.as_object_mut() else { return schema };
    if shape.atomic {
        object.insert("x-kubernetes-map-type".into(), "atomic".into());
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        let names: Vec<String> = properties.keys().cloned().collect();
        for name in names {
            let property = properties.remove(&name).unwrap_or_default();
            let property = match shape.field(&name) {
                Some(field) => annotate(dialect, field, property),
                None => property,
            };
            properties.insert(name, property);
        }
    }
    schema
}

fn annotate(dialect: Dialect, field: &Field, property: Value) -> Value {
    let schemas = builtin();
    let mut property = notation(dialect, property);
    let Some(object) = property.as_object_mut() else { return property };
    if dialect == Dialect::V3 {
        if let Some(default) = default_of(field) {
            object.insert("default".into(), default);
        }
        if let Some(Value::Object(items)) = object.get_mut("items") {
            items.extend(element_default(schemas, field.ty).map(|default| ("default".to_owned(), default)));
        }
        if let Some(Value::Object(values)) = object.get_mut("additionalProperties") {
            values.extend(element_default(schemas, field.ty).map(|default| ("default".to_owned(), default)));
        }
    }
    match field.ty {
        Type::List(id) => add_list(object, &schemas.list(id).merge),
        Type::Map(id) if schemas.map(id).atomic => {
            object.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        Type::Map(_) | Type::Scalar(_) | Type::Struct(_) | Type::Any => {}
    }
    if let Some(patch) = &field.patch {
        let words = [(patch.merge, "merge"), (patch.retain_keys, "retainKeys")];
        let words: Vec<&str> = words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
        object.insert("x-kubernetes-patch-strategy".into(), words.join(",").into());
        if let Some(key) = &patch.key {
            object.insert("x-kubernetes-patch-merge-key".into(), key.as_str().into());
        }
    }
    property
}

fn add_list(object: &mut Map<String, Value>, merge: &ListMerge) {
    let (word, keys) = match merge {
        ListMerge::Atomic { stated: false } => return,
        ListMerge::Atomic { stated: true } => ("atomic", None),
        ListMerge::Set => ("set", None),
        ListMerge::Map(keys) => ("map", Some(keys.iter().map(|key| key.as_str()).collect::<Vec<_>>())),
    };
    object.insert("x-kubernetes-list-type".into(), word.into());
    if let Some(keys) = keys {
        object.insert("x-kubernetes-list-map-keys".into(), keys.into());
    }
}

/// References in the notation of the version.
fn notation(dialect: Dialect, schema: Value) -> Value {
    let Value::Object(mut object) = schema else { return schema };
    for below in ["items", "additionalProperties"] {
        if let Some(inner) = object.remove(below) {
            object.insert(below.into(), notation(dialect, inner));
        }
    }
    if let Some(Value::String(reference)) = object.remove("$ref") {
        let name = reference.rsplit('/').next().unwrap_or_default();
        match dialect {
            Dialect::V2 => object.insert("$ref".into(), format!("#/definitions/{name}").into()),
            Dialect::V3 => {
                let reference = format!("#/components/schemas/{name}");
                object.insert("allOf".into(), json!([{ "$ref": reference }]))
            }
        };
    }
    Value::Object(object)
}

fn default_of(field: &Field) -> Option<Value> {
    match &field.default {
        Some(json) => serde_json::from_str(json).ok(),
        None if field.embedded => Some(json!({})),
        None if field.required => zero(field.ty),
        None => None,
    }
}

fn element_default(schemas: &Schemas, ty: Type) -> Option<Value> {
    let element = match ty {
        Type::List(id) => schemas.list(id).element,
        Type::Map(id) => schemas.map(id).element,
        Type::Scalar(_) | Type::Struct(_) | Type::Any => return None,
    };
    match element {
        Type::Struct(_) => Some(json!({})),
        other => zero(other),
    }
}

fn zero(ty: Type) -> Option<Value> {
    match ty {
        Type::Scalar(Scalar::String) => Some("".into()),
        Type::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Double) => Some(0.into()),
        Type::Scalar(Scalar::Bool) => Some(false.into()),
        Type::Scalar(_) | Type::Struct(_) | Type::List(_) | Type::Map(_) | Type::Any => None,
    }
}

/// Says which kind the definition is, and adds its list.
fn mark_kind(dialect: Dialect, kind: &KindType, definitions: &mut Definitions) {
    let Some(shape) = builtin().kind(kind.group, kind.version, kind.kind).and_then(|ty| ty.as_struct())
    else {
        return;
    };
    let name = shape.name.as_str();
    mark(definitions, name, vec![gvk(kind.group, kind.version, kind.kind)]);
    if kind.listed {
        let list = list_definition(dialect, name, kind);
        definitions.insert(format!("{name}List"), list);
        mark(
            definitions,
            &format!("{name}List"),
            vec![gvk(kind.group, kind.version, &format!("{}List", kind.kind))],
        );
    }
}

fn list_definition(dialect: Dialect, element: &str, kind: &KindType) -> Value {
    let item = json!({ "$ref": format!("#/{element}") });
    let mut items =
        notation(dialect, json!({ "type": "array", "description": "The objects.", "items": item }));
    let mut metadata = notation(
        dialect,
        json!({ "$ref": "#/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", "description": "Standard list metadata." }),
    );
    if dialect == Dialect::V3 {
        items["items"]["default"] = json!({});
        metadata["default"] = json!({});
    }
    json!({
        "description": format!("{0}List is a list of {0} objects.", kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {
                "type": "string",
                "description": "APIVersion defines the versioned schema of this representation of an object.",
            },
            "kind": { "type": "string", "description": "Kind is the REST resource that this object represents." },
            "items": items,
            "metadata": metadata,
        },
    })
}

/// Options, statuses and watch events are kinds of every group.
fn mark_common(definitions: &mut Definitions) {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
    let mut everywhere: Vec<(&str, &str)> =
        KIND_TYPES.iter().map(|kind| (kind.group, kind.version)).collect();
    everywhere.sort_unstable();
    everywhere.dedup();
    for kind in ["DeleteOptions", "WatchEvent"] {
        let all = everywhere.iter().map(|(group, version)| gvk(group, version, kind)).collect();
        mark(definitions, &format!("{META}{kind}"), all);
    }
    for kind in ["Status", "APIGroup", "APIGroupList", "APIResourceList", "APIVersions"] {
        mark(definitions, &format!("{META}{kind}"), vec![gvk("", "v1", kind)]);
    }
}

fn gvk(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "kind": kind, "version": version })
}

fn mark(definitions: &mut Definitions, name: &str, kinds: Vec<Value>) {
    if let Some(Value::Object(definition)) = definitions.get_mut(name) {
        definition.insert("x-kubernetes-group-version-kind".into(), Value::Array(kinds));
    }
}
