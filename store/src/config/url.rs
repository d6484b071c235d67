//! URLs of members: what a listener binds and what others are told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::Uri;

use super::ConfigError;

/// `http://host:port` or `https://host:port`, nothing behind it; or `unix://path` and `unixs://path` for a socket in the
/// file system, relative to where the process runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    pub tls: bool,
    pub address: Address,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    Tcp {
        host: String,
        port: u16,
    },
    /// etcd's users write `localhost:2379` here as well: then that is the name of the file.
    Socket(PathBuf),
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.address, self.tls) {
            (Address::Tcp { host, port }, false) => write!(f, "http://{host}:{port}"),
            (Address::Tcp { host, port }, true) => write!(f, "https://{host}:{port}"),
            (Address::Socket(path), false) => write!(f, "unix://{}", path.display()),
            (Address::Socket(path), true) => write!(f, "unixs://{}", path.display()),
        }
    }
}

impl Url {
    pub fn tcp(host: &str, port: u16) -> Url {
        Url { tls: false, address: Address::Tcp { host: host.to_owned(), port } }
    }

    /// The host as certificates have it: without brackets, and this machine for a socket without a host in its name.
    pub fn host(&self) -> String {
        match &self.address {
            Address::Tcp { host, .. } => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            Address::Socket(path) => {
                let name = path.to_string_lossy();
                let host = name.split_once(':').map_or("", |(host, _)| host);
                if host.is_empty() || host.contains('/') { "localhost".to_owned() } else { host.to_owned() }
            }
        }
    }

    /// What HTTP names as the host.
    pub fn authority(&self) -> String {
        match &self.address {
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Socket(_) => self.host(),
        }
    }
}

pub fn join(urls: &[Url]) -> String {
    urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Splits a list of URLs at its commas.
pub fn parse_urls(flag: &'static str, list: &str) -> Result<Vec<Url>, ConfigError> {
    let urls: Vec<Url> = list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| parse_url(flag, part))
        .collect::<Result<_, _>>()?;
    if urls.is_empty() { Err(ConfigError::Empty { flag }) } else { Ok(urls) }
}

fn parse_url(flag: &'static str, text: &str) -> Result<Url, ConfigError> {
    let bad = || ConfigError::Url { flag, url: text.to_owned() };
    for (scheme, tls) in [("unix://", false), ("unixs://", true)] {
        if let Some(path) = text.strip_prefix(scheme) {
            let address = Address::Socket(PathBuf::from(path));
            return if path.is_empty() { Err(bad()) } else { Ok(Url { tls, address }) };
        }
    }
    let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| bad())?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(bad()),
    };
    let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else { return Err(bad()) };
    if uri.path().len() > 1 || uri.query().is_some() {
        return Err(bad());
    }
    Ok(Url { tls, ..Url::tcp(host, port) })
}

/// Splits `name=url,name=url,…`; a member with several URLs is named several times.
pub fn parse_initial_cluster(text: &str) -> Result<BTreeMap<String, Vec<Url>>, ConfigError> {
    let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let bad = || ConfigError::ClusterPart(part.to_owned());
        let (name, url) = part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
        members.entry(name.to_owned()).or_default().push(parse_url("initial-cluster", url)?);
    }
    if members.is_empty() { Err(ConfigError::Empty { flag: "initial-cluster" }) } else { Ok(members) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_printed_as_they_were_given() {
        for text in [
            "http://a:1",
            "https://[::1]:2",
            "unix://localhost:2379",
            "unix:///run/etcd/client.sock",
            "unixs://client.sock",
        ] {
            assert_eq!(join(&parse_urls("f", text).expect("a URL")), text);
        }
        for text in ["unix://", "http://a", "http://a:1/path", "ftp://a:1", "a:1"] {
            assert!(parse_urls("f", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_socket_has_a_host_for_certificates() {
        let host = |text: &str| parse_urls("f", text).expect("a URL")[0].host();
        assert_eq!(host("https://[::1]:2"), "::1");
        assert_eq!(host("unixs://example.org:2379"), "example.org");
        assert_eq!(host("unixs:///run/a:b.sock"), "localhost");
        assert_eq!(host("unixs://client.sock"), "localhost");
    }
}
