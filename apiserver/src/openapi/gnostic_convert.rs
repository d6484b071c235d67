//! The v2 document from JSON to protobuf.
//!
//! In: exactly what `v2.rs` writes. Extensions travel as YAML text, and JSON is YAML.

use prost::Message as _;
use serde_json::{Map, Value};

use super::gnostic::{
    AdditionalProperties, Any, ApiKey, BodyParameter, Document, Info, ItemsItem, NamedAny, NamedPathItem,
    NamedResponseValue, NamedSchema, NamedSchemas, NamedSecurity, NamedStringArray, NonBodyParameter,
    Operation, Parameter, ParameterOf, ParametersItem, PathItem, PathParameter, Paths, QueryParameter,
    Response, ResponseValue, Responses, Schema, SchemaItem, SecurityDefinitions, SecurityItem,
    SecurityRequirement, StringList,
};

pub(super) fn encode(document: &Value) -> Vec<u8> {
    let named =
        |(name, value): (&String, &Value)| NamedPathItem { name: name.clone(), value: Some(path(value)) };
    let document = Document {
        swagger: text(document, "swagger"),
        info: Some(Info {
            title: text(&document["info"], "title"),
            version: text(&document["info"], "version"),
        }),
        paths: Some(Paths { path: entries(&document["paths"]).map(named).collect() }),
        definitions: schemas(&document["definitions"]),
        security: items(&document["security"]).map(requirement).collect(),
        security_definitions: Some(SecurityDefinitions {
            additional_properties: entries(&document["securityDefinitions"]).map(security).collect(),
        }),
    };
    document.encode_to_vec()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    items(value).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn flag(value: &Value, name: &str) -> bool {
    value[name].as_bool().unwrap_or_default()
}

fn extensions(value: &Value) -> Vec<NamedAny> {
    let named = |(name, value): (&String, &Value)| NamedAny {
        name: name.clone(),
        value: Some(Any { yaml: value.to_string() }),
    };
    entries(value).filter(|(name, _)| name.starts_with("x-")).map(named).collect()
}

fn path(value: &Value) -> PathItem {
    let method = |name: &str| value.get(name).map(operation);
    PathItem {
        get: method("get"),
        put: method("put"),
        post: method("post"),
        delete: method("delete"),
        patch: method("patch"),
        parameters: items(&value["parameters"]).map(parameter).collect(),
    }
}

fn operation(value: &Value) -> Operation {
    Operation {
        tags: texts(&value["tags"]),
        description: text(value, "description"),
        operation_id: text(value, "operationId"),
        produces: texts(&value["produces"]),
        consumes: texts(&value["consumes"]),
        parameters: items(&value["parameters"]).map(parameter).collect(),
        responses: Some(Responses { response_code: entries(&value["responses"]).map(response).collect() }),
        schemes: texts(&value["schemes"]),
        vendor_extension: extensions(value),
    }
}

fn parameter(value: &Value) -> ParametersItem {
    let (description, name, place) = (text(value, "description"), text(value, "name"), text(value, "in"));
    let (required, kind, unique_items) =
        (flag(value, "required"), text(value, "type"), flag(value, "uniqueItems"));
    let of = match place.as_str() {
        "body" => {
            let schema = Some(Box::new(schema(&value["schema"])));
            ParameterOf::Body(BodyParameter { description, name, place, required, schema })
        }
        "path" => ParameterOf::NonBody(NonBodyParameter {
            query: None,
            path: Some(PathParameter { required, place, description, name, kind, unique_items }),
        }),
        _ => ParameterOf::NonBody(NonBodyParameter {
            query: Some(QueryParameter { required, place, description, name, kind, unique_items }),
            path: None,
        }),
    };
    ParametersItem { parameter: Some(Parameter { of: Some(of) }) }
}

fn response((name, value): (&String, &Value)) -> NamedResponseValue {
    let schema = value.get("schema").map(|value| SchemaItem { schema: Some(Box::new(schema(value))) });
    let response = Response { description: text(value, "description"), schema };
    NamedResponseValue { name: name.clone(), value: Some(ResponseValue { response: Some(response) }) }
}

fn schemas(value: &Value) -> Option<NamedSchemas> {
    let named =
        |(name, value): (&String, &Value)| NamedSchema { name: name.clone(), value: Some(schema(value)) };
    let additional_properties: Vec<NamedSchema> = entries(value).map(named).collect();
    (!additional_properties.is_empty()).then_some(NamedSchemas { additional_properties })
}

fn schema(value: &Value) -> Schema {
    let kind = value["type"].as_str().map(|kind| StringList { value: vec![kind.to_owned()] });
    let additional = value
        .get("additionalProperties")
        .map(|value| Box::new(AdditionalProperties { schema: Some(Box::new(schema(value))) }));
    Schema {
        reference: text(value, "$ref"),
        format: text(value, "format"),
        description: text(value, "description"),
        required: texts(&value["required"]),
        additional_properties: additional,
        kind,
        items: value.get("items").map(|value| ItemsItem { schema: vec![schema(value)] }),
        properties: schemas(&value["properties"]),
        vendor_extension: extensions(value),
    }
}

fn requirement(value: &Value) -> SecurityRequirement {
    let named = |(name, value): (&String, &Value)| NamedStringArray {
        name: name.clone(),
        value: Some(StringList { value: texts(value) }),
    };
    SecurityRequirement { additional_properties: entries(value).map(named).collect() }
}

fn security((name, value): (&String, &Value)) -> NamedSecurity {
    let api_key = ApiKey {
        kind: text(value, "type"),
        name: text(value, "name"),
        place: text(value, "in"),
        description: text(value, "description"),
    };
    NamedSecurity { name: name.clone(), value: Some(SecurityItem { api_key: Some(api_key) }) }
}
