//! The paths of a kind and what can be done there, before either version's notation.

use crate::kinds::{Kind, Subresource};
use crate::schema::builtin;

use super::base_path;
use super::parameters::{self, Parameter};

/// One URL pattern.
pub(super) struct Path {
    pub(super) path: String,
    /// In the URL itself.
    pub(super) parameters: Vec<Parameter>,
    pub(super) operations: Vec<Operation>,
}

/// What a body or an answer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Definition(String),
    Text,
}

pub(super) struct Operation {
    /// `get`, `post` …
    pub(super) method: &'static str,
    /// `x-kubernetes-action`
    pub(super) action: &'static str,
    pub(super) id: String,
    pub(super) description: String,
    pub(super) tag: String,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<Body>,
    pub(super) answer: Content,
    pub(super) success: &'static [(&'static str, &'static str)],
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
}

pub(super) struct Body {
    pub(super) definition: String,
    pub(super) required: bool,
    pub(super) patch: bool,
}

pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

const OK: &[(&str, &str)] = &[("200", "OK")];
const OK_CREATED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created")];
const OK_ACCEPTED: &[(&str, &str)] = &[("200", "OK"), ("202", "Accepted")];
const OK_CREATED_ACCEPTED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created"), ("202", "Accepted")];

/// Every path of the kind, subresources included.
pub(super) fn paths(kind: &'static Kind) -> Vec<Path> {
    let base = format!("/{}", base_path(kind.group, kind.version));
    let collection = match kind.namespaced {
        true => format!("{base}/namespaces/{{namespace}}/{}", kind.plural),
        false => format!("{base}/{}", kind.plural),
    };
    let mut paths = vec![
        path(collection.clone(), kind, &["list", "create", "deletecollection"]),
        path(format!("{collection}/{{name}}"), kind, &["get", "update", "patch", "delete"]),
    ];
    if kind.namespaced && kind.verbs.contains(&"list") {
        paths.push(across_namespaces(format!("{base}/{}", kind.plural), kind));
    }
    for subresource in kind.subresources {
        paths.push(subresource_path(&collection, kind, subresource));
    }
    paths.retain(|path| !path.operations.is_empty());
    paths
}

fn url_parameters(path: &str) -> Vec<Parameter> {
    let all = [("{name}", parameters::NAME), ("{namespace}", parameters::NAMESPACE)];
    all.into_iter().filter(|(pattern, _)| path.contains(pattern)).map(|(_, parameter)| parameter).collect()
}

fn path(path: String, kind: &'static Kind, verbs: &[&str]) -> Path {
    let subject =
        Subject { parent: kind, group: kind.group, version: kind.version, kind: kind.kind, part: "" };
    let served = verbs.iter().filter(|verb| kind.verbs.contains(verb));
    let operations = served.filter_map(|verb| subject.operation(verb)).collect();
    Path { parameters: url_parameters(&path), path, operations }
}

fn across_namespaces(path: String, kind: &'static Kind) -> Path {
    let subject =
        Subject { parent: kind, group: kind.group, version: kind.version, kind: kind.kind, part: "" };
    let mut operation = subject.operation("list").expect("list is an operation");
    operation.id = format!("list{}{}ForAllNamespaces", words(kind.group, kind.version), kind.kind);
    Path { parameters: Vec::new(), path, operations: vec![operation] }
}

fn subresource_path(collection: &str, kind: &'static Kind, subresource: &'static Subresource) -> Path {
    let own = !subresource.version.is_empty();
    let subject = Subject {
        parent: kind,
        group: if own { subresource.group } else { kind.group },
        version: if own { subresource.version } else { kind.version },
        kind: subresource.kind,
        part: subresource.name,
    };
    let operations = subresource.verbs.iter().filter_map(|verb| subject.operation(verb)).collect();
    let path = format!("{collection}/{{name}}/{}", subresource.name);
    Path { parameters: url_parameters(&path), path, operations }
}

/// What a path is about.
struct Subject {
    parent: &'static Kind,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    /// Name of the subresource, or empty.
    part: &'static str,
}

impl Subject {
    fn operation(&self, verb: &str) -> Option<Operation> {
        if self.streams() {
            return self.connect(verb);
        }
        let own = self.content();
        let (method, action, query, body, answer, success) = match verb {
            "get" => ("get", "get", self.get_query(), None, self.got(), OK),
            "list" => ("get", "list", parameters::LIST, None, self.list(), OK),
            "create" => {
                let success = OK_CREATED_ACCEPTED;
                ("post", "post", parameters::WRITE, body_of(&own, true), own, success)
            }
            "update" => ("put", "put", parameters::WRITE, body_of(&own, true), own, OK_CREATED),
            "patch" => {
                let body = Body { definition: PATCH.to_owned(), required: true, patch: true };
                ("patch", "patch", parameters::PATCH, Some(body), own, OK_CREATED)
            }
            "delete" => ("delete", "delete", parameters::DELETE, options(), status(), OK_ACCEPTED),
            "deletecollection" => {
                ("delete", "deletecollection", parameters::DELETE_COLLECTION, options(), status(), OK)
            }
            _ => return None,
        };
        let id = format!("{}{}", id_verb(action), self.id());
        Some(Operation { method, id, query, body, answer, success, ..self.described(action) })
    }

    /// What an operation of this sort says about itself; the rest is empty.
    fn described(&self, action: &'static str) -> Operation {
        let part =
            if self.part.is_empty() { String::new() } else { format!("{} of the specified ", self.part) };
        Operation {
            method: "get",
            action,
            id: String::new(),
            description: format!("{} {part}{}", phrase(action), self.parent.kind),
            tag: tag(self.parent.group, self.parent.version),
            query: &[],
            body: None,
            answer: Content::Text,
            success: OK,
            group: self.group,
            version: self.version,
            kind: self.kind,
        }
    }

    fn streams(&self) -> bool {
        self.kind.ends_with("Options")
    }

    fn connect(&self, verb: &str) -> Option<Operation> {
        let (method, word) = match verb {
            "get" => ("get", "Get"),
            "create" => ("post", "Post"),
            "update" => ("put", "Put"),
            "patch" => ("patch", "Patch"),
            "delete" => ("delete", "Delete"),
            _ => return None,
        };
        let query = match self.part {
            "exec" | "attach" => parameters::EXEC,
            "portforward" => parameters::PORTS,
            _ => parameters::PROXY,
        };
        let id = format!("connect{}{word}{}", words(self.parent.group, self.parent.version), self.bare_id());
        Some(Operation { method, id, query, ..self.described("connect") })
    }

    fn get_query(&self) -> &'static [Parameter] {
        if self.part == "log" { parameters::LOG } else { &[] }
    }

    fn got(&self) -> Content {
        if self.part == "log" { Content::Text } else { self.content() }
    }

    fn content(&self) -> Content {
        match builtin().kind(self.group, self.version, self.kind).and_then(|ty| ty.as_struct()) {
            Some(shape) => Content::Definition(shape.name.to_string()),
            None => Content::Text,
        }
    }

    fn list(&self) -> Content {
        match self.content() {
            Content::Definition(name) => Content::Definition(format!("{name}List")),
            Content::Text => Content::Text,
        }
    }

    fn id(&self) -> String {
        format!("{}{}", words(self.parent.group, self.parent.version), self.bare_id())
    }

    fn bare_id(&self) -> String {
        let scope = if self.parent.namespaced { "Namespaced" } else { "" };
        format!("{scope}{}{}", self.parent.kind, capital(self.part))
    }
}

fn body_of(content: &Content, required: bool) -> Option<Body> {
    match content {
        Content::Definition(name) => Some(Body { definition: name.clone(), required, patch: false }),
        Content::Text => None,
    }
}

fn options() -> Option<Body> {
    Some(Body { definition: DELETE_OPTIONS.to_owned(), required: false, patch: false })
}

fn status() -> Content {
    Content::Definition(STATUS.to_owned())
}

fn id_verb(action: &str) -> &'static str {
    match action {
        "get" => "read",
        "list" => "list",
        "post" => "create",
        "put" => "replace",
        "patch" => "patch",
        "delete" => "delete",
        _ => "deleteCollection",
    }
}

fn phrase(action: &str) -> &'static str {
    match action {
        "get" => "read the specified",
        "list" => "list or watch objects of kind",
        "post" => "create a",
        "put" => "replace the specified",
        "patch" => "partially update the specified",
        "delete" => "delete a",
        "deletecollection" => "delete collection of",
        _ => "connect requests to",
    }
}

/// `AppsV1`, `RbacAuthorizationV1`, `CoreV1`
fn words(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    let words: String = group.split('.').map(capital).collect();
    format!("{words}{}", capital(version))
}

/// `apps_v1`, `rbacAuthorization_v1`
fn tag(group: &str, version: &str) -> String {
    let words = words(group, "");
    let (first, rest) = words.split_at(1);
    format!("{}{rest}_{version}", first.to_lowercase())
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
