//! How requests reach an apiserver: an I/O seam, so that reflectors and controllers run against a fake in tests and,
//! later, against a stock apiserver over REST.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::config::{ClientConfig, Credential};
use super::error::Error;
use crate::resources::resources_client::ResourcesClient;
use crate::resources::{
    CreateRequest, DeleteRequest, DiscoverRequest, GetRequest, ListRequest, PatchRequest, ResourceType,
    UpdateRequest, WatchRequest, WatchResponse,
};

/// Largest message either side sends: an object is at most 3 MiB, a chunk of a list 4 MiB.
const MESSAGE_LIMIT_BYTES: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Upstream's request timeout; watches have none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A stream of watch answers.
pub type WatchStream = BoxStream<'static, Result<WatchResponse, Error>>;

/// The verbs of the resources door, on bytes.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    async fn get(&self, request: GetRequest) -> Result<Bytes, Error>;
    /// All items, and the revision that they are of.
    async fn list(&self, request: ListRequest) -> Result<(Vec<Bytes>, u64), Error>;
    async fn create(&self, request: CreateRequest) -> Result<Bytes, Error>;
    async fn update(&self, request: UpdateRequest) -> Result<Bytes, Error>;
    async fn patch(&self, request: PatchRequest) -> Result<Bytes, Error>;
    async fn delete(&self, request: DeleteRequest) -> Result<Bytes, Error>;
    async fn discover(&self) -> Result<Vec<ResourceType>, Error>;
    async fn watch(&self, requests: mpsc::Receiver<WatchRequest>) -> Result<WatchStream, Error>;
}

/// gRPC over TLS to a Balsa apiserver. Connects on first use and again after a failure.
#[derive(Clone)]
pub struct GrpcTransport {
    client: ResourcesClient<InterceptedService<Channel, Bearer>>,
}

/// Adds the token, if the credential is one.
#[derive(Clone)]
struct Bearer(Option<MetadataValue<tonic::metadata::Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl GrpcTransport {
    pub fn new(config: &ClientConfig) -> Result<Self, Error> {
        let bad = |error: tonic::transport::Error| Error::Config(format!("{}: {error}", config.server));
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&config.ca_pem));
        let mut bearer = Bearer(None);
        match &config.credential {
            Credential::ClientCert { cert_pem, key_pem } => {
                tls = tls.identity(Identity::from_pem(cert_pem, key_pem))
            }
            Credential::Token(token) => {
                let mut value: MetadataValue<_> = format!("Bearer {token}").parse().map_err(|_| {
                    Error::Config("the token has characters that a header cannot carry".to_owned())
                })?;
                value.set_sensitive(true);
                bearer = Bearer(Some(value));
            }
        }
        let channel = Endpoint::from_shared(config.server.clone())
            .map_err(bad)?
            .user_agent(config.user_agent.clone())
            .map_err(bad)?
            .tls_config(tls)
            .map_err(bad)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .tcp_nodelay(true)
            .connect_lazy();
        let client = ResourcesClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
            .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
        Ok(Self { client })
    }
}

fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(REQUEST_TIMEOUT);
    request
}

#[async_trait]
impl Transport for GrpcTransport {
    async fn get(&self, request: GetRequest) -> Result<Bytes, Error> {
        let answer = self.client.clone().get(timed(request)).await.map_err(Error::from_grpc)?;
        Ok(answer.into_inner().json)
    }

    async fn list(&self, request: ListRequest) -> Result<(Vec<Bytes>, u64), Error> {
        let mut chunks =
            self.client.clone().list(timed(request)).await.map_err(Error::from_grpc)?.into_inner();
        let mut items = Vec::new();
        while let Some(chunk) = chunks.message().await.map_err(Error::from_grpc)? {
            items.extend(chunk.items);
            if chunk.last {
                return Ok((items, chunk.resource_version));
            }
        }
        Err(Error::Transport(Box::new(tonic::Status::unavailable("the list ended before its last chunk"))))
    }

    async fn create(&self, request: CreateRequest) -> Result<Bytes, Error> {
        let answer = self.client.clone().create(timed(request)).await.map_err(Error::from_grpc)?;
        Ok(answer.into_inner().json)
    }

    async fn update(&self, request: UpdateRequest) -> Result<Bytes, Error> {
        let answer = self.client.clone().update(timed(request)).await.map_err(Error::from_grpc)?;
        Ok(answer.into_inner().json)
    }

    async fn patch(&self, request: PatchRequest) -> Result<Bytes, Error> {
        let answer = self.client.clone().patch(timed(request)).await.map_err(Error::from_grpc)?;
        Ok(answer.into_inner().json)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<Bytes, Error> {
        let answer = self.client.clone().delete(timed(request)).await.map_err(Error::from_grpc)?;
        Ok(answer.into_inner().json)
    }

    async fn discover(&self) -> Result<Vec<ResourceType>, Error> {
        let answer =
            self.client.clone().discover(timed(DiscoverRequest {})).await.map_err(Error::from_grpc)?;
        Ok(answer.into_inner().resources)
    }

    async fn watch(&self, requests: mpsc::Receiver<WatchRequest>) -> Result<WatchStream, Error> {
        let stream =
            self.client.clone().watch(ReceiverStream::new(requests)).await.map_err(Error::from_grpc)?;
        Ok(stream.into_inner().map(|answer| answer.map_err(Error::from_grpc)).boxed())
    }
}
