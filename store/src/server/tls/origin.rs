//! A peer whose certificate names hosts or addresses must come from one of them, as in etcd: from an address that the
//! certificate holds, or from a host of its DNS names, looked up both ways. A certificate that names nothing is good from
//! everywhere. Looked at once per connection, behind the handshake.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Who was not let in, and why.
#[derive(Debug, thiserror::Error)]
#[error(
    "a peer at {origin} shows a certificate for {names}: give it one that names {origin}, or start members with \
     --peer-skip-client-san-verification"
)]
pub struct ForeignOrigin {
    origin: IpAddr,
    names: String,
}

pub async fn check_origin(certificate: &CertificateDer<'_>, origin: IpAddr) -> Result<(), ForeignOrigin> {
    check(certificate, origin, &System).await
}

async fn check(
    certificate: &CertificateDer<'_>,
    origin: IpAddr,
    dns: &impl Dns,
) -> Result<(), ForeignOrigin> {
    let names = Names::of(certificate);
    if names.is_empty() || names.addresses.contains(&origin) || names.have_host(origin, dns).await {
        return Ok(());
    }
    let addresses = names.addresses.iter().map(IpAddr::to_string);
    let names = addresses.chain(names.hosts.iter().cloned()).collect::<Vec<_>>().join(", ");
    Err(ForeignOrigin { origin, names })
}

/// Lookups both ways. What cannot be looked up has no name and no address.
trait Dns: Sync {
    fn name(&self, address: IpAddr) -> impl Future<Output = Option<String>> + Send;
    fn addresses(&self, host: &str) -> impl Future<Output = Vec<IpAddr>> + Send;
}

/// As the machine looks names up.
struct System;

impl Dns for System {
    async fn name(&self, address: IpAddr) -> Option<String> {
        tokio::task::spawn_blocking(move || dns_lookup::lookup_addr(&address)).await.ok()?.ok()
    }

    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let found = tokio::net::lookup_host((host, 0)).await;
        found.map(|found| found.map(|found| found.ip().to_canonical()).collect()).unwrap_or_default()
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    addresses: Vec<IpAddr>,
    hosts: Vec<String>,
}

impl Names {
    /// Its subject alternative names. None of a certificate that cannot be read: TLS has verified it before.
    fn of(certificate: &CertificateDer<'_>) -> Names {
        let mut names = Names::default();
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return names };
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(host) => names.hosts.push((*host).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.hosts.is_empty()
    }

    async fn have_host(&self, origin: IpAddr, dns: &impl Dns) -> bool {
        if self.hosts.is_empty() {
            return false;
        }
        if dns.name(origin).await.is_some_and(|name| self.have_name(&name)) {
            return true;
        }
        // An address without a name of its own may still be that of a host.
        for host in self.hosts.iter().filter(|host| !host.starts_with("*.")) {
            if dns.addresses(host).await.contains(&origin) {
                return true;
            }
        }
        false
    }

    /// Whether one of the hosts is `name`. A star stands for one label or more, as etcd has it here.
    fn have_name(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        self.hosts.iter().any(|host| match host.strip_prefix('*') {
            Some(domain) => domain.starts_with('.') && name.ends_with(domain),
            None => host == name,
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").into()
    }

    /// Its pairs of host and address can be looked up both ways, those with a question mark only by host.
    struct Table(&'static [(&'static str, &'static str)]);

    impl Dns for Table {
        async fn name(&self, address: IpAddr) -> Option<String> {
            let named = self.0.iter().find(|(_, known)| *known == address.to_string());
            named.map(|(host, _)| format!("{host}.")).filter(|host| !host.ends_with("?."))
        }

        async fn addresses(&self, host: &str) -> Vec<IpAddr> {
            let known = self.0.iter().filter(|(known, _)| known.trim_end_matches('?') == host);
            known.map(|(_, address)| address.parse().expect("an address")).collect()
        }
    }

    #[tokio::test]
    async fn peers_come_from_where_their_certificates_say() {
        let dns = Table(&[("m1.example.com", "192.0.2.1"), ("m2.example.com?", "192.0.2.2")]);
        // Names, origin, and whether it is let in.
        let rows: &[(&[&str], &str, bool)] = &[
            (&[], "192.0.2.1", true),
            (&["192.0.2.1"], "192.0.2.1", true),
            (&["192.0.2.2", "2001:db8::1"], "192.0.2.1", false),
            (&["192.0.2.2", "2001:db8::1"], "2001:db8::1", true),
            (&["m1.example.com"], "192.0.2.1", true),
            (&["m2.example.com"], "192.0.2.2", true),
            (&["m2.example.com"], "192.0.2.1", false),
            (&["*.example.com"], "192.0.2.1", true),
            (&["*.example.com"], "192.0.2.2", false),
            (&["*.example.com"], "192.0.2.3", false),
            (&["m1.example.com", "192.0.2.3"], "192.0.2.3", true),
        ];
        for (names, origin, is_let_in) in rows {
            let outcome = check(&certificate(names), origin.parse().expect("an address"), &dns).await;
            assert_eq!(outcome.is_ok(), *is_let_in, "{names:?} from {origin}");
        }
        let refused = check(&certificate(&["192.0.2.2"]), Ipv4Addr::LOCALHOST.into(), &dns).await;
        let said = refused.expect_err("from elsewhere").to_string();
        assert!(said.starts_with("a peer at 127.0.0.1 shows a certificate for 192.0.2.2: "), "{said}");
    }

    #[test]
    fn a_star_stands_for_what_is_before_a_domain() {
        let names = Names { hosts: vec!["*.example.com".into(), "m1".into()], ..Names::default() };
        let matched = ["a.example.com", "a.b.example.com.", "m1", "m1."];
        assert!(matched.iter().all(|name| names.have_name(name)));
        let others = ["example.com", "aexample.com", "m11", "a.example.org"];
        assert!(!others.iter().any(|name| names.have_name(name)));
    }
}
