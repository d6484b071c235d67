//! From endpoints and certificates to a connection.

use std::path::Path;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::failure::{BAD_ARGS, ERROR, Failure};
use super::flags::Flags;

/// The first endpoint that takes a connection.
pub async fn any(flags: &Flags) -> Result<Channel, Failure> {
    let mut failure = Failure::bad_args("no endpoint is given");
    for endpoint in &flags.endpoints {
        match one(flags, endpoint).await {
            Ok(channel) => return Ok(channel),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

pub async fn one(flags: &Flags, endpoint: &str) -> Result<Channel, Failure> {
    let secure = is_secure(flags, endpoint);
    let address = endpoint.split_once("://").map_or(endpoint, |(_, address)| address);
    let scheme = if secure { "https" } else { "http" };
    let mut target = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|error| Failure::bad_args(format!("the endpoint {endpoint} is not an address: {error}")))?
        .connect_timeout(flags.dial_timeout)
        .http2_keep_alive_interval(flags.keepalive_time)
        .keep_alive_timeout(flags.keepalive_timeout)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    if secure {
        target = target.tls_config(tls(flags)?).map_err(|error| Failure::new(BAD_ARGS, error.to_string()))?;
    }
    tokio::time::timeout(flags.dial_timeout, target.connect())
        .await
        .map_err(|_| Failure::deadline())?
        .map_err(|error| Failure::new(ERROR, format!("connect to {endpoint}: {}", root_cause(&error))))
}

/// What the server says within the command's time.
pub async fn ask<T>(
    flags: &Flags,
    answer: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Failure> {
    within(flags.command_timeout, answer).await
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Failure> {
    let answer = tokio::time::timeout(limit, answer).await.map_err(|_| Failure::deadline())?;
    Ok(answer.map_err(Failure::from)?.into_inner())
}

/// The scheme decides; without one, any certificate flag does.
fn is_secure(flags: &Flags, endpoint: &str) -> bool {
    match endpoint.split_once("://") {
        Some((scheme, _)) => scheme == "https",
        None => flags.cacert.is_some() || flags.cert.is_some() || flags.key.is_some(),
    }
}

fn tls(flags: &Flags) -> Result<ClientTlsConfig, Failure> {
    let mut config = ClientTlsConfig::new();
    if let Some(path) = &flags.cacert {
        config = config.ca_certificate(Certificate::from_pem(read(path)?));
    }
    match (&flags.cert, &flags.key) {
        (Some(cert), Some(key)) => config = config.identity(Identity::from_pem(read(cert)?, read(key)?)),
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => return Err(Failure::bad_args("--cert and --key go together")),
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::bad_args(format!("open {}: {error}", path.display())))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
