//! The script language of `testdata/*.txt`.
//!
//! `> command` lines are run; lines that start with `| ` below one are its input; all other lines below it are output, which the
//! run replaces. Lines before the first command are the header.
//!
//! | command | does |
//! |---|---|
//! | `apply` | creates or replaces the YAML objects of the input |
//! | `settle CONTROLLER…` | runs these controllers to their fixpoint; prints every action |
//! | `patch KIND KEY JSON` | merge patch by a user |
//! | `delete KIND KEY [Foreground\|Orphan]` | delete by a user |
//! | `run-pods` | every pod gets a node, an address, and is Ready |
//! | `pass DURATION` | time goes by |
//! | `show KIND KEY POINTER` | prints a part of an object |
//! | `list KIND` | prints the keys of a kind |
//! | `set NAME VALUE` | a setting |

use std::fmt::Write as _;

use balsa_proto::client::ObjectKey;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::settle::{Queues, pass, settle};
use crate::action::Deletion;
use crate::driver::Controller;
use crate::run;
use crate::settings::Settings;

/// Where a daemon's pod names its node.
const PINNED_TO: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/\
                         nodeSelectorTerms/0/matchFields/0/values/0";

struct Session {
    cluster: Cluster,
    queues: Queues,
    pods_run: usize,
}

/// Runs a script; returns it with the output that came out.
pub fn run(text: &str) -> String {
    let mut session =
        Session { cluster: Cluster::new(Settings::default()), queues: Queues::default(), pods_run: 0 };
    let mut output = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next_if(|line| !line.starts_with("> ")) {
        output += &format!("{line}\n");
    }
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("> ") else { continue };
        output += &format!("{line}\n");
        let mut input = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
            output += &format!("{line}\n");
            input += &format!("{}\n", line.strip_prefix("| ").unwrap_or_default());
        }
        for line in session.run(command, &input) {
            writeln!(output, "{line}").expect("a string takes all");
        }
    }
    output
}

impl Session {
    fn run(&mut self, command: &str, input: &str) -> Vec<String> {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "apply" => self.apply(input),
            "settle" => return settle(&mut self.cluster, &mut self.queues, &controllers(rest)),
            "patch" => {
                let (target, patch) = rest.split_at(rest.find(" {").expect("a JSON object"));
                let (kind, key) = kind_and_key(target);
                self.cluster.patch(kind, &key, &serde_json::from_str(patch).expect("a JSON object"));
            }
            "delete" => self.delete(rest),
            "run-pods" => self.run_pods(),
            "pass" => pass(&mut self.cluster, &mut self.queues, rest.parse().expect("a duration")),
            "show" => return self.show(rest),
            "list" => return self.cluster.keys(rest).iter().map(ToString::to_string).collect(),
            "set" => self.set(rest),
            other => panic!("no command {other}"),
        }
        Vec::new()
    }

    fn apply(&mut self, input: &str) {
        for document in input.split("---\n").filter(|document| !document.trim().is_empty()) {
            let object: Value = serde_saphyr::from_str(document).expect("valid YAML");
            self.cluster.put(object);
        }
    }

    fn delete(&mut self, rest: &str) {
        let mut words = rest.split(' ');
        let (kind, key) = (words.next().expect("a kind"), parse_key(words.next().expect("a key")));
        let propagation = match words.next() {
            Some("Foreground") => Some("Foreground"),
            Some("Orphan") => Some("Orphan"),
            Some(other) => panic!("no propagation {other}"),
            None => None,
        };
        self.cluster.delete(kind, &key, &Deletion { grace_seconds: None, propagation });
    }

    fn run_pods(&mut self) {
        for key in self.cluster.keys("Pod") {
            let pod = self.cluster.get("Pod", &key).expect("listed just now");
            if !pod["status"]["podIP"].is_null() {
                continue;
            }
            self.pods_run += 1;
            let address = format!("10.0.0.{}", self.pods_run);
            let chosen = pod["spec"]["nodeName"].as_str().or_else(|| pod.pointer(PINNED_TO)?.as_str());
            let node = chosen.unwrap_or("n1").to_owned();
            let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": self.cluster.now });
            let status = json!({
                "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }], "conditions": [ready],
            });
            self.cluster.patch("Pod", &key, &json!({ "spec": { "nodeName": node }, "status": status }));
        }
    }

    fn show(&self, rest: &str) -> Vec<String> {
        let (target, pointer) = rest.rsplit_once(' ').expect("a pointer");
        let (kind, key) = kind_and_key(target);
        let object = self.cluster.get(kind, &key).unwrap_or_else(|| panic!("no {kind} {key}"));
        let part = object.pointer(pointer).unwrap_or(&Value::Null);
        serde_json::to_string_pretty(part).expect("JSON").lines().map(str::to_owned).collect()
    }

    fn set(&mut self, rest: &str) {
        let (name, value) = rest.split_once(' ').expect("a value");
        let settings = &mut self.cluster.world.settings;
        match name {
            "cluster-cidr" => settings.cluster_cidrs = vec![value.parse().expect("a network")],
            "root-ca" => settings.root_ca_pem = Some(value.to_owned()),
            "max-endpoints-per-slice" => settings.max_endpoints_per_slice = value.parse().expect("a number"),
            "terminated-pod-gc-threshold" => {
                settings.terminated_pod_gc_threshold = value.parse().expect("a number");
            }
            other => panic!("no setting {other}"),
        }
    }
}

fn controllers(names: &str) -> Vec<Controller> {
    let find = |name: &str| {
        let all = run::all();
        let found = all.into_iter().find(|one| one.name == name || one.name == format!("{name}-controller"));
        found.unwrap_or_else(|| panic!("no controller {name}"))
    };
    names.split(' ').map(find).collect()
}

fn kind_and_key(text: &str) -> (&str, ObjectKey) {
    let (kind, key) = text.split_once(' ').expect("a kind and a key");
    (kind, parse_key(key))
}

fn parse_key(text: &str) -> ObjectKey {
    let (namespace, name) = text.split_once('/').unwrap_or(("", text));
    ObjectKey::new(namespace, name)
}
