//! The gRPC health check of a probe: `grpc.health.v1.Health/Check`.

use http::uri::PathAndQuery;
use tonic::transport::Endpoint;

use super::http::authority;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;

/// `Err`: why not, in the words of the stock prober. No deadline of its own.
pub async fn check(host: &str, port: u16, service: &str) -> Result<(), String> {
    let address = authority(host, port);
    let failed =
        |error: &dyn std::fmt::Display| format!("error: failed to connect service at \"{address}\": {error}");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| failed(&error))?;
    let channel = endpoint.connect().await.map_err(|error| failed(&error))?;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| failed(&error))?;
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = tonic::Request::new(HealthCheckRequest { service: service.to_owned() });
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    match grpc.unary(request, path, codec).await {
        Ok(answer) if answer.get_ref().status == SERVING => Ok(()),
        Ok(answer) => {
            Err(format!("service unhealthy (responded with \"{}\")", name(answer.get_ref().status)))
        }
        Err(status) => Err(format!("error: health rpc probe failed: {status}")),
    }
}

fn name(status: i32) -> &'static str {
    match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNRECOGNIZED",
    }
}
