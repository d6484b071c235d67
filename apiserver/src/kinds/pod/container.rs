//! Validation of containers: names, images, ports, environment, mounts, probes, resources.

use std::collections::BTreeSet;

use balsa_proto::meta::quantity::Quantity;
use serde_json::Value;

use super::super::check::{Errors, named, not_negative, one_of, port, port_or_name, required, value_named};
use super::super::names;
use super::super::walk::{entries, flag, int, items, join, text};
use super::qos;
use crate::error::FieldError;

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const MESSAGE_POLICIES: &[&str] = &["FallbackToLogsOnError", "File"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const SCHEMES: &[&str] = &["HTTP", "HTTPS"];
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const ENV_SOURCES: &[&str] =
    &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

/// All containers of a pod spec at `path`; `volumes` are the names that mounts may use.
pub(super) fn all(spec: &Value, path: &str, volumes: &BTreeSet<&str>, errors: &mut Errors) {
    if items(spec, "/containers").is_empty() {
        errors.push(FieldError::required(join(path, "containers"), ""));
    }
    let mut seen = BTreeSet::new();
    let host_network = flag(spec, "/hostNetwork");
    for list in ["containers", "initContainers"] {
        for (index, container) in items(spec, &format!("/{list}")).iter().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            one(container, &path, volumes, errors);
            ports(container, &path, host_network, errors);
            let name = text(container, "/name");
            if !name.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(join(&path, "name"), name));
            }
            if list == "initContainers" && text(container, "/restartPolicy") != "Always" {
                init_has_no_probes(container, &path, errors);
            }
        }
    }
}

pub(super) fn one(container: &Value, path: &str, volumes: &BTreeSet<&str>, errors: &mut Errors) {
    if required(container, path, "name", errors) {
        named(container, path, "name", names::dns_label, errors);
    }
    image(container, path, errors);
    one_of(container, path, "imagePullPolicy", PULL_POLICIES, errors);
    one_of(container, path, "terminationMessagePolicy", MESSAGE_POLICIES, errors);
    environment(container, path, errors);
    mounts(container, path, volumes, errors);
    resources(container, path, errors);
    probes(container, path, errors);
    hooks(container, path, errors);
}

fn image(container: &Value, path: &str, errors: &mut Errors) {
    let image = text(container, "/image");
    if image.is_empty() {
        errors.push(FieldError::required(join(path, "image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(join(path, "image"), image, detail));
    }
}

fn ports(container: &Value, path: &str, host_network: bool, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, entry) in items(container, "/ports").iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(entry, "/name");
        if !name.is_empty() {
            value_named(name, &join(&path, "name"), names::port_name, errors);
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(join(&path, "name"), name));
            }
        }
        match int(entry, "/containerPort") {
            None | Some(0) => errors.push(FieldError::required(join(&path, "containerPort"), "")),
            Some(_) => port(entry, &path, "containerPort", errors),
        }
        host_port(entry, &path, host_network, errors);
        one_of(entry, &path, "protocol", PROTOCOLS, errors);
    }
}

fn host_port(entry: &Value, path: &str, host_network: bool, errors: &mut Errors) {
    let Some(number) = int(entry, "/hostPort").filter(|port| *port != 0) else { return };
    port(entry, path, "hostPort", errors);
    if host_network && Some(number) != int(entry, "/containerPort") {
        let detail = "must match `containerPort` when `hostNetwork` is true";
        errors.push(FieldError::invalid(join(path, "hostPort"), number, detail));
    }
}

fn environment(container: &Value, path: &str, errors: &mut Errors) {
    for (index, variable) in items(container, "/env").iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        if required(variable, &path, "name", errors) {
            named(variable, &path, "name", names::environment_variable, errors);
        }
        if let Some(source) = variable.get("valueFrom") {
            value_from(variable, source, &join(&path, "valueFrom"), errors);
        }
    }
    for (index, source) in items(container, "/envFrom").iter().enumerate() {
        let path = format!("{path}.envFrom[{index}]");
        match (source.get("configMapRef"), source.get("secretRef")) {
            (None, None) => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(path, "", detail));
            }
            (Some(_), Some(_)) => {
                errors.push(FieldError::invalid(
                    path,
                    "",
                    "may not have more than one field specified at a time",
                ));
            }
            (Some(reference), None) => {
                required(reference, &join(&path, "configMapRef"), "name", errors);
            }
            (None, Some(reference)) => {
                required(reference, &join(&path, "secretRef"), "name", errors);
            }
        }
    }
}

fn value_from(variable: &Value, source: &Value, path: &str, errors: &mut Errors) {
    let used: Vec<&&str> = ENV_SOURCES.iter().filter(|key| source.get(**key).is_some()).collect();
    if used.is_empty() {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        return errors.push(FieldError::invalid(path, "", detail));
    }
    if !text(variable, "/value").is_empty() {
        errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if used.len() > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = source.get(key) {
            let path = join(path, key);
            required(reference, &path, "name", errors);
            if required(reference, &path, "key", errors) {
                named(reference, &path, "key", names::config_key, errors);
            }
        }
    }
    if let Some(reference) = source.get("fieldRef") {
        field_ref(reference, &join(path, "fieldRef"), errors);
    }
}

fn field_ref(reference: &Value, path: &str, errors: &mut Errors) {
    if !required(reference, path, "fieldPath", errors) {
        return;
    }
    let field = text(reference, "/fieldPath");
    let subscripted =
        ["metadata.labels['", "metadata.annotations['"].iter().any(|head| field.starts_with(head));
    if !subscripted && !ENV_FIELDS.contains(&field) {
        errors.push(FieldError::not_supported(join(path, "fieldPath"), field, ENV_FIELDS));
    }
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<&str>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, mount) in items(container, "/volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let (name, target) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(join(&path, "name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError::not_found(join(&path, "name"), name));
        }
        if target.is_empty() {
            errors.push(FieldError::required(join(&path, "mountPath"), ""));
        } else if !seen.insert(target) {
            errors.push(FieldError::invalid(join(&path, "mountPath"), target, "must be unique"));
        }
        relative(mount, &path, "subPath", errors);
    }
}

/// A path inside a volume must stay there.
pub(super) fn relative(place: &Value, path: &str, field: &str, errors: &mut Errors) {
    let value = place.get(field).and_then(Value::as_str).unwrap_or_default();
    if value.starts_with('/') {
        errors.push(FieldError::invalid(join(path, field), value, "must be a relative path"));
    }
    if value.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(join(path, field), value, "must not contain '..'"));
    }
}

fn resources(container: &Value, path: &str, errors: &mut Errors) {
    for side in ["limits", "requests"] {
        for (name, quantity) in entries(container, &format!("/resources/{side}")) {
            let at = format!("{path}.resources.{side}[{name}]");
            if let Some(parsed) = qos::parse_quantity(quantity)
                && parsed.is_negative()
            {
                errors.push(FieldError::invalid(&at, shown(quantity), super::super::check::NOT_NEGATIVE));
            }
            if !is_standard_resource(name) {
                value_named(name, &at, names::qualified, errors);
                if !name.contains('/') {
                    errors.push(FieldError::invalid(
                        &at,
                        name.as_str(),
                        "must be a standard resource type or fully qualified",
                    ));
                }
            }
        }
    }
    for (name, request) in entries(container, "/resources/requests") {
        let limit = entries(container, "/resources/limits").find(|(key, _)| *key == name);
        let Some((_, limit)) = limit else { continue };
        if more(qos::parse_quantity(request), qos::parse_quantity(limit)) {
            let detail = format!("must be less than or equal to {name} limit of {}", shown(limit));
            errors.push(FieldError::invalid(format!("{path}.resources.requests"), shown(request), detail));
        }
    }
}

fn more(request: Option<Quantity>, limit: Option<Quantity>) -> bool {
    match (request, limit) {
        (Some(request), Some(limit)) => request.milli_value() > limit.milli_value(),
        _ => false,
    }
}

/// A quantity given as a bare number is shown as the text that it stands for.
fn shown(quantity: &Value) -> String {
    quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned)
}

fn is_standard_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage" | "storage") || name.starts_with("hugepages-")
}

fn probes(container: &Value, path: &str, errors: &mut Errors) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get(name) else { continue };
        let path = join(path, name);
        handler(probe, &path, errors);
        for field in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            not_negative(probe, &path, field, errors);
        }
        if name != "readinessProbe"
            && let Some(threshold) = int(probe, "/successThreshold").filter(|n| *n != 1)
        {
            errors.push(FieldError::invalid(join(&path, "successThreshold"), threshold, "must be 1"));
        }
    }
}

fn init_has_no_probes(container: &Value, path: &str, errors: &mut Errors) {
    for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if container.get(name).is_some() {
            let detail = "may not be set for init containers without restartPolicy=Always";
            errors.push(FieldError::forbidden(join(path, name), detail));
        }
    }
}

fn hooks(container: &Value, path: &str, errors: &mut Errors) {
    for name in ["postStart", "preStop"] {
        if let Some(hook) = container.pointer(&format!("/lifecycle/{name}")) {
            handler(hook, &format!("{path}.lifecycle.{name}"), errors);
        }
    }
}

/// Exactly one of exec, httpGet, tcpSocket, grpc, sleep.
fn handler(place: &Value, path: &str, errors: &mut Errors) {
    let mut handlers = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(handler) = place.get(kind) else { continue };
        handlers += 1;
        let path = join(path, kind);
        if handlers > 1 {
            errors.push(FieldError::forbidden(path, "may not specify more than 1 handler type"));
            continue;
        }
        action(kind, handler, &path, errors);
    }
    if handlers == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn action(kind: &str, handler: &Value, path: &str, errors: &mut Errors) {
    match kind {
        "exec" => {
            required(handler, path, "command", errors);
        }
        "httpGet" => {
            required(handler, path, "path", errors);
            port_or_name(handler, path, "port", errors);
            one_of(handler, path, "scheme", SCHEMES, errors);
            for (index, header) in items(handler, "/httpHeaders").iter().enumerate() {
                named(header, &format!("{path}.httpHeaders[{index}]"), "name", names::http_header, errors);
            }
        }
        "tcpSocket" => port_or_name(handler, path, "port", errors),
        "grpc" => port(handler, path, "port", errors),
        _ => not_negative(handler, path, "seconds", errors),
    }
}
