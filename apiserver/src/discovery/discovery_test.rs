//! What `kubectl api-resources` and `api-versions` are made of.

use std::fmt::Write as _;

use expect_test::expect_file;
use serde_json::Value;

use super::respond;

fn body(path: &str, accept: &str) -> Value {
    let document = respond(path, accept).expect("a document");
    serde_json::from_slice(&document.body).expect("JSON")
}

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

#[test]
fn the_aggregated_lists_show_every_resource() {
    let mut text = String::new();
    for path in ["/api", "/apis"] {
        for group in body(path, V2)["items"].as_array().expect("items") {
            for version in group["versions"].as_array().expect("versions") {
                let group = group["metadata"]["name"].as_str().unwrap_or_default();
                let _ = writeln!(text, "{group}/{}", version["version"].as_str().unwrap_or_default());
                version["resources"].as_array().into_iter().flatten().for_each(|r| line(r, &mut text));
            }
        }
    }
    expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/discovery.txt")].assert_eq(&text);
}

fn line(resource: &Value, text: &mut String) {
    let words = |value: &Value| {
        let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        words.join(",")
    };
    let _ = writeln!(
        text,
        "{}",
        format!(
            "  {} [{}] {} {} {} {}",
            resource["resource"].as_str().unwrap_or_default(),
            words(&resource["shortNames"]),
            resource["responseKind"]["kind"].as_str().unwrap_or_default(),
            resource["scope"].as_str().unwrap_or_default(),
            words(&resource["verbs"]),
            words(&resource["categories"]),
        )
        .trim_end()
    );
    for sub in resource["subresources"].as_array().into_iter().flatten() {
        let kind = sub["responseKind"]["kind"].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "    /{} {kind} {}",
            sub["subresource"].as_str().unwrap_or_default(),
            words(&sub["verbs"])
        );
    }
}

#[test]
fn plain_documents_are_those_of_old() {
    let core = body("/api/v1", "application/json");
    assert_eq!((&core["kind"], &core["groupVersion"]), (&Value::from("APIResourceList"), &Value::from("v1")));
    let named = |name: &str| {
        let all = core["resources"].as_array().expect("resources");
        all.iter().find(|entry| entry["name"] == name).cloned().expect("a known resource")
    };
    assert_eq!(named("pods")["storageVersionHash"], "xPOwRZ+Yhw8=");
    assert_eq!(named("pods/eviction")["group"], "policy");
    assert_eq!(body("/apis/autoscaling", "*/*")["preferredVersion"]["version"], "v2");
    assert_eq!(body("/apis", "application/yaml, */*")["kind"], "APIGroupList");
    assert!(respond("/apis/none", "*/*").is_none());
}

#[test]
fn the_form_follows_accept_and_the_tag_follows_the_body() {
    let beta = respond("/apis", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
        .expect("beta");
    assert!(beta.content_type.contains("v2beta1"));
    let plain = respond("/apis/", "application/json").expect("plain");
    assert_eq!(plain.content_type, "application/json");
    assert!(plain.is_known(&plain.etag) && !plain.is_known(&beta.etag));
}
