//! Who may look at the pages from a browser: `--cors` and `--host-whitelist`.
//!
//! A page of a foreign site can make its visitor's browser ask; the headers say whether it may read the answer. A name that
//! an attacker points here (DNS rebinding) would pass for the same site, so that without TLS the host names can be listed.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tonic::body::Body;

use super::text;
use crate::config::Serving;
use crate::server::credentials::Encrypted;

#[derive(Debug)]
pub struct Visitors {
    origins: Vec<String>,
    hosts: Vec<String>,
}

impl Visitors {
    pub fn new(serving: &Serving) -> Visitors {
        Visitors { origins: serving.cors.clone(), hosts: serving.host_whitelist.clone() }
    }

    /// The answer to a request whose host name is not listed. Over TLS the certificate has vouched for the name.
    pub fn refuse<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if request.extensions().get::<Encrypted>().is_some() {
            return None;
        }
        let of_header = header_text(request.headers(), header::HOST);
        let host = request.uri().host().or_else(|| of_header.map(without_port)).unwrap_or_default();
        let listed = takes_any(&self.hosts) || self.hosts.iter().any(|listed| listed == host);
        let why = || format!("the host name {host:?} is not in --host-whitelist\n");
        (!listed).then(|| text(StatusCode::MISDIRECTED_REQUEST, why()))
    }

    pub fn admit<B>(&self, request: &Request<B>, page: &mut Response<Body>) {
        let origin = header_text(request.headers(), header::ORIGIN);
        let allowed = if takes_any(&self.origins) {
            Some(HeaderValue::from_static("*"))
        } else {
            origin
                .filter(|origin| self.origins.iter().any(|listed| listed == origin))
                .and_then(|origin| HeaderValue::from_str(origin).ok())
        };
        let Some(allowed) = allowed else { return };
        let headers = page.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let methods = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let names = HeaderValue::from_static("accept, content-type, authorization");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
}

fn takes_any(list: &[String]) -> bool {
    list.iter().all(String::is_empty) || list.iter().any(|item| item == "*")
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(list: &[&str], headers: &[(&str, &str)]) -> (bool, Option<String>) {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        let visitors = Visitors { origins: list.clone(), hosts: list };
        let builder = headers
            .iter()
            .fold(Request::get("/health"), |request, (name, value)| request.header(*name, *value));
        let request = builder.body(()).expect("a request");
        let mut page = text(StatusCode::OK, "");
        visitors.admit(&request, &mut page);
        let allowed = header_text(page.headers(), header::ACCESS_CONTROL_ALLOW_ORIGIN).map(ToOwned::to_owned);
        (visitors.refuse(&request).is_none(), allowed)
    }

    #[test]
    fn lists_decide() {
        let from = [("origin", "http://a"), ("host", "h:2379")];
        assert_eq!(visit(&["*"], &from), (true, Some("*".to_owned())));
        assert_eq!(visit(&[], &from), (true, Some("*".to_owned())));
        assert_eq!(visit(&["http://a"], &from), (false, Some("http://a".to_owned())));
        assert_eq!(visit(&["h"], &from), (true, None));
    }

    #[test]
    fn over_tls_any_host_name_will_do() {
        let visitors = Visitors { origins: Vec::new(), hosts: vec!["h".to_owned()] };
        let mut request = Request::get("/health").header("host", "other").body(()).expect("a request");
        let refused = visitors.refuse(&request).expect("refused");
        assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
        request.extensions_mut().insert(Encrypted);
        assert!(visitors.refuse(&request).is_none());
    }
}
