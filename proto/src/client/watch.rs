//! The watch link: many subscriptions over one bidirectional stream.
//!
//! In: subscriptions. Out: one bounded channel of answers per subscription.
//! Promised: answers of a subscription arrive in order; a channel that closes without an answer that ends the
//! subscription means that the stream broke, and the subscriber subscribes again from where it was.
//! Not promised: that one slow subscriber does not slow the others down (they share a stream).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::error::Error;
use super::transport::{Transport, WatchStream};
use crate::resources::watch_request::Request;
use crate::resources::watch_response::Response;
use crate::resources::{WatchCancel, WatchCreate, WatchRequest, WatchResponse};

/// Answers buffered per subscription before the stream waits for its reader.
const ANSWERS_PER_SUBSCRIPTION: usize = 256;
const REQUESTS_IN_FLIGHT: usize = 256;
/// First and longest wait before a broken stream is opened again.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Cheap handle to the task that owns the stream. The task ends with the last handle.
#[derive(Clone)]
pub struct WatchLink {
    commands: Arc<std::sync::OnceLock<mpsc::Sender<Command>>>,
    transport: Arc<dyn Transport>,
}

struct Command {
    create: WatchCreate,
    subscription: oneshot::Sender<Subscription>,
}

/// The reading end of one subscription; dropping it cancels.
pub struct Subscription {
    answers: mpsc::Receiver<Response>,
}

impl Subscription {
    /// None: the stream broke, or the answer before ended the subscription.
    pub async fn next(&mut self) -> Option<Response> {
        self.answers.recv().await
    }
}

impl WatchLink {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { commands: Arc::default(), transport }
    }

    /// Subscribes as soon as the stream is up; `watch_id` of `create` is chosen here. None when the runtime ends.
    pub(super) async fn subscribe(&self, create: WatchCreate) -> Option<Subscription> {
        let commands = self.commands.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(REQUESTS_IN_FLIGHT);
            tokio::spawn(Driver::new(self.transport.clone(), receiver).run());
            sender
        });
        let (answer, subscription) = oneshot::channel();
        commands.send(Command { create, subscription: answer }).await.ok()?;
        subscription.await.ok()
    }
}

/// Owns the stream and the table of subscriptions.
struct Driver {
    transport: Arc<dyn Transport>,
    commands: mpsc::Receiver<Command>,
    subscriptions: HashMap<u64, mpsc::Sender<Response>>,
    next_id: u64,
}

impl Driver {
    fn new(transport: Arc<dyn Transport>, commands: mpsc::Receiver<Command>) -> Self {
        Self { transport, commands, subscriptions: HashMap::new(), next_id: 1 }
    }

    async fn run(mut self) {
        let mut wait = RECONNECT_MIN;
        // A stream is opened only when somebody wants it.
        while let Some(first) = self.commands.recv().await {
            let (requests, outgoing) = mpsc::channel(REQUESTS_IN_FLIGHT);
            let opening = self.transport.watch(outgoing);
            // The server answers headers at once; a failure is retried with the same first command.
            match opening.await {
                Ok(stream) => {
                    wait = RECONNECT_MIN;
                    self.serve(stream, requests, first).await;
                    self.subscriptions.clear();
                }
                Err(error) => {
                    tracing::debug!(%error, "watch stream could not be opened");
                    drop(first);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RECONNECT_MAX);
                }
            }
        }
    }

    /// Until the stream breaks or the last handle is gone.
    async fn serve(&mut self, mut stream: WatchStream, requests: mpsc::Sender<WatchRequest>, first: Command) {
        if !self.begin(&requests, first).await {
            return;
        }
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => if !self.begin(&requests, command).await { return },
                    None => return,
                },
                answer = stream.next() => match answer {
                    Some(Ok(answer)) => self.deliver(&requests, answer).await,
                    Some(Err(error)) => return log_break(&error),
                    None => return,
                },
            }
        }
    }

    /// False if the stream no longer takes requests.
    async fn begin(&mut self, requests: &mpsc::Sender<WatchRequest>, command: Command) -> bool {
        let watch_id = self.next_id;
        self.next_id += 1;
        let (sender, answers) = mpsc::channel(ANSWERS_PER_SUBSCRIPTION);
        self.subscriptions.insert(watch_id, sender);
        if command.subscription.send(Subscription { answers }).is_err() {
            self.subscriptions.remove(&watch_id);
            return true;
        }
        let create = Request::Create(WatchCreate { watch_id, ..command.create });
        requests.send(WatchRequest { request: Some(create) }).await.is_ok()
    }

    async fn deliver(&mut self, requests: &mpsc::Sender<WatchRequest>, answer: WatchResponse) {
        let Some(response) = answer.response else { return };
        let Some(subscriber) = self.subscriptions.get(&answer.watch_id) else { return };
        let ends = matches!(response, Response::Compacted(_) | Response::Ended(_));
        if subscriber.send(response).await.is_err() && !ends {
            let cancel = Request::Cancel(WatchCancel { watch_id: answer.watch_id });
            // A full or closed request channel means that the stream is ending anyway.
            let _ = requests.try_send(WatchRequest { request: Some(cancel) });
            self.subscriptions.remove(&answer.watch_id);
        }
        if ends {
            self.subscriptions.remove(&answer.watch_id);
        }
    }
}

fn log_break(error: &Error) {
    tracing::debug!(%error, "watch stream broke; subscriptions resume on a new one");
}
