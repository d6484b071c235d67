//! `grpc.health.v1.Health`: the server as a whole serves from the moment its port answers until it stops.

use balsa_proto::health::health_check_response::ServingStatus;
use balsa_proto::health::health_server::Health;
use balsa_proto::health::{HealthCheckRequest, HealthCheckResponse};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::Shared;

/// The only service that is known by name: all of them.
const ALL_SERVICES: &str = "";

pub struct HealthService {
    shutdown: CancellationToken,
}

impl HealthService {
    pub fn new(shared: &Shared) -> Self {
        HealthService { shutdown: shared.shutdown.clone() }
    }

    fn now(&self) -> ServingStatus {
        if self.shutdown.is_cancelled() { ServingStatus::NotServing } else { ServingStatus::Serving }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if request.get_ref().service != ALL_SERVICES {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(answer(self.now())))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if request.get_ref().service != ALL_SERVICES {
            // It may become known, so that the stream stays open.
            let unknown = stream::once(async { Ok(answer(ServingStatus::ServiceUnknown)) });
            let open = unknown.chain(stream::pending()).take_until(self.shutdown.clone().cancelled_owned());
            return Ok(Response::new(open.boxed()));
        }
        let now = stream::iter([Ok(answer(self.now()))]);
        let shutdown = self.shutdown.clone();
        let end = stream::once(async move {
            shutdown.cancelled().await;
            Ok(answer(ServingStatus::NotServing))
        });
        Ok(Response::new(now.chain(end).boxed()))
    }
}
