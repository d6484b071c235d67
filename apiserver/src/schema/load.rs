//! Reads the two embedded tables into the arena of built-in kinds.
//!
//! `types.txt` is the structure, generated from `k8s-openapi` (see `generate.rs`). `merge_facts.txt` is what
//! structure does not tell: list types and keys, patch strategies, atomic structs, defaults.
//! A malformed table is a bug of this crate, found by the tests; loading panics on it.

use std::sync::LazyLock;

use smol_str::SmolStr;

use super::types::{
    Field, List, ListMerge, Map, PatchStrategy, Scalar, Schemas, ShapeId, Struct, StructId, Type,
};

const TYPES: &str = include_str!("types.txt");
const MERGE_FACTS: &str = include_str!("merge_facts.txt");

static BUILTIN: LazyLock<Schemas> = LazyLock::new(|| load(TYPES, MERGE_FACTS));

/// Every built-in kind of API level 1.36; loaded on first use, in about a millisecond.
pub fn builtin() -> &'static Schemas {
    &BUILTIN
}

/// Parses both tables. Names borrow from the text, hence its lifetime.
pub(super) fn load(types: &'static str, facts: &'static str) -> Schemas {
    let mut schemas = Schemas::default();
    declare(&mut schemas, types);
    define(&mut schemas, types);
    facts.lines().filter(|line| !is_comment(line)).for_each(|line| add_fact(&mut schemas, line));
    schemas
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// First pass: every struct gets its id, so that fields can refer to structs below.
fn declare(schemas: &mut Schemas, types: &'static str) {
    for line in types.lines().filter(|line| !is_comment(line) && !line.starts_with(' ')) {
        let (name, kind) = match line.split_once(' ') {
            Some((name, kind)) => (name, Some(kind)),
            None => (line, None),
        };
        let id = StructId(schemas.structs.len() as u32);
        let name = SmolStr::new_static(name);
        schemas.by_name.insert(name.clone(), id);
        if let Some(kind) = kind {
            schemas.by_kind.insert(SmolStr::new_static(kind), id);
        }
        schemas.structs.push(Struct { name, fields: Vec::new(), atomic: false });
    }
}

/// Second pass: the fields.
fn define(schemas: &mut Schemas, types: &'static str) {
    let mut at = None;
    for line in types.lines().filter(|line| !is_comment(line)) {
        match line.strip_prefix(' ') {
            None => at = Some(at.map_or(0, |at: usize| at + 1)),
            Some(line) => {
                let at = at.expect("types.txt starts with a struct");
                let field = parse_field(schemas, line);
                schemas.structs[at].fields.push(field);
            }
        }
    }
    for entry in &mut schemas.structs {
        entry.fields.sort_by(|a, b| a.name.cmp(&b.name));
        entry.fields.shrink_to_fit();
    }
}

fn parse_field(schemas: &mut Schemas, line: &'static str) -> Field {
    let (name, ty) = line.split_once(' ').expect("a field has a name and a type");
    let (name, required) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let ty = parse_type(schemas, ty);
    Field { name: SmolStr::new_static(name), ty, required, embedded: false, patch: None, default: None }
}

/// `string`, `[string]`, `{string}`, `io.k8s.api.core.v1.Container`
fn parse_type(schemas: &mut Schemas, text: &str) -> Type {
    if let Some(element) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let element = parse_type(schemas, element);
        schemas.lists.push(List { element, merge: ListMerge::Atomic { stated: false } });
        return Type::List(ShapeId(schemas.lists.len() as u32 - 1));
    }
    if let Some(element) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let element = parse_type(schemas, element);
        schemas.maps.push(Map { element, atomic: false });
        return Type::Map(ShapeId(schemas.maps.len() as u32 - 1));
    }
    match text {
        "string" => Type::Scalar(Scalar::String),
        "bool" => Type::Scalar(Scalar::Bool),
        "int32" => Type::Scalar(Scalar::Int32),
        "int64" => Type::Scalar(Scalar::Int64),
        "double" => Type::Scalar(Scalar::Double),
        "bytes" => Type::Scalar(Scalar::Bytes),
        "time" => Type::Scalar(Scalar::Time),
        "microtime" => Type::Scalar(Scalar::MicroTime),
        "quantity" => Type::Scalar(Scalar::Quantity),
        "int-or-string" => Type::Scalar(Scalar::IntOrString),
        "any" => Type::Any,
        name => Type::Struct(*schemas.by_name.get(name).unwrap_or_else(|| panic!("types.txt lacks {name}"))),
    }
}

fn add_fact(schemas: &mut Schemas, line: &'static str) {
    let mut words = line.split(' ');
    let subject = words.next().expect("split yields at least one word");
    if let Some(id) = schemas.by_name.get(subject) {
        schemas.structs[id.0 as usize].atomic = true;
        return;
    }
    let (owner, name) = subject.rsplit_once('.').expect("a fact is about a struct or a field");
    let id = *schemas.by_name.get(owner).unwrap_or_else(|| panic!("merge_facts.txt: no struct {owner}"));
    let fields = &schemas.structs[id.0 as usize].fields;
    let at = fields.iter().position(|field| field.name == name);
    let at = at.unwrap_or_else(|| panic!("merge_facts.txt: {owner} has no field {name}"));
    words.for_each(|fact| add_field_fact(schemas, id, at, fact));
}

fn add_field_fact(schemas: &mut Schemas, owner: StructId, at: usize, fact: &'static str) {
    let field = &mut schemas.structs[owner.0 as usize].fields[at];
    match (fact.split_once('=').unwrap_or((fact, "")), field.ty) {
        (("embedded", _), _) => field.embedded = true,
        (("default", json), _) => field.default = Some(SmolStr::new_static(json)),
        (("patch", strategy), _) => field.patch = Some(parse_patch(strategy)),
        (("list", merge), Type::List(id)) => schemas.lists[id.0 as usize].merge = parse_list(merge),
        (("map", "atomic"), Type::Map(id)) => schemas.maps[id.0 as usize].atomic = true,
        (other, _) => panic!("merge_facts.txt: {other:?} does not fit {}", field.name),
    }
}

/// `merge,retainKeys:name`
fn parse_patch(text: &'static str) -> PatchStrategy {
    let (words, key) = match text.split_once(':') {
        Some((words, key)) => (words, Some(SmolStr::new_static(key))),
        None => (text, None),
    };
    let has = |word| words.split(',').any(|one| one == word);
    PatchStrategy { merge: has("merge"), retain_keys: has("retainKeys"), key }
}

/// `atomic`, `set`, `map:port,protocol`
fn parse_list(text: &'static str) -> ListMerge {
    match text.strip_prefix("map:") {
        Some(keys) => ListMerge::Map(keys.split(',').map(SmolStr::new_static).collect()),
        None if text == "set" => ListMerge::Set,
        None => ListMerge::Atomic { stated: true },
    }
}
