//! The two ends of a call on the simulated network: bodies that come out of it, and bodies that go into it.

use std::sync::Arc;

use parking_lot::Mutex;

/// Held by the caller for as long as it wants the answer.
pub struct Guard {
    call: u64,
    gone: Arc<Mutex<Vec<u64>>>,
}

impl Guard {
    pub fn new(call: u64, gone: Arc<Mutex<Vec<u64>>>) -> Guard {
        Guard { call, gone }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.gone.lock().push(self.call);
    }
}

pub mod incoming {
    //! What arrives is a body that ends when its sender is dropped.

    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body::Frame;
    use tokio::sync::mpsc;
    use tonic::Status;
    use tonic::body::Body;

    use super::Guard;

    struct Arriving {
        frames: mpsc::UnboundedReceiver<Result<Frame<Bytes>, Status>>,
    }

    struct Guarded {
        body: Body,
        _guard: Guard,
    }

    pub fn body() -> (mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>, Body) {
        let (sender, frames) = mpsc::unbounded_channel();
        (sender, Body::new(Arriving { frames }))
    }

    /// Keeps the guard for as long as the body is read.
    pub fn guarded(body: Body, guard: Guard) -> Body {
        Body::new(Guarded { body, _guard: guard })
    }

    impl http_body::Body for Arriving {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.frames.poll_recv(context)
        }
    }

    impl http_body::Body for Guarded {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Pin::new(&mut self.body).poll_frame(context)
        }
    }
}

pub mod outgoing {
    //! What leaves is read frame by frame on the machine that sends it.

    use bytes::Bytes;
    use futures::FutureExt;
    use http_body::Frame;
    use http_body_util::BodyExt;
    use tokio::task::AbortHandle;
    use tonic::Status;
    use tonic::body::Body;

    use super::super::network::{Network, Packet};

    pub async fn collect(mut body: Body) -> Result<Vec<Frame<Bytes>>, Status> {
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame?);
        }
        Ok(frames)
    }

    /// What is there of the body is sent at once, and the rest by a task of its own: most requests are there as a whole.
    pub fn send_body(network: Network, call: u64, to_server: bool, body: Body) -> Option<AbortHandle> {
        let mut pump = Box::pin(pump(network, call, to_server, body));
        match pump.as_mut().now_or_never() {
            Some(()) => None,
            None => Some(tokio::spawn(pump).abort_handle()),
        }
    }

    /// Until the body ends.
    pub async fn pump(network: Network, call: u64, to_server: bool, mut body: Body) {
        loop {
            match body.frame().await {
                Some(Ok(frame)) => network.send(call, to_server, Packet::Frame(frame)),
                Some(Err(_)) => return network.send(call, to_server, Packet::Reset("the sender gave up")),
                None => return network.send(call, to_server, Packet::End),
            }
        }
    }
}
