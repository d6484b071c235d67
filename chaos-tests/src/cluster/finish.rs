//! The end of a cluster's run: everything is healed, and the cluster must serve, settle, and rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::kube_cluster::KubeCluster;
use crate::history::Record;
use crate::history::object::{Facts, Fixpoint, Seen};
use crate::lab::{Gateway, eventually};
use crate::properties::{endpoints_ready, quiet_at_fixpoint};
use crate::scenario::finish::{deaths, note};
use crate::workloads::api::{ApiContext, Kind, list_all};

/// After healing, everything must serve within this time.
const RECOVERY_MAX: Duration = Duration::from_secs(90);
/// How long nothing may be written.
const REST: Duration = Duration::from_secs(4);

const KINDS: [Kind; 4] = [Kind::ConfigMap, Kind::Pod, Kind::Service, Kind::EndpointSlice];

/// What fails becomes an incident; what has not settled after `settle_max` is recorded as it is.
pub fn finish(cluster: &mut KubeCluster, gateway: &Gateway, context: &ApiContext, settle_max: Duration) {
    let recorder = &context.recorder;
    deaths(recorder, cluster);
    if let Err(error) = cluster.wait_ready(RECOVERY_MAX) {
        return note(recorder, "", format!("after healing: {error:#}"));
    }
    match settle(cluster, gateway, context, settle_max) {
        Ok(fixpoint) => recorder.record_blocking(Record::Fixpoint(fixpoint)),
        Err(error) => note(recorder, "", format!("the cluster cannot be looked at: {error:#}")),
    }
}

/// Looks until all is as it should be, or the time is over.
fn settle(
    cluster: &KubeCluster,
    gateway: &Gateway,
    context: &ApiContext,
    settle_max: Duration,
) -> Result<Fixpoint> {
    let deadline = Instant::now() + settle_max;
    loop {
        let before = keys(cluster)?;
        let started = Instant::now();
        std::thread::sleep(REST);
        let writes = changes(&before, &keys(cluster)?);
        let watched_us = u64::try_from(started.elapsed().as_micros()).context("a rest is short")?;
        let context = context.clone();
        let objects = gateway.run(async move { objects(&context).await })?;
        let fixpoint = Fixpoint { objects, watched_us, writes };
        if is_settled(&fixpoint) || Instant::now() >= deadline {
            return Ok(fixpoint);
        }
    }
}

async fn objects(context: &ApiContext) -> Result<Vec<Seen>> {
    let client = context.connect().await?;
    let mut objects = Vec::new();
    for kind in KINDS {
        objects.extend(list_all(&client, kind).await?);
    }
    Ok(objects)
}

fn is_settled(fixpoint: &Fixpoint) -> bool {
    let endpoints_are_right = fixpoint.objects.iter().all(|seen| match &seen.facts {
        Facts::Service { app, .. } if !app.is_empty() => {
            endpoints_ready::problem(seen, app, &fixpoint.objects).is_none()
        }
        Facts::Pod { ready, deleting, over, .. } => (*ready && !deleting) || *over,
        Facts::Service { .. } | Facts::Slice { .. } | Facts::Value(_) => true,
    });
    endpoints_are_right && quiet_at_fixpoint::busy(fixpoint).is_empty()
}

/// Keys of the store, each with the revision that it was written at.
pub(super) fn keys(cluster: &KubeCluster) -> Result<BTreeMap<String, u64>> {
    eventually("the store lists its keys", Duration::from_secs(10), || {
        let output =
            cluster.balsactl_ok(&["get", "/registry/", "--prefix", "--keys-only", "-w", "json"], "")?;
        let answer: Value = serde_json::from_str(&output).context("read balsactl's answer")?;
        answer["kvs"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(key).collect()
    })
}

fn key(kv: &Value) -> Result<(String, u64)> {
    let key = STANDARD.decode(kv["key"].as_str().context("a key")?).context("a key is base64")?;
    Ok((String::from_utf8_lossy(&key).into_owned(), kv["mod_revision"].as_u64().context("a revision")?))
}

fn changes(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<String> {
    let written = after.iter().filter(|(key, revision)| before.get(*key) != Some(revision));
    let deleted = before.keys().filter(|key| !after.contains_key(*key));
    written
        .map(|(key, revision)| format!("{key} at {revision}"))
        .chain(deleted.map(|key| format!("{key} deleted")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_deletions_are_changes() {
        let keys = |pairs: &[(&str, u64)]| pairs.iter().map(|(key, at)| ((*key).to_owned(), *at)).collect();
        let found = changes(&keys(&[("a", 1), ("b", 2), ("c", 3)]), &keys(&[("a", 1), ("b", 5)]));
        assert_eq!(found, ["b at 5", "c deleted"]);
    }
}
