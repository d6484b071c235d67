//! kubectl and balsactl as the administrator of a cluster: what lab and workloads ask of it from outside.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::entrances;
use super::kube_cluster::{Door, KubeCluster};
use crate::lab::binary;
use crate::lab::cluster::expect_success;

impl KubeCluster {
    /// kubectl through the balancer.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("kubectl");
        command
            .env("KUBECONFIG", self.kubeconfig())
            .arg("--cache-dir")
            .arg(self.setup().data.join("kube-cache"))
            .arg("--request-timeout=10s")
            .args(arguments);
        command
    }

    pub fn kubectl_ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl(arguments).output().context("run kubectl (package kubernetes-client)")?;
        expect_success(&format!("kubectl {}", arguments.join(" ")), &output)
    }

    /// `kubectl apply` of a manifest.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        let mut kubectl = self.kubectl(&["apply", "-f", "-"]);
        given(&mut kubectl, manifest, "kubectl apply").map(drop)
    }

    /// balsactl with all members as endpoints.
    pub fn balsactl(&self, arguments: &[&str]) -> Command {
        let program = binary("balsactl").unwrap_or_else(|_| "balsactl".into());
        let mut command = self.command(program);
        command.envs(entrances::balsactl_variables(self.setup())).args(arguments);
        command
    }

    /// Standard output of a balsactl that must succeed and may read `input`.
    pub fn balsactl_ok(&self, arguments: &[&str], input: &str) -> Result<String> {
        given(&mut self.balsactl(arguments), input, &format!("balsactl {}", arguments.join(" ")))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self.door() {
            Door::Clients(host) => host.command(program),
            Door::Uplink => Command::new(program),
        }
    }
}

/// Runs `command` with `input`; its standard output, or an error with all that it said.
fn given(command: &mut Command, input: &str, what: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("run {what}"))?;
    let mut stdin = child.stdin.take().expect("its input is piped");
    std::io::Write::write_all(&mut stdin, input.as_bytes())
        .with_context(|| format!("give {what} its input"))?;
    drop(stdin);
    expect_success(what, &child.wait_with_output().with_context(|| format!("wait for {what}"))?)
}
