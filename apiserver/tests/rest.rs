//! REST over TLS on a stock etcd: verbs, selectors, paging, watches, and the bodies of errors.

mod harness;
mod kinds;

use harness::Cluster;
use http::Method;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

fn config_map(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": labels }, "data": { "a": "1" },
    })
}

fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "busybox" }] },
            },
        },
    })
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().expect("a resourceVersion").to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_created_read_changed_and_deleted() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    let made = admin.post(MAPS, &config_map("one", json!({}))).await;
    assert_eq!(made.code, 201);
    let made = made.json();
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(made["metadata"]["uid"].is_string() && made["metadata"]["creationTimestamp"].is_string());
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "test");

    let path = format!("{MAPS}/one");
    let read = admin.get(&path).await.ok();
    assert_eq!(read, made);

    let mut changed = read.clone();
    changed["data"]["b"] = json!("2");
    let updated = admin.put(&path, &changed).await.ok();
    assert_ne!(version(&updated), version(&made));
    assert_eq!(
        admin.put(&path, &changed).await.failure(),
        "409 Conflict: Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please apply \
         your changes to the latest version and try again"
    );
    // Nothing new is nothing written.
    let again = admin.put(&path, &updated).await.ok();
    assert_eq!(version(&again), version(&updated));

    assert_eq!(
        admin.post(MAPS, &config_map("one", json!({}))).await.failure(),
        "409 AlreadyExists: configmaps \"one\" already exists"
    );
    let wrong_uid = json!({ "preconditions": { "uid": "other" } });
    assert_eq!(admin.delete(&path, &wrong_uid).await.code, 409);
    let gone = admin.delete(&path, &json!({})).await.ok();
    assert_eq!(gone["status"], "Success");
    assert_eq!(gone["details"]["uid"], made["metadata"]["uid"]);
    assert_eq!(admin.get(&path).await.failure(), "404 NotFound: configmaps \"one\" not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_generated_and_dry_runs_leave_nothing() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    let mut map = config_map("x", json!({}));
    map["metadata"] = json!({ "generateName": "web-" });
    let made = admin.post(MAPS, &map).await.ok();
    let name = made["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");

    let dry = admin.post(&format!("{MAPS}?dryRun=All"), &config_map("dry", json!({}))).await;
    assert_eq!(dry.code, 201);
    assert_eq!(admin.get(&format!("{MAPS}/dry")).await.code, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_patch_type_works() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let made = admin.post(deployments, &deployment("web", 2)).await.ok();
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
    let path = format!("{deployments}/web");

    let merged = admin.patch(&path, MERGE, &json!({ "spec": { "replicas": 3 } })).await.ok();
    assert_eq!(merged["spec"]["replicas"], 3);
    assert_eq!(merged["metadata"]["generation"], 2);

    let sidecar =
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "side", "image": "b" }] } } } });
    let strategic = admin.patch(&path, STRATEGIC, &sidecar).await.ok();
    let containers =
        strategic["spec"]["template"]["spec"]["containers"].as_array().expect("containers").len();
    assert_eq!(containers, 2);

    let steps = json!([{ "op": "replace", "path": "/spec/replicas", "value": 4 }]);
    let patched = admin.patch(&path, "application/json-patch+json", &steps).await.ok();
    assert_eq!(patched["spec"]["replicas"], 4);

    let scale = admin.get(&format!("{path}/scale")).await.ok();
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(4)));
    assert_eq!(scale["status"]["selector"], "app=web");
    let scaled =
        admin.patch(&format!("{path}/scale"), MERGE, &json!({ "spec": { "replicas": 1 } })).await.ok();
    assert_eq!(scaled["spec"]["replicas"], 1);

    let status =
        admin.patch(&format!("{path}/status"), MERGE, &json!({ "status": { "replicas": 7 } })).await.ok();
    assert_eq!(status["status"]["replicas"], 7);
    assert_eq!(status["spec"]["replicas"], 1);

    let applied = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "applied" }, "data": { "k": "v" },
    });
    let apply = "application/apply-patch+yaml";
    let target = format!("{MAPS}/applied");
    assert_eq!(admin.patch(&format!("{target}?fieldManager=a"), apply, &applied).await.code, 201);
    let mut other = applied.clone();
    other["data"]["k"] = json!("w");
    let conflict = admin.patch(&format!("{target}?fieldManager=b"), apply, &other).await;
    assert!(
        conflict.failure().starts_with("409 Conflict: Apply failed with 1 conflict"),
        "{}",
        conflict.failure()
    );
    let forced = admin.patch(&format!("{target}?fieldManager=b&force=true"), apply, &other).await.ok();
    assert_eq!(forced["data"]["k"], "w");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_selected() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    for index in 0..7 {
        let labels = json!({ "parity": if index % 2 == 0 { "even" } else { "odd" } });
        admin.post(MAPS, &config_map(&format!("m{index}"), labels)).await.ok();
    }
    let all = admin.get(MAPS).await.ok();
    assert_eq!(all["kind"], "ConfigMapList");
    assert_eq!(names(&all).len(), 7);
    let even = admin.get(&format!("{MAPS}?labelSelector=parity%3Deven")).await.ok();
    assert_eq!(names(&even), ["m0", "m2", "m4", "m6"]);
    let one = admin.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm3")).await.ok();
    assert_eq!(names(&one), ["m3"]);

    let first = admin.get(&format!("{MAPS}?limit=3")).await.ok();
    assert_eq!(names(&first), ["m0", "m1", "m2"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    let token = first["metadata"]["continue"].as_str().expect("a token").to_owned();
    // What changes between two pages does not show.
    admin.delete(&format!("{MAPS}/m4"), &json!({})).await.ok();
    let second = admin.get(&format!("{MAPS}?limit=10&continue={token}")).await.ok();
    assert_eq!(names(&second), ["m3", "m4", "m5", "m6"]);
    assert_eq!(version(&second), version(&first));

    let exact = format!("{MAPS}?resourceVersion={}&resourceVersionMatch=Exact", version(&first));
    assert_eq!(names(&admin.get(&exact).await.ok()).len(), 7);
    let old = admin.get(&format!("{MAPS}?resourceVersion=0")).await.ok();
    assert!(names(&old).len() >= 6);

    let latest: u64 = version(&admin.get(MAPS).await.ok()).parse().expect("a number");
    cluster.compact(latest);
    let expired = admin.get(&format!("{MAPS}?limit=10&continue={token}")).await;
    assert_eq!(expired.code, 410, "{}", expired.failure());
    let onward = expired.json()["metadata"]["continue"].as_str().expect("a new token").to_owned();
    let rest = admin.get(&format!("{MAPS}?continue={onward}")).await.ok();
    assert_eq!(names(&rest), ["m3", "m5", "m6"]);

    cluster.restart_server().await;
    assert_eq!(names(&cluster.admin().get(MAPS).await.ok()).len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_resume_select_and_expire() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    let start = version(&admin.get(MAPS).await.ok());
    let mut watch = admin.watch(&format!("{MAPS}?watch=1&resourceVersion={start}&labelSelector=a%3Db")).await;
    admin.post(MAPS, &config_map("one", json!({}))).await.ok();
    let labelled = json!({ "metadata": { "labels": { "a": "b" } } });
    let one = admin.patch(&format!("{MAPS}/one"), MERGE, &labelled).await.ok();
    admin.patch(&format!("{MAPS}/one"), MERGE, &json!({ "data": { "z": "1" } })).await.ok();
    admin
        .patch(&format!("{MAPS}/one"), MERGE, &json!({ "metadata": { "labels": { "a": null } } }))
        .await
        .ok();
    assert_eq!(watch.line().await, "ADDED one");
    assert_eq!(watch.line().await, "MODIFIED one");
    let left = watch.next().await.expect("an event");
    assert_eq!(left["type"], "DELETED");
    assert_eq!(left["object"]["metadata"]["labels"]["a"], "b", "the last state that was selected");

    let resumed = format!("{MAPS}?watch=1&resourceVersion={}", version(&one));
    let mut watch = admin.watch(&resumed).await;
    assert_eq!(watch.line().await, "MODIFIED one");
    assert_eq!(watch.line().await, "MODIFIED one");
    admin.delete(&format!("{MAPS}/one"), &json!({})).await.ok();
    assert_eq!(watch.line().await, "DELETED one");

    let initial = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    admin.post(MAPS, &config_map("two", json!({}))).await.ok();
    let mut watch = admin.watch(&initial).await;
    let mut seen = Vec::new();
    loop {
        let event = watch.next().await.expect("an event");
        if event["type"] == "BOOKMARK" {
            assert_eq!(event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
            break;
        }
        seen.push(event["object"]["metadata"]["name"].as_str().expect("a name").to_owned());
    }
    assert!(seen.contains(&"two".to_owned()), "{seen:?}");

    let mut timed = admin.watch(&format!("{MAPS}?watch=1&resourceVersion={start}&timeoutSeconds=1")).await;
    while timed.next().await.is_some() {}

    // History from before a restart is gone.
    cluster.restart_server().await;
    let mut expired = cluster.admin().watch(&resumed).await;
    let error = expired.next().await.expect("an event");
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    let message = error["object"]["message"].as_str().expect("a message");
    assert!(message.starts_with(&format!("too old resource version: {} (", version(&one))), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_the_stock_ones() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    assert_eq!(cluster.nobody().get(MAPS).await.failure(), "401 Unauthorized: Unauthorized");
    assert_eq!(cluster.nobody().get("/livez").await.body, "ok");
    assert_eq!(
        cluster.user("jane", &[]).get(MAPS).await.failure(),
        "403 Forbidden: configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the \
         namespace \"default\""
    );
    assert_eq!(
        admin.get("/api/v1/nonsense").await.failure(),
        "404 NotFound: the server could not find the requested resource"
    );
    assert_eq!(
        admin.put("/api/v1/nodes", &json!({})).await.failure(),
        "405 MethodNotAllowed: the server does not allow this method on the requested resource"
    );
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    assert_eq!(admin.send(Method::GET, MAPS, &protobuf, "").await.code, 406);
    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    let json_type = [("content-type", "application/json")];
    assert_eq!(
        admin.send(Method::POST, MAPS, &json_type, large).await.failure(),
        "413 RequestEntityTooLarge: Request entity too large: limit is 3145728"
    );
    let csv = [("content-type", "text/csv")];
    assert_eq!(admin.send(Method::POST, MAPS, &csv, "a,b").await.code, 415);
    assert_eq!(admin.patch(&format!("{MAPS}/x"), "text/csv", &json!({})).await.code, 415);
    assert_eq!(admin.send(Method::POST, MAPS, &json_type, "{").await.code, 400);

    let mut wrong = deployment("web", -1);
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    assert_eq!(
        admin.post(deployments, &wrong).await.failure(),
        "422 Invalid: Deployment.apps \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    );
    wrong["spec"]["replicas"] = json!("two");
    assert_eq!(admin.post(deployments, &wrong).await.code, 400);
    let mut unknown = config_map("unknown", json!({}));
    unknown["dta"] = json!({});
    let warned = admin.post(MAPS, &unknown).await;
    assert_eq!(warned.code, 201);
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"dta\\\"\"");
    let strict = admin.post(&format!("{MAPS}?fieldValidation=Strict"), &unknown).await;
    assert!(
        strict.failure().contains("strict decoding error: unknown field \"dta\""),
        "{}",
        strict.failure()
    );
    let elsewhere = admin.post("/api/v1/namespaces/missing/configmaps", &config_map("x", json!({}))).await;
    assert_eq!(elsewhere.failure(), "404 NotFound: namespaces \"missing\" not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_has_its_first_objects() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    let namespaces = admin.get("/api/v1/namespaces").await.ok();
    assert_eq!(names(&namespaces), ["default", "kube-node-lease", "kube-public", "kube-system"]);
    let service = admin.get("/api/v1/namespaces/default/services/kubernetes").await.ok();
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    let range = admin.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes").await.ok();
    assert_eq!(range["spec"]["cidrs"], json!(["10.96.0.0/16"]));
    assert_eq!(range["status"]["conditions"][0]["type"], "Ready");
    let info = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    assert_eq!(admin.get(info).await.ok()["data"]["client-ca-file"], cluster.pki.ca_pem());
    let role = admin.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin").await.ok();
    assert_eq!(role["metadata"]["name"], "cluster-admin");
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let table = admin.send(Method::GET, "/api/v1/namespaces", &table, "").await.ok();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["rows"][0]["cells"][0], "default");
    let partial = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let partial = admin.send(Method::GET, "/api/v1/namespaces", &partial, "").await.ok();
    assert_eq!(partial["items"][0]["kind"], "PartialObjectMetadata");
    assert!(partial["items"][0]["spec"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_waits_for_whom_it_must() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    let mut held = config_map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/wait"]);
    admin.post(MAPS, &held).await.ok();
    let path = format!("{MAPS}/held");
    let marked = admin.delete(&path, &json!({})).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    admin.patch(&path, MERGE, &json!({ "metadata": { "finalizers": null } })).await.ok();
    assert_eq!(admin.get(&path).await.code, 404);

    let foreground = json!({ "propagationPolicy": "Foreground" });
    admin.post(MAPS, &config_map("owner", json!({}))).await.ok();
    let waiting = admin.delete(&format!("{MAPS}/owner"), &foreground).await;
    assert_eq!(waiting.code, 202);
    assert_eq!(waiting.json()["metadata"]["finalizers"], json!(["foregroundDeletion"]));

    admin.post("/api/v1/namespaces", &json!({ "metadata": { "name": "team" } })).await.ok();
    let terminating = admin.delete("/api/v1/namespaces/team", &json!({})).await.ok();
    assert_eq!(terminating["status"]["phase"], "Terminating");
    let refused = admin.post("/api/v1/namespaces/team/configmaps", &config_map("late", json!({}))).await;
    assert_eq!(refused.code, 403);
    let mut finalized = admin.get("/api/v1/namespaces/team").await.ok();
    finalized["spec"]["finalizers"] = json!([]);
    admin.put("/api/v1/namespaces/team/finalize", &finalized).await.ok();
    assert_eq!(admin.get("/api/v1/namespaces/team").await.code, 404);

    for index in 0..3 {
        admin.post(MAPS, &config_map(&format!("c{index}"), json!({ "group": "c" }))).await.ok();
    }
    admin.delete(&format!("{MAPS}?labelSelector=group%3Dc"), &json!({})).await.ok();
    assert!(names(&admin.get(&format!("{MAPS}?labelSelector=group%3Dc")).await.ok()).is_empty());
}
