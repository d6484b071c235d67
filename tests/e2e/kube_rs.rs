//! kube-rs, a stock client of its own making, against the apiserver: list, watch, patch, apply.

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config};

pub fn works(cluster: &mut Cluster) -> Result<()> {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).context("read the kubeconfig")?;
    // The certificate provider is the process's choice; a second choice is refused, and that is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cluster.host().run_inside(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        runtime.block_on(exercise(kubeconfig))
    })?
}

async fn exercise(kubeconfig: Kubeconfig) -> Result<()> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context("use the kubeconfig")?;
    let api: Api<ConfigMap> = Api::namespaced(Client::try_from(config).context("make a client")?, "default");

    let mut made = ConfigMap::default();
    made.metadata.name = Some("from-kube-rs".to_owned());
    made.metadata.labels = Some([("by".to_owned(), "kube-rs".to_owned())].into());
    let made = api.create(&PostParams::default(), &made).await.context("create")?;
    ensure!(
        made.metadata.uid.is_some() && made.metadata.resource_version.is_some(),
        "created with {:?}",
        made.metadata
    );

    let listed = api.list(&ListParams::default().labels("by=kube-rs")).await.context("list")?;
    ensure!(listed.items.len() == 1, "listed {}", listed.items.len());

    let mut events =
        watcher(api.clone(), watcher::Config::default().labels("by=kube-rs")).applied_objects().boxed();
    let first = events.try_next().await.context("watch")?.context("the present object comes first")?;
    ensure!(first.metadata.name.as_deref() == Some("from-kube-rs"), "watched {:?}", first.metadata.name);

    let patch = serde_json::json!({"data": {"a": "merged"}});
    api.patch("from-kube-rs", &PatchParams::default(), &Patch::Merge(patch)).await.context("merge patch")?;
    let seen = events.try_next().await.context("watch")?.context("the patch follows")?;
    ensure!(
        seen.data.as_ref().and_then(|data| data.get("a")).map(String::as_str) == Some("merged"),
        "watched {:?}",
        seen.data
    );

    let intent = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-kube-rs"}, "data": {"b": "applied"}});
    let applied = api
        .patch("from-kube-rs", &PatchParams::apply("e2e"), &Patch::Apply(&intent))
        .await
        .context("apply")?;
    ensure!(applied.data.as_ref().is_some_and(|data| data.len() == 2), "applied {:?}", applied.data);
    let conflicting = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-kube-rs"}, "data": {"b": "theirs"}});
    let refused = api.patch("from-kube-rs", &PatchParams::apply("other"), &Patch::Apply(&conflicting)).await;
    ensure!(
        matches!(&refused, Err(kube::Error::Api(status)) if status.code == 409),
        "a conflict is refused: {refused:?}"
    );

    let gone = api.delete("from-kube-rs", &DeleteParams::default()).await.context("delete")?;
    ensure!(gone.right().is_some_and(|status| status.is_success()), "deleted with a Status");
    let absent = api.get_opt("from-kube-rs").await.context("get")?;
    ensure!(absent.is_none(), "gone after the deletion");
    Ok(())
}
