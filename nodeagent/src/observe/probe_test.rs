//! When a probe speaks, by its thresholds, with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::probe::{Kind, Prober};
use crate::api_link::Offline;
use crate::event;
use crate::pod::worker::Signal;
use crate::runtime::fake::Fake;

struct Watched {
    runtime: Fake,
    verdicts: mpsc::Receiver<Signal>,
    started: Instant,
    task: tokio::task::JoinHandle<()>,
}

fn watch(kind: Kind, probe: serde_json::Value, exit_code: i32) -> Watched {
    let runtime = Fake::default();
    runtime.exec_ends_with(exit_code);
    let mut full = json!({ "exec": { "command": ["check"] }, "periodSeconds": 2 });
    full.as_object_mut().unwrap().extend(probe.as_object().unwrap().clone());
    let probe: Probe = serde_json::from_value(full).unwrap();
    let (events, _) = event::recorder(Arc::new(Offline), "node");
    let (sender, verdicts) = mpsc::channel(8);
    let prober = Prober {
        kind,
        probe,
        pod: Arc::new(Pod::default()),
        container: Container::default(),
        container_id: "c1".to_owned(),
        pod_ip: String::new(),
        age: Duration::ZERO,
        runtime: Arc::new(runtime.clone()),
        events,
        verdicts: sender,
    };
    Watched { runtime, verdicts, started: Instant::now(), task: tokio::spawn(prober.run()) }
}

impl Watched {
    /// The next verdict and the second in which it came.
    async fn next(&mut self) -> Option<(bool, u64)> {
        let Signal::Probed { verdict, .. } = self.verdicts.recv().await? else {
            panic!("only verdicts are sent")
        };
        Some((verdict, self.started.elapsed().as_secs()))
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_and_goes_by_its_thresholds() {
    let thresholds = json!({ "initialDelaySeconds": 3, "successThreshold": 2, "failureThreshold": 3 });
    let mut watched = watch(Kind::Readiness, thresholds, 0);
    assert_eq!(watched.next().await, Some((true, 5)));
    watched.runtime.exec_ends_with(1);
    assert_eq!(watched.next().await, Some((false, 11)));
    watched.runtime.exec_ends_with(0);
    assert_eq!(watched.next().await, Some((true, 15)));
}

#[tokio::test(start_paused = true)]
async fn a_liveness_probe_that_failed_has_said_all() {
    let mut watched = watch(Kind::Liveness, json!({ "failureThreshold": 2 }), 0);
    assert_eq!(watched.next().await, Some((true, 0)));
    watched.runtime.exec_ends_with(1);
    assert_eq!(watched.next().await, Some((false, 4)));
    assert_eq!(watched.next().await, None);
    watched.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_startup_probe_ends_with_its_verdict() {
    let mut good = watch(Kind::Startup, json!({}), 0);
    assert_eq!((good.next().await, good.next().await), (Some((true, 0)), None));
    let mut bad = watch(Kind::Startup, json!({ "failureThreshold": 2 }), 1);
    assert_eq!((bad.next().await, bad.next().await), (Some((false, 2)), None));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_cannot_be_made_counts_for_nothing() {
    let mut watched = watch(Kind::Liveness, json!({ "failureThreshold": 1 }), 1);
    watched.runtime.fail("ExecSync", "the runtime is away");
    assert_eq!(watched.next().await, Some((false, 2)));
}
