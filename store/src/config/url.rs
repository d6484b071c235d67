//! URLs of members: what a listener binds and what others are told.

use std::collections::BTreeMap;

use http::Uri;

use super::ConfigError;

/// `http://host:port` or `https://host:port`, nothing behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Url {
    /// What a listener binds: the address without brackets.
    pub fn bind_address(&self) -> (String, u16) {
        (self.host.trim_start_matches('[').trim_end_matches(']').to_owned(), self.port)
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
    Ok(Url { tls, host: host.to_owned(), port })
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
