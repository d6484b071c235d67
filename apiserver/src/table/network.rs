//! Services, endpoints, ingresses, network policies, addresses.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{NONE, UNSET, age, labels, more, name, selector, strings, text, text_or};
use super::{AGE, NAME, Printer, string};
use crate::kinds::walk::{int, items, text as plain};

/// Entries of a list that fit in a cell.
const SHOWN: usize = 3;
/// Load balancer names are cut to this many bytes in a narrow table.
const HOST_BYTES: usize = 16;

pub const SERVICE: Printer = Printer {
    columns: &[
        NAME,
        string("Type", "How the service is reached."),
        string("Cluster-IP", "Address inside the cluster."),
        string("External-IP", "Addresses outside the cluster."),
        string("Port(s)", "Ports, with node ports after a colon."),
        AGE,
        string("Selector", "Labels that select its pods.").wide(),
    ],
    row: |object, now| {
        vec![
            name(object),
            text(object, "/spec/type"),
            text_or(object, "/spec/clusterIP", NONE),
            external(object).into(),
            ports(object).into(),
            age(object, now),
            labels(object, "/spec/selector").into(),
        ]
    },
};

pub const ENDPOINTS: Printer = Printer {
    columns: &[NAME, string("Endpoints", "Ready addresses with their ports."), AGE],
    row: |object, now| vec![name(object), endpoints(object).into(), age(object, now)],
};

pub const ENDPOINT_SLICE: Printer = Printer {
    columns: &[
        NAME,
        string("AddressType", "Family of the addresses."),
        string("Ports", "Ports of every endpoint."),
        string("Endpoints", "Addresses of the endpoints."),
        AGE,
    ],
    row: endpoint_slice,
};

pub const INGRESS: Printer = Printer {
    columns: &[
        NAME,
        string("Class", "Class of controller that serves it."),
        string("Hosts", "Hosts that its rules are for."),
        string("Address", "Where it is reached."),
        string("Ports", "Ports that it serves."),
        AGE,
    ],
    row: ingress,
};

pub const INGRESS_CLASS: Printer = Printer {
    columns: &[
        NAME,
        string("Controller", "Controller that serves the class."),
        string("Parameters", "Object with further settings."),
        AGE,
    ],
    row: |object, now| {
        let parameters = match plain(object, "/spec/parameters/kind") {
            "" => NONE.to_owned(),
            kind => {
                let group = plain(object, "/spec/parameters/apiGroup");
                let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
                format!("{kind}/{}", plain(object, "/spec/parameters/name"))
            }
        };
        vec![name(object), text(object, "/spec/controller"), parameters.into(), age(object, now)]
    },
};

pub const NETWORK_POLICY: Printer = Printer {
    columns: &[NAME, string("Pod-Selector", "Pods that it is for."), AGE],
    row: |object, now| vec![name(object), selector(object, "/spec/podSelector").into(), age(object, now)],
};

pub const IP_ADDRESS: Printer = Printer {
    columns: &[NAME, string("ParentRef", "Object that holds the address."), AGE],
    row: |object, now| {
        let parent = |field: &str| plain(object, &format!("/spec/parentRef/{field}"));
        let parts = [parent("group"), parent("resource"), parent("namespace"), parent("name")];
        let path = parts.iter().skip_while(|part| part.is_empty()).filter(|part| !part.is_empty());
        vec![name(object), path.copied().collect::<Vec<_>>().join("/").into(), age(object, now)]
    },
};

pub const SERVICE_CIDR: Printer = Printer {
    columns: &[NAME, string("CIDRs", "Ranges of addresses."), AGE],
    row: |object, now| vec![name(object), strings(object, "/spec/cidrs").join(",").into(), age(object, now)],
};

fn external(service: &Value) -> String {
    let fixed = strings(service, "/spec/externalIPs").join(",");
    let or_none = |text: String| if text.is_empty() { NONE.to_owned() } else { text };
    match plain(service, "/spec/type") {
        "LoadBalancer" => {
            let balanced = balancer(service);
            match (balanced.is_empty(), fixed.is_empty()) {
                (true, true) => "<pending>".to_owned(),
                (false, false) => format!("{balanced},{fixed}"),
                (true, false) => fixed,
                (false, true) => balanced,
            }
        }
        "ExternalName" => plain(service, "/spec/externalName").to_owned(),
        _ => or_none(fixed),
    }
}

fn balancer(object: &Value) -> String {
    let found = items(object, "/status/loadBalancer/ingress").iter().filter_map(|entry| {
        match (plain(entry, "/ip"), plain(entry, "/hostname")) {
            ("", "") => None,
            ("", host) => Some(host),
            (ip, _) => Some(ip),
        }
    });
    found.collect::<Vec<_>>().join(",")
}

fn ports(service: &Value) -> String {
    let one = |port: &Value| {
        let (number, protocol) = (int(port, "/port").unwrap_or(0), plain(port, "/protocol"));
        match int(port, "/nodePort").unwrap_or(0) {
            0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    };
    let all: Vec<String> = items(service, "/spec/ports").iter().map(one).collect();
    if all.is_empty() { NONE.to_owned() } else { all.join(",") }
}

fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in items(object, "/subsets") {
        let ports = items(subset, "/ports");
        for address in items(subset, "/addresses") {
            let ip = plain(address, "/ip");
            match ports {
                [] => all.push(ip.to_owned()),
                ports => all.extend(ports.iter().map(|port| socket(ip, int(port, "/port").unwrap_or(0)))),
            }
        }
    }
    if all.is_empty() { NONE.to_owned() } else { more(&all, SHOWN) }
}

fn socket(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = items(object, "/ports")
        .iter()
        .map(|port| match (int(port, "/port"), plain(port, "/name")) {
            (Some(number), _) => number.to_string(),
            (None, "") => "*".to_owned(),
            (None, name) => name.to_owned(),
        })
        .collect();
    let addresses: Vec<String> = items(object, "/endpoints")
        .iter()
        .flat_map(|endpoint| strings(endpoint, "/addresses"))
        .map(str::to_owned)
        .collect();
    let or_unset = |all: &[String]| if all.is_empty() { UNSET.to_owned() } else { more(all, SHOWN) };
    vec![
        name(object),
        text(object, "/addressType"),
        or_unset(&ports).into(),
        or_unset(&addresses).into(),
        age(object, now),
    ]
}

fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let hosts: Vec<String> = items(object, "/spec/rules")
        .iter()
        .map(|rule| plain(rule, "/host"))
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { more(&hosts, SHOWN) };
    let ports = if items(object, "/spec/tls").is_empty() { "80" } else { "80, 443" };
    let mut address = balancer(object);
    if address.len() > HOST_BYTES && !address.contains(',') && address.parse::<std::net::IpAddr>().is_err() {
        address.truncate(HOST_BYTES - 3);
        address.push_str("...");
    }
    vec![
        name(object),
        text_or(object, "/spec/ingressClassName", NONE),
        hosts.into(),
        address.into(),
        ports.into(),
        age(object, now),
    ]
}
