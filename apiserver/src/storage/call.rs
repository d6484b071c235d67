//! One call to whichever member answers it.
//!
//! A read is asked again elsewhere until somebody answers. A change is asked once: a member that fell silent may have
//! made it, or may make it when it wakes up, so nobody else is asked and the outcome is a timeout. Only what certainly
//! reached nobody, because no connection came about, goes to another member.

use std::error::Error as _;
use std::future::Future;

use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{ConnectError, Response, Status};

use super::StoreError;
use super::members::{Line, Members};
use crate::limits;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Always,
    Unsent,
}

/// What became of one attempt.
enum Attempt<T> {
    Answered(T),
    /// Nobody has seen it.
    Unsent(StoreError),
    /// The connection ended before an answer came.
    Broken(StoreError),
    Refused(StoreError),
    /// Given up without an answer.
    Silent,
}

impl Members {
    /// A call that may be made twice.
    pub(super) async fn repeatable<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.repeated(Repeat::Always, call).await
    }

    /// A call that must not be made twice.
    pub(super) async fn once<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.repeated(Repeat::Unsent, call).await
    }

    async fn repeated<T, F>(&self, repeat: Repeat, call: impl Fn(Channel) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + limits::ETCD_CALL_TIMEOUT;
        loop {
            let line = self.pick();
            let attempt = tokio::select! {
                answer = call(line.channel.clone()) => Attempt::of(answer),
                () = given_up(repeat, &line) => Attempt::Silent,
                () = tokio::time::sleep_until(deadline) => return Err(StoreError::Timeout),
            };
            let error = match attempt {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Unsent(error) => {
                    self.doubt(&line);
                    error
                }
                Attempt::Broken(error) | Attempt::Refused(error @ StoreError::Unavailable(_))
                    if repeat == Repeat::Always =>
                {
                    error
                }
                Attempt::Broken(error) | Attempt::Refused(error) => return Err(error),
                Attempt::Silent if repeat == Repeat::Always => StoreError::Timeout,
                Attempt::Silent => return Err(StoreError::Timeout),
            };
            if Instant::now() + limits::RECONNECT_DELAY >= deadline {
                return Err(error);
            }
            tokio::time::sleep(limits::RECONNECT_DELAY).await;
        }
    }
}

/// A change waits for its answer as long as there is hope.
async fn given_up(repeat: Repeat, line: &Line) {
    match repeat {
        Repeat::Always => line.doubted().await,
        Repeat::Unsent => line.lost().await,
    }
}

impl<T> Attempt<T> {
    fn of(answer: Result<Response<T>, Status>) -> Attempt<T> {
        match answer {
            Ok(response) => Attempt::Answered(response.into_inner()),
            Err(status) if is_unsent(&status) => Attempt::Unsent(status.into()),
            // What the member itself has said has no cause on this side.
            Err(status) if status.source().is_some() => {
                Attempt::Broken(StoreError::Unavailable(status.message().to_owned()))
            }
            Err(status) => Attempt::Refused(status.into()),
        }
    }
}

/// Whether there was no connection to send it over.
fn is_unsent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
