//! Decisions and texts: one table per authorizer, on a cluster with the bootstrap policy and a few objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fake::FakeReader;
use super::{Authorizer, bootstrap, check_escalation};
use crate::request::{RequestInfo, User};

fn cluster() -> (Arc<FakeReader>, Authorizer) {
    let reader = Arc::new(FakeReader::default());
    for item in bootstrap::objects() {
        reader.put(item.plural, &item.object);
    }
    let authorizer = Authorizer::new(reader.clone());
    (reader, authorizer)
}

fn binding(namespace: &str, name: &str, role: (&str, &str), subject: Value) -> Value {
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1},
        "subjects": [subject],
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn user(name: &str, groups: &[&str]) -> User {
    let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    groups.push("system:authenticated".into());
    User { name: name.into(), groups, ..User::default() }
}

fn asked(text: &str) -> RequestInfo {
    let (method, target) = text.split_once(' ').expect("METHOD target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    RequestInfo::parse(method, path, query)
}

fn answer(authorizer: &Authorizer, user: &User, request: &str) -> String {
    match authorizer.require(user, &asked(request)) {
        Ok(()) => format!("yes {}", authorizer.authorize(user, &asked(request)).reason).trim_end().to_owned(),
        Err(error) => error.to_string(),
    }
}

fn check(authorizer: &Authorizer, who: &User, table: &[(&str, &str)]) {
    for (request, expected) in table {
        assert_eq!(answer(authorizer, who, request), *expected, "{request}");
    }
}

#[test]
fn rbac_answers_with_stock_texts() {
    let (reader, authorizer) = cluster();
    let jane = json!({"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"});
    reader.put("rolebindings", &binding("dev", "editors", ("ClusterRole", "edit"), jane.clone()));
    reader.put(
        "rolebindings",
        &binding("dev", "ghost", ("Role", "gone"), json!({"kind": "Group", "name": "ops"})),
    );
    let account = json!({"kind": "ServiceAccount", "name": "bot", "namespace": "ci"});
    reader.put("clusterrolebindings", &binding("", "bots", ("ClusterRole", "view"), account));

    check(
        &authorizer,
        &user("jane", &[]),
        &[
            (
                "GET /api/v1/namespaces/dev/pods",
                r#"yes RBAC: allowed by RoleBinding "editors/dev" of ClusterRole "edit" to User "jane""#,
            ),
            (
                "GET /api/v1/namespaces/default/pods",
                r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default""#,
            ),
            (
                "GET /api/v1/nodes/n1",
                r#"nodes "n1" is forbidden: User "jane" cannot get resource "nodes" in API group "" at the cluster scope"#,
            ),
            (
                "DELETE /apis/apps/v1/namespaces/x/deployments/web",
                r#"deployments.apps "web" is forbidden: User "jane" cannot delete resource "deployments" in API group "apps" in the namespace "x""#,
            ),
            (
                "POST /api/v1/namespaces/x/pods/p/exec",
                r#"pods "p" is forbidden: User "jane" cannot create resource "pods/exec" in API group "" in the namespace "x""#,
            ),
            ("GET /metrics", r#"forbidden: User "jane" cannot get path "/metrics""#),
            (
                "GET /apis/apps/v1",
                r#"yes RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated""#,
            ),
            (
                "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                r#"yes RBAC: allowed by ClusterRoleBinding "system:basic-user" of ClusterRole "system:basic-user" to Group "system:authenticated""#,
            ),
            (
                "POST /apis/rbac.authorization.k8s.io/v1/namespaces/dev/roles",
                r#"roles.rbac.authorization.k8s.io is forbidden: User "jane" cannot create resource "roles" in API group "rbac.authorization.k8s.io" in the namespace "dev""#,
            ),
        ],
    );
    check(
        &authorizer,
        &user("system:serviceaccount:ci:bot", &["system:serviceaccounts"]),
        &[
            (
                "GET /api/v1/pods?watch=1",
                r#"yes RBAC: allowed by ClusterRoleBinding "bots" of ClusterRole "view" to ServiceAccount "bot/ci""#,
            ),
            (
                "GET /api/v1/namespaces/a/secrets/s",
                r#"secrets "s" is forbidden: User "system:serviceaccount:ci:bot" cannot get resource "secrets" in API group "" in the namespace "a""#,
            ),
        ],
    );
    check(
        &authorizer,
        &user("joe", &["ops"]),
        &[(
            "GET /api/v1/namespaces/dev/pods",
            r#"pods is forbidden: User "joe" cannot list resource "pods" in API group "" in the namespace "dev": RBAC: role.rbac.authorization.k8s.io "gone" not found"#,
        )],
    );
    check(
        &authorizer,
        &user("root", &["system:masters"]),
        &[("DELETE /api/v1/nodes", "yes"), ("GET /metrics", "yes")],
    );
    let anonymous = User::anonymous();
    check(
        &authorizer,
        &anonymous,
        &[
            (
                "GET /version",
                r#"yes RBAC: allowed by ClusterRoleBinding "system:public-info-viewer" of ClusterRole "system:public-info-viewer" to Group "system:unauthenticated""#,
            ),
            ("GET /api", r#"forbidden: User "system:anonymous" cannot get path "/api""#),
        ],
    );
}

#[test]
fn a_changed_or_removed_binding_counts_at_once() {
    let (reader, authorizer) = cluster();
    let jane = user("jane", &[]);
    let request = "GET /api/v1/namespaces/dev/configmaps";
    assert!(answer(&authorizer, &jane, request).starts_with("configmaps is forbidden"));
    let subject = json!({"kind": "User", "name": "jane"});
    reader.put("rolebindings", &binding("dev", "b", ("ClusterRole", "view"), subject));
    assert!(answer(&authorizer, &jane, request).starts_with("yes"));
    reader.put(
        "rolebindings",
        &binding("dev", "b", ("ClusterRole", "view"), json!({"kind": "User", "name": "joe"})),
    );
    assert!(answer(&authorizer, &jane, request).starts_with("configmaps is forbidden"));
    assert!(answer(&authorizer, &user("joe", &[]), request).starts_with("yes"));
    reader.remove("rolebindings", "dev", "b");
    assert!(answer(&authorizer, &user("joe", &[]), request).starts_with("configmaps is forbidden"));
}

#[test]
fn a_node_reads_what_its_pods_refer_to() {
    let (reader, authorizer) = cluster();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
        "spec": {
            "nodeName": "n1", "serviceAccountName": "bot",
            "containers": [{"name": "c", "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}],
            "volumes": [
                {"name": "v", "projected": {"sources": [{"configMap": {"name": "cm"}}]}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}
            ],
        },
    });
    reader.put("pods", &pod);
    reader.put(
        "persistentvolumes",
        &json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                "spec": {"claimRef": {"namespace": "a", "name": "data"}}}),
    );
    let n1 = user("system:node:n1", &["system:nodes"]);
    let table = [
        ("GET /api/v1/namespaces/a/secrets/s", "yes"),
        ("GET /api/v1/namespaces/a/configmaps/cm", "yes"),
        ("GET /api/v1/persistentvolumes/pv", "yes"),
        ("POST /api/v1/namespaces/a/serviceaccounts/bot/token", "yes"),
        ("PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", "yes"),
        ("PATCH /api/v1/nodes/n1/status", "yes"),
        ("PATCH /api/v1/namespaces/a/pods/p/status", "yes"),
        (
            "GET /apis/discovery.k8s.io/v1/endpointslices?watch=1",
            r#"yes RBAC: allowed by ClusterRoleBinding "balsa:node-services" of ClusterRole "balsa:node-services" to Group "system:nodes""#,
        ),
        (
            "GET /api/v1/namespaces/a/secrets/other",
            r#"secrets "other" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "a": no relationship found between node 'n1' and this object"#,
        ),
        (
            "GET /api/v1/namespaces/a/secrets",
            r#"secrets is forbidden: User "system:node:n1" cannot list resource "secrets" in API group "" in the namespace "a": No Object name found"#,
        ),
        (
            "PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2",
            r#"leases.coordination.k8s.io "n2" is forbidden: User "system:node:n1" cannot update resource "leases" in API group "coordination.k8s.io" in the namespace "kube-node-lease": can only access node lease with the same name as the requesting node"#,
        ),
    ];
    check(&authorizer, &n1, &table);
    let n2 = user("system:node:n2", &["system:nodes"]);
    assert!(answer(&authorizer, &n2, "GET /api/v1/namespaces/a/secrets/s").ends_with("and this object"));
    reader.remove("pods", "a", "p");
    assert!(answer(&authorizer, &n1, "GET /api/v1/namespaces/a/secrets/s").ends_with("and this object"));
}

#[test]
fn components_hold_what_they_need() {
    let (_, authorizer) = cluster();
    let table = [
        ("system:kube-scheduler", "POST /api/v1/namespaces/a/pods/p/binding"),
        ("system:kube-scheduler", "GET /api/v1/pods?watch=1"),
        (
            "system:kube-scheduler",
            "PUT /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler",
        ),
        ("system:kube-controller-manager", "DELETE /api/v1/namespaces/a/pods/p"),
        ("system:kube-controller-manager", "DELETE /apis/example.com/v1/namespaces/a/widgets"),
        ("system:kube-controller-manager", "PUT /api/v1/namespaces/a/finalize"),
        ("system:kube-controller-manager", "POST /apis/apps/v1/namespaces/a/replicasets"),
        ("system:kube-controller-manager", "PATCH /api/v1/nodes/n"),
        ("system:kube-controller-manager", "PUT /apis/apps/v1/namespaces/a/deployments/d/status"),
    ];
    for (name, request) in table {
        assert!(answer(&authorizer, &user(name, &[]), request).starts_with("yes"), "{name} {request}");
    }
}

#[test]
fn nobody_grants_what_he_does_not_hold() {
    let (reader, authorizer) = cluster();
    let subject = json!({"kind": "User", "name": "jane"});
    reader.put("rolebindings", &binding("dev", "b", ("ClusterRole", "admin"), subject.clone()));
    let jane = user("jane", &[]);
    let role =
        |rules: Value| json!({"kind": "Role", "metadata": {"name": "r", "namespace": "dev"}, "rules": rules});
    let create = asked("POST /apis/rbac.authorization.k8s.io/v1/namespaces/dev/roles");
    let held = role(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]));
    assert!(check_escalation(&authorizer, &jane, &create, &held, None).is_ok());
    let wider = role(json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "delete"]}]));
    let refused = check_escalation(&authorizer, &jane, &create, &wider, None).expect_err("not held");
    assert_eq!(
        refused.to_string(),
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"jane\" (groups=[\"system:authenticated\"]) is \
         attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"delete\"]}"
    );
    let bind = asked("POST /apis/rbac.authorization.k8s.io/v1/namespaces/dev/rolebindings");
    let view = binding("dev", "x", ("ClusterRole", "view"), subject.clone());
    assert!(check_escalation(&authorizer, &jane, &bind, &view, None).is_ok());
    let root = binding("dev", "x", ("ClusterRole", "cluster-admin"), subject);
    assert!(check_escalation(&authorizer, &jane, &bind, &root, None).is_err());
    assert!(check_escalation(&authorizer, &jane, &bind, &root, Some(&root)).is_ok(), "unchanged");
}

#[test]
fn reviews_answer_can_i() {
    let (reader, authorizer) = cluster();
    let subject = json!({"kind": "User", "name": "jane"});
    reader.put("rolebindings", &binding("dev", "b", ("ClusterRole", "view"), subject));
    let jane = user("jane", &[]);
    let ask = |verb: &str| json!({"spec": {"resourceAttributes": {"namespace": "dev", "verb": verb, "resource": "pods"}}});
    let yes = authorizer.self_subject_access_review(&jane, ask("list")).expect("valid");
    assert_eq!(yes["status"]["allowed"], true);
    let no = authorizer.self_subject_access_review(&jane, ask("delete")).expect("valid");
    assert_eq!(no["status"], json!({"allowed": false}));
    let mut about_jane = ask("list");
    about_jane["spec"]["user"] = "jane".into();
    assert_eq!(
        authorizer.subject_access_review(about_jane.clone()).expect("valid")["status"]["allowed"],
        true
    );
    let wrong_place =
        authorizer.local_subject_access_review("other", about_jane).expect_err("namespace differs");
    assert_eq!(
        wrong_place.to_string(),
        "LocalSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: \
         Invalid value: \"dev\": must match metadata.namespace"
    );
    let rules =
        authorizer.self_subject_rules_review(&jane, json!({"spec": {"namespace": "dev"}})).expect("valid");
    assert_eq!(rules["status"]["incomplete"], false);
    let held = rules["status"]["resourceRules"].as_array().expect("rules");
    assert!(
        held.iter()
            .any(|rule| rule["resources"].as_array().is_some_and(|list| list.contains(&"pods".into())))
    );
}

#[test]
fn bootstrap_policy_is_complete_and_reconciles() {
    let objects = bootstrap::objects();
    let find =
        |name: &str| objects.iter().find(|item| item.name == name).map(|item| &item.object).expect("present");
    let admin = find("admin");
    assert_eq!(
        admin["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"]["rbac.authorization.k8s.io/aggregate-to-admin"],
        "true"
    );
    let admin_rules = admin["rules"].as_array().expect("rules").len();
    assert!(admin_rules > find("edit")["rules"].as_array().expect("rules").len());
    for item in objects.iter().filter(|item| item.object.get("roleRef").is_some()) {
        let role = item.object["roleRef"]["name"].as_str().expect("name");
        let found = objects.iter().any(|other| {
            other.name == role
                && other.object["kind"] == item.object["roleRef"]["kind"]
                && (other.namespace == item.namespace)
        });
        assert!(found, "{} refers to {role}", item.name);
    }
    let wanted = find("system:kube-scheduler");
    let mut existing = wanted.clone();
    assert_eq!(bootstrap::reconciled(&existing, wanted), None);
    existing["rules"].as_array_mut().expect("rules").truncate(2);
    let repaired = bootstrap::reconciled(&existing, wanted).expect("rules are missing");
    assert_eq!(bootstrap::reconciled(&repaired, wanted), None);
    existing["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false".into();
    assert_eq!(bootstrap::reconciled(&existing, wanted), None);
}
