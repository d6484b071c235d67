//! The agent over a real containerd: our supervised one, in a folder of its own, with a fake API server.
//!
//! Needs root and an installed containerd; `./dev test` sees to both. What it shows: carried images are enough, a pod
//! runs with its environment and volumes, its log is written, and a restarted agent leaves its containers alone, also
//! after containerd itself was started anew.

#![allow(clippy::unwrap_used)]

mod fake_link;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balsa_nodeagent::cgroup::Hierarchy;
use balsa_nodeagent::event;
use balsa_nodeagent::image_archive::{self, ImageArchiveArgs};
use balsa_nodeagent::observe::relist::Relist;
use balsa_nodeagent::pod::dispatch::{Dispatch, Sources};
use balsa_nodeagent::pod::dns::ClusterDns;
use balsa_nodeagent::pod::downward::NodeFacts;
use balsa_nodeagent::pod::image::Images;
use balsa_nodeagent::pod::paths::Paths;
use balsa_nodeagent::pod::resources::NodeResources;
use balsa_nodeagent::pod::status::NodeSide;
use balsa_nodeagent::pod::status_writer;
use balsa_nodeagent::pod::worker::Shared;
use balsa_nodeagent::runtime::containerd::{Config, Containerd};
use balsa_nodeagent::runtime::{Runtime, cri::Cri};
use balsa_nodeagent::volume::Volumes;
use fake_link::FakeLink;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const IMAGE: &str = "balsa.local/busybox:1";

/// One life of the agent.
struct Agent {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Agent {
    fn start(folder: &Path, runtime: Arc<dyn Runtime>, link: FakeLink) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let paths = Paths { root_dir: folder.join("kubelet"), pod_logs_dir: folder.join("logs") };
        let changes = link.changes();
        let link = Arc::new(link);
        let (events, poster) = event::recorder(link.clone(), "node");
        let (statuses, writer) = status_writer::status_writer(link.clone());
        tasks.spawn(poster.run(stop.clone()));
        tasks.spawn(writer.run(stop.clone()));
        let node = NodeFacts { node_name: "node".to_owned(), ..NodeFacts::default() };
        // The pod is on the host's network, so no CNI is needed.
        let (_, network_problem) = watch::channel(Some("no pod network in this test".to_owned()));
        let shared = Arc::new(Shared {
            images: Images::new(runtime.clone(), link.clone(), events.clone()),
            volumes: Volumes::new(paths.clone(), link.clone(), node.clone()),
            runtime: runtime.clone(),
            link,
            events,
            statuses,
            paths,
            dns: ClusterDns::default(),
            node,
            node_side: NodeSide {
                host_ips: vec!["127.0.0.1".to_owned()],
                runtime_name: "containerd".to_owned(),
            },
            resources: NodeResources {
                memory_bytes: 1 << 30,
                enforces_cpu_quota: true,
                kills_whole_container: false,
            },
            cgroups: Hierarchy::detect(),
            network_problem,
            sandbox_slots: Semaphore::new(4),
            start_slots: Semaphore::new(4),
        });
        let (looks_in, looks) = mpsc::channel(8);
        let (relist, _) = Relist::new(runtime, looks_in);
        let (_, static_sets) = mpsc::channel(1);
        let sources = Sources { changes, static_sets, looks, is_standalone: false, has_static_pods: false };
        let (dispatch, _) = Dispatch::new(shared, sources);
        tasks.spawn(dispatch.run(stop.clone()));
        tasks.spawn(relist.run(stop.clone()));
        tasks.close();
        Self { stop, tasks }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn pod(name: &str, command: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}"), "generation": 1 },
        "spec": {
            "hostNetwork": true, "restartPolicy": "Always", "terminationGracePeriodSeconds": 1,
            "volumes": [{ "name": "settings", "configMap": { "name": "settings" } },
                        { "name": "scratch", "emptyDir": { "medium": "Memory" } }],
            "containers": [{
                "name": "main", "image": IMAGE, "imagePullPolicy": "Never",
                "command": ["sh", "-c", command],
                "env": [{ "name": "COLOR", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "color" } } }],
                "volumeMounts": [{ "name": "settings", "mountPath": "/settings" },
                                 { "name": "scratch", "mountPath": "/scratch", "subPath": "part" }],
                "resources": { "requests": { "cpu": "10m" }, "limits": { "memory": "64Mi" } },
            }],
        },
    }))
    .unwrap()
}

/// Waits for what must become true; the relist's second is the longest that a change can hide.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited 30 s for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn phase(link: &FakeLink, name: &str) -> Option<String> {
    link.status(name)?["phase"].as_str().map(str::to_owned)
}

async fn ids(runtime: &dyn Runtime, uid: &str) -> Vec<String> {
    let mut ids: Vec<String> =
        runtime.list_containers(Some(uid)).await.unwrap().into_iter().map(|c| c.id).collect();
    ids.sort();
    ids
}

async fn a_debugging_container_sees_its_target(link: &FakeLink, mut pod: Pod) {
    let debugging = json!([{
        "name": "looker", "image": IMAGE, "imagePullPolicy": "Never", "targetContainerName": "main",
        "command": ["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline > /dev/termination-log"],
    }]);
    pod.spec.as_mut().unwrap().ephemeral_containers = serde_json::from_value(debugging).unwrap();
    link.put_pod(pod);
    let seen = eventually("the debugging container's last words", async || {
        let ended = link.status("one")?["ephemeralContainerStatuses"][0]["state"]["terminated"].clone();
        ended["message"].as_str().map(str::to_owned)
    })
    .await;
    // The shell becomes its last command.
    assert_eq!(seen, "sleep 1000 ", "process 1 of the target");
    let status = link.status("one").unwrap();
    assert_eq!(
        (&status["phase"], &status["containerStatuses"][0]["restartCount"]),
        (&json!("Running"), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_run_and_survive_the_agent_and_containerd() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: it starts containerd");
    let folder = tempfile::Builder::new().prefix("balsa-na").tempdir().unwrap();
    let config = Config::under(folder.path());
    let archive = ImageArchiveArgs {
        program: "/bin/busybox".into(),
        names: vec![IMAGE.to_owned(), "balsa.local/busybox:latest".to_owned()],
        output: config.images_dir.join("busybox.tar"),
    };
    image_archive::run(archive).unwrap();
    let containerd = Containerd::start(config.clone()).await.unwrap();
    let runtime: Arc<dyn Runtime> = Arc::new(Cri::new(&containerd.socket()));

    // A pod with a ConfigMap, from nothing to a written log.
    let link = FakeLink::new();
    link.put_config_map("settings", &[("color", "green")]);
    let one = pod("one", "echo color=$COLOR file=$(cat /settings/color); touch /scratch/x; sleep 1000");
    link.put_pod(one.clone());
    let agent = Agent::start(folder.path(), runtime.clone(), link.clone());
    eventually("phase Running", async || phase(&link, "one").filter(|phase| phase == "Running")).await;
    let log = folder.path().join("logs/default_one_uid-one/main/0.log");
    eventually("a log line", async || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("stdout F color=green file=green").then_some(())
    })
    .await;
    let reasons = link.event_reasons();
    assert!(
        ["Pulled", "Created", "Started"].iter().all(|r| reasons.iter().any(|have| have == r)),
        "{reasons:?}"
    );

    // Thirty pods on two cores.
    let started = Instant::now();
    for number in 0..30 {
        link.put_pod(pod(&format!("many-{number}"), "sleep 1000"));
    }
    eventually("30 pods Running", async || {
        let running = (0..30).filter(|n| phase(&link, &format!("many-{n}")).as_deref() == Some("Running"));
        (running.count() == 30).then_some(())
    })
    .await;
    println!("30 pods Running after {:?}", started.elapsed());
    for number in 0..30 {
        link.delete_pod_object(&format!("many-{number}"), 1);
    }
    eventually("30 pods gone", async || (link.pod_count() == 1).then_some(())).await;
    println!("and gone after {:?}", started.elapsed());

    // A live change of the ConfigMap reaches the file.
    link.put_config_map("settings", &[("color", "blue")]);
    let file = folder.path().join("kubelet/pods/uid-one/volumes/kubernetes.io~configmap/settings/color");
    eventually("the changed file", async || (std::fs::read_to_string(&file).ok()? == "blue").then_some(()))
        .await;

    a_debugging_container_sees_its_target(&link, one).await;

    // The agent and containerd stop and start: the same container.
    let before = ids(runtime.as_ref(), "uid-one").await;
    agent.stop().await;
    containerd.stop().await;
    let containerd = Containerd::start(config.clone()).await.unwrap();
    let runtime: Arc<dyn Runtime> = Arc::new(Cri::new(&containerd.socket()));
    let agent = Agent::start(folder.path(), runtime.clone(), link.restarted());
    eventually("the agent looked again", async || (link.restarts_synced() > 0).then_some(())).await;
    eventually("a look at the runtime", async || (link.status("one")?["phase"] == "Running").then_some(()))
        .await;
    assert_eq!(ids(runtime.as_ref(), "uid-one").await, before, "adopted, not started again");

    // A container that dies is started again; a deleted pod goes with everything.
    let containers = runtime.list_containers(Some("uid-one")).await.unwrap();
    let main = containers.iter().find(|c| c.metadata.as_ref().is_some_and(|m| m.name == "main")).unwrap();
    runtime.exec_sync(&main.id, &["kill".to_owned(), "1".to_owned()], Duration::from_secs(5)).await.ok();
    runtime.stop_container(&main.id, Duration::ZERO).await.unwrap();
    eventually("a restarted container", async || {
        let status = link.status("one")?;
        (status["containerStatuses"][0]["restartCount"] == 1 && status["phase"] == "Running").then_some(())
    })
    .await;
    link.delete_pod_object("one", 1);
    eventually("the pod is gone", async || (link.pod_count() == 0).then_some(())).await;
    assert!(ids(runtime.as_ref(), "uid-one").await.is_empty());
    assert!(!folder.path().join("kubelet/pods/uid-one").exists());

    agent.stop().await;
    containerd.stop().await;
}
