//! What a call to another member goes through: a connection of tonic's, or a simulated network.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, Either, MapErr};
use futures::{FutureExt, TryFutureExt};
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{BoxError, Service};

use crate::server::connect::Connector;

/// Makes the way to a peer URL. Cheap to clone.
#[derive(Clone)]
pub enum Dialer {
    /// Over the network of this machine.
    Machine(Connector),
    Simulated(Arc<dyn Fn(&str) -> SimulatedCall + Send + Sync>),
}

/// Carries one call, and its answer back.
pub type SimulatedCall = Arc<dyn Fn(Request<Body>) -> Answer + Send + Sync>;

type Answer = BoxFuture<'static, Result<Response<Body>, BoxError>>;

/// Cheap to clone.
#[derive(Clone)]
pub enum PeerChannel {
    Machine(Channel),
    Simulated(SimulatedCall),
}

type MachineAnswer =
    MapErr<<Channel as Service<Request<Body>>>::Future, fn(tonic::transport::Error) -> BoxError>;

impl Service<Request<Body>> for PeerChannel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Either<MachineAnswer, Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            PeerChannel::Machine(channel) => channel.poll_ready(context).map_err(BoxError::from),
            PeerChannel::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Either<MachineAnswer, Answer> {
        match self {
            PeerChannel::Machine(channel) => {
                let boxed: fn(tonic::transport::Error) -> BoxError = BoxError::from;
                channel.call(request).map_err(boxed).left_future()
            }
            PeerChannel::Simulated(call) => call(request).right_future(),
        }
    }
}
