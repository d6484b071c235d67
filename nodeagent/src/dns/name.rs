//! What a name below the cluster domain asks for. Pure: text in, words out.

use std::net::Ipv4Addr;

/// Labels are lower-case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The cluster domain itself.
    Apex,
    /// `ns.dns`: this server.
    NameServer,
    /// `dns-version`
    Version,
    /// `svc`, `pod`, `dns` or a namespace below them: exists, but holds nothing.
    Branch {
        namespace: Option<String>,
    },
    /// `<service>.<namespace>.svc`
    Service {
        namespace: String,
        service: String,
    },
    /// `<host>.<service>.<namespace>.svc`
    Endpoint {
        namespace: String,
        service: String,
        host: String,
    },
    /// `[_<port>.]_<protocol>.<service>.<namespace>.svc`
    Port {
        namespace: String,
        service: String,
        protocol: String,
        port: Option<String>,
    },
    /// `<a-b-c-d>.<namespace>.pod`
    Pod {
        address: Ipv4Addr,
    },
    Unknown,
}

/// `name` is lower-case without a final dot. None: not in `domain`.
pub fn parse(name: &str, domain: &str) -> Option<Question> {
    if name == domain {
        return Some(Question::Apex);
    }
    let below = name.strip_suffix(domain)?.strip_suffix('.')?;
    let mut labels: Vec<&str> = below.split('.').collect();
    labels.reverse();
    Some(match labels.as_slice() {
        ["dns"] | ["svc"] | ["pod"] => Question::Branch { namespace: None },
        ["dns", "ns"] => Question::NameServer,
        ["dns-version"] => Question::Version,
        ["svc", namespace] => Question::Branch { namespace: Some((*namespace).to_owned()) },
        ["svc", namespace, service, rest @ ..] => in_service(namespace, service, rest),
        ["pod", _] => Question::Branch { namespace: None },
        ["pod", _, dashed] => {
            dashed_address(dashed).map_or(Question::Unknown, |address| Question::Pod { address })
        }
        _ => Question::Unknown,
    })
}

fn in_service(namespace: &str, service: &str, rest: &[&str]) -> Question {
    let (namespace, service) = (namespace.to_owned(), service.to_owned());
    match rest {
        [] => Question::Service { namespace, service },
        [label] => match label.strip_prefix('_') {
            Some(protocol) => {
                Question::Port { namespace, service, protocol: protocol.to_owned(), port: None }
            }
            None => Question::Endpoint { namespace, service, host: (*label).to_owned() },
        },
        [protocol, port] => match (protocol.strip_prefix('_'), port.strip_prefix('_')) {
            (Some(protocol), Some(port)) => Question::Port {
                namespace,
                service,
                protocol: protocol.to_owned(),
                port: Some(port.to_owned()),
            },
            _ => Question::Unknown,
        },
        _ => Question::Unknown,
    }
}

/// `10-244-0-5`
pub fn dashed_address(label: &str) -> Option<Ipv4Addr> {
    if label.contains('.') {
        return None;
    }
    label.replace('-', ".").parse().ok()
}

pub fn to_dashed(address: &str) -> String {
    address.replace(['.', ':'], "-")
}

/// The address behind a name of the reverse tree.
pub fn reversed_address(name: &str) -> Option<Ipv4Addr> {
    let labels: Vec<&str> = name.strip_suffix(".in-addr.arpa")?.split('.').collect();
    let [d, c, b, a] = labels.as_slice() else { return None };
    format!("{a}.{b}.{c}.{d}").parse().ok()
}
