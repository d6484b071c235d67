//! Defaults of a pod and of a pod template. Source: core/v1 defaulting of API level 1.36.

use serde_json::{Map, Value, json};

use super::super::amounts::to_thousandths;
use super::super::default_rules::{Constant::*, Rule, fill};
use super::super::walk::{each_mut, flag, set, set_absent, text};

const CONTAINER_LISTS: &[&str] = &["initContainers[]", "containers[]", "ephemeralContainers[]"];
const PROBES: &[&str] = &["livenessProbe", "readinessProbe", "startupProbe"];

const SPEC: &[Rule] = &[
    Rule("", "dnsPolicy", Text("ClusterFirst")),
    Rule("", "restartPolicy", Text("Always")),
    Rule("", "terminationGracePeriodSeconds", Number(30)),
    Rule("", "schedulerName", Text("default-scheduler")),
    Rule("", "securityContext", Object),
    Rule("volumes[].secret", "defaultMode", Number(420)),
    Rule("volumes[].configMap", "defaultMode", Number(420)),
    Rule("volumes[].downwardAPI", "defaultMode", Number(420)),
    Rule("volumes[].downwardAPI.items[].fieldRef", "apiVersion", Text("v1")),
    Rule("volumes[].downwardAPI.items[].resourceFieldRef", "divisor", Text("0")),
    Rule("volumes[].projected", "defaultMode", Number(420)),
    Rule("volumes[].projected.sources[].serviceAccountToken", "expirationSeconds", Number(3600)),
    Rule("volumes[].projected.sources[].downwardAPI.items[].fieldRef", "apiVersion", Text("v1")),
    Rule("volumes[].projected.sources[].downwardAPI.items[].resourceFieldRef", "divisor", Text("0")),
    Rule("volumes[].hostPath", "type", Text("")),
    Rule("volumes[].iscsi", "iscsiInterface", Text("default")),
    Rule("volumes[].ephemeral.volumeClaimTemplate.spec", "volumeMode", Text("Filesystem")),
];

const CONTAINER: &[Rule] = &[
    Rule("", "terminationMessagePath", Text("/dev/termination-log")),
    Rule("", "terminationMessagePolicy", Text("File")),
    Rule("", "resources", Object),
    Rule("ports[]", "protocol", Text("TCP")),
    Rule("env[].valueFrom.fieldRef", "apiVersion", Text("v1")),
    Rule("env[].valueFrom.resourceFieldRef", "divisor", Text("0")),
    Rule("lifecycle.postStart.httpGet", "path", Text("/")),
    Rule("lifecycle.postStart.httpGet", "scheme", Text("HTTP")),
    Rule("lifecycle.preStop.httpGet", "path", Text("/")),
    Rule("lifecycle.preStop.httpGet", "scheme", Text("HTTP")),
];

const PROBE: &[Rule] = &[
    Rule("", "timeoutSeconds", Number(1)),
    Rule("", "periodSeconds", Number(10)),
    Rule("", "successThreshold", Number(1)),
    Rule("", "failureThreshold", Number(3)),
    Rule("httpGet", "path", Text("/")),
    Rule("httpGet", "scheme", Text("HTTP")),
    Rule("grpc", "service", Text("")),
];

/// A pod: what templates get, and what only a pod itself gets.
pub(super) fn pod(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    self::spec(spec);
    set_absent(spec, "enableServiceLinks", true);
    for list in &CONTAINER_LISTS[..2] {
        each_mut(spec, list, &mut requests_from_limits);
    }
}

/// The `template` of a controller, at a place such as `/spec/template`.
pub(in super::super) fn template(template: &mut Value) {
    if let Some(spec) = template.get_mut("spec").filter(|spec| spec.is_object()) {
        self::spec(spec);
    }
}

fn spec(spec: &mut Value) {
    each_mut(spec, "volumes[]", &mut empty_dir_without_source);
    fill(spec, SPEC);
    service_account(spec);
    let host_network = flag(spec, "/hostNetwork");
    for list in CONTAINER_LISTS {
        each_mut(spec, list, &mut |container| {
            self::container(container);
            if host_network {
                each_mut(container, "ports[]", &mut host_port_is_container_port);
            }
        });
    }
}

fn container(container: &mut Value) {
    fill(container, CONTAINER);
    to_thousandths(container, &["resources.limits", "resources.requests"]);
    if let Some(policy) = pull_policy(text(container, "/image")) {
        set_absent(container, "imagePullPolicy", policy);
    }
    for probe in PROBES {
        each_mut(container, probe, &mut |probe| fill(probe, PROBE));
    }
}

/// `:latest`, said or meant, is pulled every time. No image (a mirror of another field) has no policy.
fn pull_policy(image: &str) -> Option<&'static str> {
    if image.is_empty() {
        return None;
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    // A colon before the last slash belongs to a registry's port.
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    Some(match (tag, digest) {
        (Some("latest"), _) | (None, None) => "Always",
        (Some(_), _) | (None, Some(_)) => "IfNotPresent",
    })
}

/// The old name of the field is still read, and served beside the new one.
fn service_account(spec: &mut Value) {
    let name = match text(spec, "/serviceAccountName") {
        "" => text(spec, "/serviceAccount"),
        name => name,
    };
    if !name.is_empty() {
        let name = name.to_owned();
        set(spec, "serviceAccountName", name.as_str());
        set(spec, "serviceAccount", name);
    }
}

fn empty_dir_without_source(volume: &mut Value) {
    if volume.as_object().is_some_and(|map| map.keys().all(|key| key == "name")) {
        set(volume, "emptyDir", json!({}));
    }
}

fn host_port_is_container_port(port: &mut Value) {
    if let Some(number) = port.get("containerPort").cloned() {
        set_absent(port, "hostPort", number);
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container.pointer("/resources/limits").and_then(Value::as_object).cloned() else {
        return;
    };
    if limits.is_empty() {
        return;
    }
    let resources = &mut container["resources"];
    set_absent(resources, "requests", Value::Object(Map::new()));
    for (name, quantity) in limits {
        set_absent(&mut resources["requests"], &name, quantity);
    }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("busybox", "Always"),
            ("busybox:latest", "Always"),
            ("busybox:1.36", "IfNotPresent"),
            ("registry:5000/busybox", "Always"),
            ("registry:5000/busybox:1", "IfNotPresent"),
            ("busybox@sha256:abc", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), Some(policy), "{image}");
        }
    }
}
