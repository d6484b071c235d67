//! `/metrics`: requests by verb, resource and code; requests in flight; open watches.

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::body::{self, Answer};
use crate::request::RequestInfo;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    group: String,
    resource: String,
}

pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram>,
    in_flight: Gauge,
}

impl Metrics {
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register(
            "apiserver_request",
            "Requests by verb, resource and response code",
            requests.clone(),
        );
        let buckets = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let durations = Family::<DurationLabels, Histogram>::new_with_constructor(buckets);
        let help = "Time to the response, watches left out";
        registry.register("apiserver_request_duration_seconds", help, durations.clone());
        let in_flight = Gauge::default();
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests being answered",
            in_flight.clone(),
        );
        Metrics { registry, requests, durations, in_flight }
    }

    /// Counts a request until the answer is dropped, which also happens when the client goes away.
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub fn observe(&self, info: &RequestInfo, code: StatusCode, seconds: f64) {
        // Paths are not labels: their number is up to clients.
        let resource = if info.is_resource_request { info.resource.clone() } else { String::new() };
        let labels = RequestLabels {
            verb: info.verb.to_uppercase(),
            group: info.api_group.clone(),
            resource: resource.clone(),
            subresource: info.subresource.clone(),
            code: code.as_u16(),
        };
        // Unknown resources are as many as clients can think of.
        let labels = if code == StatusCode::NOT_FOUND && info.name.is_empty() {
            RequestLabels {
                group: String::new(),
                resource: String::new(),
                subresource: String::new(),
                ..labels
            }
        } else {
            labels
        };
        if info.verb != "watch" && code != StatusCode::NOT_FOUND {
            let duration = DurationLabels {
                verb: labels.verb.clone(),
                group: labels.group.clone(),
                resource: labels.resource.clone(),
            };
            self.durations.get_or_create(&duration).observe(seconds);
        }
        self.requests.get_or_create(&labels).inc();
    }

    pub fn answer(&self) -> Answer {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => {
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                body::respond(StatusCode::OK, content_type, text)
            }
            Err(_) => body::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n"),
        }
    }
}

/// One request in flight.
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}
