//! Usage: the small `/stats/summary` of stock shape, from the runtime and the kernel.

use std::collections::BTreeMap;

use balsa_proto::cri as api;
use jiff::Timestamp;
use procfs::Current;
use serde_json::{Value, json};

use crate::runtime::{Result, Runtime, label};

/// `stats.k8s.io/v1alpha1` Summary: node and pods, cpu and memory.
pub async fn summary(runtime: &dyn Runtime, node_name: &str) -> Result<Value> {
    let mut pods: BTreeMap<(String, String, String), Vec<Value>> = BTreeMap::new();
    for stats in runtime.container_stats().await? {
        let labels = stats.attributes.as_ref().map(|a| &a.labels);
        let label = |name: &str| labels.and_then(|l| l.get(name)).cloned().unwrap_or_default();
        let key = (label(label::POD_NAMESPACE), label(label::POD_NAME), label(label::POD_UID));
        let container = container(&label(label::CONTAINER_NAME), &stats);
        pods.entry(key).or_default().push(container);
    }
    let pods: Vec<Value> = pods
        .into_iter()
        .map(|((namespace, name, uid), containers)| {
            json!({ "podRef": { "name": name, "namespace": namespace, "uid": uid }, "containers": containers })
        })
        .collect();
    Ok(json!({ "node": node(node_name), "pods": pods }))
}

fn container(name: &str, stats: &api::ContainerStats) -> Value {
    let value = |value: &Option<api::UInt64Value>| value.as_ref().map(|v| v.value);
    let cpu = stats.cpu.as_ref();
    let memory = stats.memory.as_ref();
    json!({
        "name": name,
        "cpu": {
            "time": time(cpu.map(|c| c.timestamp)),
            "usageNanoCores": cpu.and_then(|c| value(&c.usage_nano_cores)),
            "usageCoreNanoSeconds": cpu.and_then(|c| value(&c.usage_core_nano_seconds)),
        },
        "memory": {
            "time": time(memory.map(|m| m.timestamp)),
            "workingSetBytes": memory.and_then(|m| value(&m.working_set_bytes)),
            "usageBytes": memory.and_then(|m| value(&m.usage_bytes)),
            "rssBytes": memory.and_then(|m| value(&m.rss_bytes)),
        },
    })
}

fn time(nanos: Option<i64>) -> String {
    let given = nanos.and_then(|nanos| Timestamp::from_nanosecond(i128::from(nanos)).ok());
    given.unwrap_or_else(Timestamp::now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn node(name: &str) -> Value {
    let memory = procfs::Meminfo::current().ok();
    let total = memory.as_ref().map(|m| m.mem_total);
    let available = memory.as_ref().and_then(|m| m.mem_available);
    let used = total.zip(available).map(|(total, available)| total.saturating_sub(available));
    json!({
        "nodeName": name,
        "memory": {
            "time": time(None),
            "availableBytes": available,
            "usageBytes": used,
            "workingSetBytes": used,
        },
    })
}
