//! Priority: the name of a class becomes a number in the pod.

use serde_json::Value;

use super::{AdmissionContext, Operation};
use crate::error::ApiError;
use crate::kinds::walk::{child, flag, int, set, set_absent, text};

/// Known even before their objects are there: the control plane's own pods use them.
const SYSTEM_CLASSES: &[(&str, i64)] =
    &[("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

struct Class {
    name: String,
    value: i64,
    preemption: String,
}

pub(super) fn admit(ctx: &AdmissionContext<'_>, object: &mut Value) -> Result<(), ApiError> {
    if ctx.creates_pod() {
        return pod(ctx, object);
    }
    if ctx.is("scheduling.k8s.io", "priorityclasses") && ctx.operation != Operation::Delete {
        return one_default(ctx, object);
    }
    Ok(())
}

fn pod(ctx: &AdmissionContext<'_>, pod: &mut Value) -> Result<(), ApiError> {
    let name = text(pod, "/spec/priorityClassName").to_owned();
    let class = if name.is_empty() { default_class(ctx) } else { named(ctx, &name)? };
    if let Some(given) = int(pod, "/spec/priority").filter(|given| *given != class.value) {
        let computed = class.value;
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {computed} from the given PriorityClass name"
        );
        return Err(ctx.forbidden(&why));
    }
    let spec = child(pod, "spec");
    if !class.name.is_empty() {
        set(spec, "priorityClassName", class.name);
    }
    set(spec, "priority", class.value);
    set_absent(spec, "preemptionPolicy", class.preemption);
    Ok(())
}

fn named(ctx: &AdmissionContext<'_>, name: &str) -> Result<Class, ApiError> {
    if let Some(object) = ctx.get("scheduling.k8s.io", "priorityclasses", "", name) {
        return Ok(class_of(&object.value()));
    }
    let system = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name);
    let Some((_, value)) = system else {
        return Err(ctx.forbidden(&format!("no PriorityClass with name {name} was found")));
    };
    Ok(Class { name: name.to_owned(), value: *value, preemption: "PreemptLowerPriority".to_owned() })
}

/// The lowest of the classes marked as default; without one, zero.
fn default_class(ctx: &AdmissionContext<'_>) -> Class {
    let classes = ctx.list("scheduling.k8s.io", "priorityclasses", "");
    let defaults = classes.iter().map(|class| class.value()).filter(|class| flag(class, "/globalDefault"));
    defaults.map(|class| class_of(&class)).min_by_key(|class| class.value).unwrap_or_else(|| Class {
        name: String::new(),
        value: 0,
        preemption: "PreemptLowerPriority".to_owned(),
    })
}

fn class_of(class: &Value) -> Class {
    let preemption = match text(class, "/preemptionPolicy") {
        "" => "PreemptLowerPriority",
        policy => policy,
    };
    Class {
        name: text(class, "/metadata/name").to_owned(),
        value: int(class, "/value").unwrap_or(0),
        preemption: preemption.to_owned(),
    }
}

fn one_default(ctx: &AdmissionContext<'_>, class: &Value) -> Result<(), ApiError> {
    if !flag(class, "/globalDefault") {
        return Ok(());
    }
    let own = text(class, "/metadata/name");
    let classes = ctx.list("scheduling.k8s.io", "priorityclasses", "");
    let other = classes.iter().find(|other| other.name != own && flag(&other.value(), "/globalDefault"));
    match other {
        Some(other) => {
            Err(ctx.forbidden(&format!("PriorityClass {} is already marked as default", other.name)))
        }
        None => Ok(()),
    }
}
