//! Probes: one task per probe of a running container, which tells its worker when the verdict changes.
//!
//! The task lives as long as the container's attempt. Thresholds are counted here; a worker only sees verdicts.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{grpc, http};
use crate::event::{Level, Recorder};
use crate::limits;
use crate::pod::worker::Signal;
use crate::runtime::Runtime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kind {
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// What one probe task works on.
pub struct Prober {
    pub kind: Kind,
    pub probe: Probe,
    pub pod: Arc<Pod>,
    pub container: Container,
    pub container_id: String,
    pub pod_ip: String,
    /// How long the container has been running.
    pub age: Duration,
    pub runtime: Arc<dyn Runtime>,
    pub events: Recorder,
    pub verdicts: mpsc::Sender<Signal>,
}

enum Outcome {
    Passed,
    Failed(String),
    /// The probe itself could not be made; it counts for nothing.
    Broken(String),
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default))
}

impl Prober {
    /// Ends with the first success of a startup probe, with the failure that gets its container killed, or when the
    /// worker has gone.
    pub async fn run(self) {
        let initial = Duration::from_secs(
            self.probe.initial_delay_seconds.and_then(|v| u64::try_from(v).ok()).unwrap_or_default(),
        );
        let period = seconds(self.probe.period_seconds, 10);
        let mut tick = interval_at(Instant::now() + initial.saturating_sub(self.age), period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let threshold = |value: Option<i32>, default: u32| {
            value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
        };
        let needed = (threshold(self.probe.success_threshold, 1), threshold(self.probe.failure_threshold, 3));
        let (mut passed, mut failed) = (0, 0);
        let mut told = None;
        loop {
            tick.tick().await;
            match self.attempt().await {
                Outcome::Passed => (passed, failed) = (passed + 1, 0),
                Outcome::Failed(output) => {
                    (passed, failed) = (0, failed + 1);
                    self.unhealthy(&format!("{} probe failed: {output}", self.kind.title()));
                }
                Outcome::Broken(error) => {
                    self.unhealthy(&format!(
                        "{} probe errored and resulted in unknown state: {error}",
                        self.kind.title()
                    ));
                    continue;
                }
            }
            let verdict = match (passed >= needed.0, failed >= needed.1) {
                (true, _) => true,
                (_, true) => false,
                (false, false) => continue,
            };
            if told.replace(verdict) == Some(verdict) {
                continue;
            }
            let (container_id, kind) = (self.container_id.clone(), self.kind);
            let sent = self.verdicts.send(Signal::Probed { container_id, kind, verdict }).await;
            let is_last = match self.kind {
                Kind::Startup => true,
                Kind::Liveness => !verdict,
                Kind::Readiness => false,
            };
            if sent.is_err() || is_last {
                return;
            }
        }
    }

    fn unhealthy(&self, message: &str) {
        self.events.container(&self.pod, &self.container.name, Level::Warning, "Unhealthy", message);
    }

    async fn attempt(&self) -> Outcome {
        let timeout = seconds(self.probe.timeout_seconds, 1);
        if let Some(action) = &self.probe.exec {
            return self.exec(action.command.as_deref().unwrap_or_default(), timeout).await;
        }
        match tokio::time::timeout(timeout, self.over_network()).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(self.late()),
        }
    }

    fn late(&self) -> String {
        let target = self.probe.http_get.as_ref();
        match target.and_then(|action| http::Target::new(action, &self.container, &self.pod_ip)) {
            Some(target) => format!(
                "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                target.url()
            ),
            None => "context deadline exceeded".to_owned(),
        }
    }

    async fn exec(&self, command: &[String], timeout: Duration) -> Outcome {
        match self.runtime.exec_sync(&self.container_id, command, timeout).await {
            Ok(answer) if answer.exit_code == 0 => Outcome::Passed,
            Ok(answer) => {
                let mut output = answer.stdout.to_vec();
                output.extend_from_slice(&answer.stderr);
                output.truncate(limits::PROBE_OUTPUT_BYTES);
                Outcome::Failed(String::from_utf8_lossy(&output).into_owned())
            }
            Err(error) if error.code == tonic::Code::DeadlineExceeded => Outcome::Failed(format!(
                "command timed out: {:?} timed out after {}s",
                command.join(" "),
                timeout.as_secs()
            )),
            Err(error) => Outcome::Broken(error.to_string()),
        }
    }

    async fn over_network(&self) -> Outcome {
        if let Some(action) = &self.probe.http_get {
            let Some(target) = http::Target::new(action, &self.container, &self.pod_ip) else {
                return Outcome::Broken("the probe's port is not a port of the container".to_owned());
            };
            return match http::get(&target).await {
                Ok((200..400, _)) => Outcome::Passed,
                Ok((status, _)) => Outcome::Failed(format!("HTTP probe failed with statuscode: {status}")),
                Err(error) => Outcome::Failed(error),
            };
        }
        if let Some(action) = &self.probe.tcp_socket {
            let Some(port) = http::port_number(&action.port, &self.container) else {
                return Outcome::Broken("the probe's port is not a port of the container".to_owned());
            };
            let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&self.pod_ip);
            let address = http::authority(host, port);
            return match TcpStream::connect(&address).await {
                Ok(_) => Outcome::Passed,
                Err(error) => Outcome::Failed(http::dial(&address, &error)),
            };
        }
        if let Some(action) = &self.probe.grpc {
            let port = u16::try_from(action.port).unwrap_or_default();
            let service = action.service.as_deref().unwrap_or_default();
            return match grpc::check(&self.pod_ip, port, service).await {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::Failed(error),
            };
        }
        Outcome::Broken("missing probe handler".to_owned())
    }
}
