//! End to end, against the real binaries: kubectl, etcdctl, containerd, a stock etcd, kube-rs.
//!
//! One cluster (`balsa up` on a host of its own) serves most trials, which run in order: each leaves the cluster as it
//! found it. Needs root and the packages that `./dev test` installs. Run one by name: `cargo test --test e2e -- NAME`.

mod clients;
mod crash;
mod hello;
mod kube_rs;
mod lifecycle;
mod pods;
mod probes;
mod security;
mod services;
mod static_pods;
mod stock_etcd;
mod store;
mod streams;
mod unfit;
mod verbs;
mod workloads;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use balsa_chaos_tests::lab::Cluster;
use libtest_mimic::{Arguments, Failed, Trial};

/// Started by the first trial that wants it, shared by the rest, stopped at the end.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Option<Cluster>>>);

impl Shared {
    fn trial(&self, name: &str, run: impl FnOnce(&mut Cluster) -> Result<()> + Send + 'static) -> Trial {
        let shared = self.clone();
        Trial::test(name, move || {
            // A trial that panicked before leaves a cluster that later trials may still judge.
            let mut slot = shared.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let cluster = match slot.as_mut() {
                Some(cluster) => cluster,
                None => slot.insert(Cluster::start(&[]).map_err(failed)?),
            };
            run(cluster).map_err(|error| {
                Failed::from(format!(
                    "{error:#}\n--- balsa's last lines:\n{}",
                    cluster.process().log_tail(40)
                ))
            })
        })
    }
}

fn trial(name: &str, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || run().map_err(failed))
}

fn failed(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Trials share one cluster and one machine of two cores.
    arguments.test_threads = Some(1);
    let shared = Shared::default();
    let trials = vec![
        shared.trial("hello_runs_and_answers", hello::runs_and_answers),
        shared.trial("kubectl_verbs", verbs::kubectl_verbs),
        shared.trial("killed_container_restarts_with_back_off", lifecycle::killed_container_restarts),
        shared.trial("deleted_pod_is_replaced", lifecycle::deleted_pod_is_replaced),
        shared.trial("deleted_deployment_takes_what_it_owned", lifecycle::deleted_deployment_takes_all),
        shared.trial("deleted_namespace_empties_and_goes", lifecycle::deleted_namespace_goes),
        shared.trial("daemons_run_and_roll", workloads::daemons_run_and_roll),
        shared.trial("components_are_healthy", workloads::components_are_healthy),
        shared.trial("one_of_two_controllers_leads", workloads::one_of_two_controllers_leads),
        shared.trial("containers_get_what_their_pods_say", pods::containers_get_what_their_pods_say),
        shared.trial("probes_and_hooks_decide", probes::probes_and_hooks_decide),
        shared.trial("streams_reach_containers", streams::streams_reach_containers),
        shared.trial("services_of_every_kind", services::services_of_every_kind),
        shared.trial("manifests_become_pods", static_pods::manifests_become_pods),
        shared.trial("refused_clients_change_nothing", security::refused_clients),
        shared.trial("malformed_requests_get_stock_answers", security::malformed_requests),
        shared.trial("kube_rs_lists_watches_patches_applies", kube_rs::works),
        shared.trial("etcdctl_reads_the_registry", store::etcdctl_reads_the_registry),
        shared.trial("second_start_is_told", unfit::second_start_is_told),
        shared.trial("kill_nine_under_load_loses_nothing", crash::kill_nine_under_load),
        trial("unfit_hosts_are_told", unfit::unfit_hosts_are_told),
        trial("etcdctl_against_one_member", || store::etcdctl_against(1)),
        trial("etcdctl_against_three_members", || store::etcdctl_against(3)),
        trial("killing_one_of_three_loses_nothing", store::killing_one_of_three),
        trial("apiserver_on_a_stock_etcd", stock_etcd::apiserver_on_stock_etcd),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Stops the cluster before the process goes.
    drop(shared);
    conclusion.exit_code()
}
