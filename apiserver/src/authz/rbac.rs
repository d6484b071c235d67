//! RBAC over indexed roles and bindings.
//!
//! In: every role and binding as it changes ([`Rbac::put_role`], [`Rbac::put_binding`], removals). Out: the
//! rules that apply to a user, with the binding that grants each. A check touches only the bindings that name
//! the user or one of its groups. A scope is a namespace; the empty one holds ClusterRoles and
//! ClusterRoleBindings. Invariant: `by_user` and `by_group` name exactly the subjects of `bindings`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value;

use super::rule::Rule;
use crate::request::{RequestInfo, User};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    kind: SubjectKind,
    name: String,
    /// Only of service accounts; of the binding if the subject gives none.
    namespace: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubjectKind {
    User,
    Group,
    ServiceAccount,
}

#[derive(Clone, Debug)]
struct Binding {
    role_is_cluster: bool,
    role_name: String,
    subjects: Vec<Subject>,
}

#[derive(Default)]
struct Scope {
    roles: HashMap<String, Arc<[Rule]>>,
    bindings: BTreeMap<String, Binding>,
    by_user: HashMap<String, BTreeSet<String>>,
    by_group: HashMap<String, BTreeSet<String>>,
}

#[derive(Default)]
pub struct Rbac {
    scopes: HashMap<String, Scope>,
}

/// The answer of RBAC alone; `reason` is empty for a plain no.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub reason: String,
}

/// All rules of a user in a namespace, and what could not be resolved.
pub struct HeldRules {
    pub rules: Vec<Rule>,
    pub errors: Vec<String>,
}

impl Rbac {
    /// `namespace` is empty for a ClusterRole.
    pub fn put_role(&mut self, namespace: &str, name: &str, role: &Value) {
        let scope = self.scopes.entry(namespace.to_owned()).or_default();
        scope.roles.insert(name.to_owned(), Rule::list(role).into());
    }

    pub fn remove_role(&mut self, namespace: &str, name: &str) {
        if let Some(scope) = self.scopes.get_mut(namespace) {
            scope.roles.remove(name);
            self.drop_if_empty(namespace);
        }
    }

    /// `namespace` is empty for a ClusterRoleBinding.
    pub fn put_binding(&mut self, namespace: &str, name: &str, binding: &Value) {
        self.remove_binding(namespace, name);
        let scope = self.scopes.entry(namespace.to_owned()).or_default();
        let binding = Binding::from_value(binding, namespace);
        for subject in &binding.subjects {
            let index =
                if subject.kind == SubjectKind::Group { &mut scope.by_group } else { &mut scope.by_user };
            index.entry(subject.user_or_group()).or_default().insert(name.to_owned());
        }
        scope.bindings.insert(name.to_owned(), binding);
    }

    pub fn remove_binding(&mut self, namespace: &str, name: &str) {
        let Some(scope) = self.scopes.get_mut(namespace) else { return };
        let Some(binding) = scope.bindings.remove(name) else { return };
        for subject in &binding.subjects {
            let index =
                if subject.kind == SubjectKind::Group { &mut scope.by_group } else { &mut scope.by_user };
            let key = subject.user_or_group();
            if let Some(names) = index.get_mut(&key) {
                names.remove(name);
                if names.is_empty() {
                    index.remove(&key);
                }
            }
        }
        self.drop_if_empty(namespace);
    }

    pub fn check(&self, user: &User, request: &RequestInfo) -> Verdict {
        let namespace = if request.is_resource_request { request.namespace.as_str() } else { "" };
        let mut errors = Vec::new();
        let found = self.visit(user, namespace, &mut errors, |grant, rules| {
            if rules.iter().any(|rule| rule.allows(request)) {
                ControlFlow::Break(grant.to_string())
            } else {
                ControlFlow::Continue(())
            }
        });
        match found {
            ControlFlow::Break(grant) => {
                Verdict { allowed: true, reason: format!("RBAC: allowed by {grant}") }
            }
            ControlFlow::Continue(()) => Verdict { allowed: false, reason: denial_reason(&errors) },
        }
    }

    pub fn rules_of(&self, user: &User, namespace: &str) -> HeldRules {
        let mut rules = Vec::new();
        let mut errors = Vec::new();
        let _ = self.visit(user, namespace, &mut errors, |_, found| {
            rules.extend_from_slice(found);
            ControlFlow::<()>::Continue(())
        });
        HeldRules { rules, errors }
    }

    /// The rules behind a `roleRef` of a binding in `namespace`; None if there is no such role.
    pub fn rules_of_role(&self, namespace: &str, is_cluster: bool, name: &str) -> Option<Arc<[Rule]>> {
        let scope = if is_cluster { "" } else { namespace };
        self.scopes.get(scope)?.roles.get(name).cloned()
    }

    /// Cluster-wide bindings first, then those of `namespace`, each in order of name.
    fn visit<B>(
        &self,
        user: &User,
        namespace: &str,
        errors: &mut Vec<String>,
        mut visit: impl FnMut(Grant<'_>, &[Rule]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let scopes = if namespace.is_empty() { &[""][..] } else { &["", namespace][..] };
        for scope_name in scopes {
            let Some(scope) = self.scopes.get(*scope_name) else { continue };
            for (name, subject) in scope.bindings_of(user) {
                let binding = &scope.bindings[name];
                match self.rules_of_role(scope_name, binding.role_is_cluster, &binding.role_name) {
                    Some(rules) => visit(Grant { namespace: scope_name, name, binding, subject }, &rules)?,
                    None => errors.push(binding.missing_role()),
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn drop_if_empty(&mut self, namespace: &str) {
        if self.scopes.get(namespace).is_some_and(|scope| scope.roles.is_empty() && scope.bindings.is_empty())
        {
            self.scopes.remove(namespace);
        }
    }
}

impl Scope {
    /// Each binding that names the user or a group of it, with the first such subject.
    fn bindings_of<'a>(&'a self, user: &User) -> BTreeMap<&'a str, &'a Subject> {
        let mut found = BTreeMap::new();
        let by_name = self.by_user.get(&user.name).into_iter();
        let by_group = user.groups.iter().filter_map(|group| self.by_group.get(group));
        for name in by_name.chain(by_group).flatten() {
            let subjects = &self.bindings[name].subjects;
            if let Some(subject) = subjects.iter().find(|subject| subject.is(user)) {
                found.insert(name.as_str(), subject);
            }
        }
        found
    }
}

impl Binding {
    fn from_value(value: &Value, namespace: &str) -> Self {
        let role = &value["roleRef"];
        let subjects = value["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            role_is_cluster: role["kind"] == "ClusterRole",
            role_name: text(role, "name"),
            subjects: subjects.iter().filter_map(|subject| Subject::from_value(subject, namespace)).collect(),
        }
    }

    fn role_kind(&self) -> &'static str {
        if self.role_is_cluster { "ClusterRole" } else { "Role" }
    }

    fn missing_role(&self) -> String {
        let kind = self.role_kind().to_ascii_lowercase();
        format!("{kind}.rbac.authorization.k8s.io {:?} not found", self.role_name)
    }
}

impl Subject {
    fn from_value(value: &Value, binding_namespace: &str) -> Option<Self> {
        let name = text(value, "name");
        let kind = match value["kind"].as_str()? {
            "User" => SubjectKind::User,
            "Group" => SubjectKind::Group,
            "ServiceAccount" => SubjectKind::ServiceAccount,
            _ => return None,
        };
        let namespace = match value["namespace"].as_str() {
            Some(namespace) if !namespace.is_empty() => namespace.to_owned(),
            _ => binding_namespace.to_owned(),
        };
        Some(Self { kind, name, namespace })
    }

    fn user_or_group(&self) -> String {
        match self.kind {
            SubjectKind::User | SubjectKind::Group => self.name.clone(),
            SubjectKind::ServiceAccount => service_account_user(&self.namespace, &self.name),
        }
    }

    fn is(&self, user: &User) -> bool {
        match self.kind {
            SubjectKind::User => self.name == user.name,
            SubjectKind::Group => user.in_group(&self.name),
            SubjectKind::ServiceAccount => user
                .name
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
                .is_some_and(|(namespace, name)| namespace == self.namespace && name == self.name),
        }
    }
}

pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Prints as `ClusterRoleBinding "a" of ClusterRole "b" to Group "c"`.
struct Grant<'a> {
    namespace: &'a str,
    name: &'a str,
    binding: &'a Binding,
    subject: &'a Subject,
}

impl std::fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "ClusterRoleBinding {:?}", self.name)?;
        } else {
            write!(f, "RoleBinding \"{}/{}\"", self.name, self.namespace)?;
        }
        write!(f, " of {} {:?} to ", self.binding.role_kind(), self.binding.role_name)?;
        match self.subject.kind {
            SubjectKind::User => write!(f, "User {:?}", self.subject.name),
            SubjectKind::Group => write!(f, "Group {:?}", self.subject.name),
            SubjectKind::ServiceAccount => {
                write!(f, "ServiceAccount \"{}/{}\"", self.subject.name, self.subject.namespace)
            }
        }
    }
}

fn denial_reason(errors: &[String]) -> String {
    match errors {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
