//! One watch on a kind as an informer keeps it: list, watch from there, resume where a stream broke, list again when
//! history is gone. All that it is told is recorded under one number.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use tokio::time::timeout;

use super::api::{ApiContext, Kind, seen, version_of};
use crate::history::Record;
use crate::history::object::{ObjectSight, ObjectWatchRecord};

/// The server ends a stream after this time, so that one that is silent for longer is known to be broken.
const STREAM_SECONDS: u32 = 10;
const SILENCE_MAX: Duration = Duration::from_secs(12);
const RETRY_AFTER: Duration = Duration::from_millis(300);

pub struct ObjectWatcher {
    /// Unique in the run.
    pub watch: u32,
    pub kind: Kind,
    /// Empty: all.
    pub namespace: String,
}

enum End {
    Stopped,
    /// Goes on from the version that was last seen.
    Resume,
    ListAgain,
}

impl ObjectWatcher {
    pub async fn run(self, context: ApiContext) {
        let client = match context.connect().await {
            Ok(client) => client,
            Err(error) => return self.broken(&context, format!("{error:#}")).await,
        };
        let resource = self.kind.resource();
        let api: Api<DynamicObject> = match self.namespace.as_str() {
            "" => Api::all_with(client, &resource),
            namespace => Api::namespaced_with(client, namespace, &resource),
        };
        while !context.stop.is_cancelled() {
            if let Some(mut version) = self.list(&context, &api).await {
                while matches!(self.stream(&context, &api, &mut version).await, End::Resume) {}
            }
            context.pause(RETRY_AFTER).await;
        }
    }

    async fn list(&self, context: &ApiContext, api: &Api<DynamicObject>) -> Option<String> {
        match timeout(context.timeout, api.list(&ListParams::default())).await {
            Ok(Ok(list)) => {
                let version = list.metadata.resource_version?;
                let objects = list.items.iter().filter_map(|object| seen(self.kind, object)).collect();
                let listed = ObjectSight::Listed { version: version_of(Some(&version)), objects };
                self.record(context, listed).await;
                Some(version)
            }
            Ok(Err(error)) => {
                self.broken(context, error.to_string()).await;
                None
            }
            Err(_) => {
                self.broken(context, "the list was not answered in time".to_owned()).await;
                None
            }
        }
    }

    async fn stream(&self, context: &ApiContext, api: &Api<DynamicObject>, version: &mut String) -> End {
        let parameters = WatchParams::default().timeout(STREAM_SECONDS);
        let from = version.clone();
        let opened = tokio::select! {
            () = context.stop.cancelled() => return End::Stopped,
            opened = timeout(context.timeout, api.watch(&parameters, &from)) => opened,
        };
        let events = match opened {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return self.refused(context, &error).await,
            Err(_) => {
                self.broken(context, "the watch was not opened in time".to_owned()).await;
                return self.after_a_pause(context).await;
            }
        };
        let mut events = pin!(events);
        loop {
            let event = tokio::select! {
                () = context.stop.cancelled() => return End::Stopped,
                event = timeout(SILENCE_MAX, events.next()) => event,
            };
            match event {
                Ok(Some(Ok(event))) => {
                    if let Some(end) = self.take(context, event, version).await {
                        return end;
                    }
                }
                Ok(Some(Err(error))) => return self.refused(context, &error).await,
                // Its time is over.
                Ok(None) => return End::Resume,
                Err(_) => {
                    self.broken(context, format!("nothing was heard for {SILENCE_MAX:?}")).await;
                    return self.after_a_pause(context).await;
                }
            }
        }
    }

    async fn take(
        &self,
        context: &ApiContext,
        event: WatchEvent<DynamicObject>,
        version: &mut String,
    ) -> Option<End> {
        let sight = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                version.clone_from(object.metadata.resource_version.as_ref()?);
                ObjectSight::Applied(seen(self.kind, &object)?)
            }
            WatchEvent::Deleted(object) => {
                version.clone_from(object.metadata.resource_version.as_ref()?);
                ObjectSight::Deleted(seen(self.kind, &object)?)
            }
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                ObjectSight::Bookmark { version: version_of(Some(version)) }
            }
            WatchEvent::Error(status) if status.code == 410 => {
                self.record(context, ObjectSight::Expired).await;
                return Some(End::ListAgain);
            }
            WatchEvent::Error(status) => {
                self.broken(context, format!("{} {}", status.code, status.message)).await;
                return Some(self.after_a_pause(context).await);
            }
        };
        self.record(context, sight).await;
        None
    }

    async fn refused(&self, context: &ApiContext, error: &kube::Error) -> End {
        if matches!(error, kube::Error::Api(status) if status.code == 410) {
            self.record(context, ObjectSight::Expired).await;
            return End::ListAgain;
        }
        self.broken(context, error.to_string()).await;
        self.after_a_pause(context).await
    }

    async fn after_a_pause(&self, context: &ApiContext) -> End {
        if context.pause(RETRY_AFTER).await { End::Resume } else { End::Stopped }
    }

    async fn broken(&self, context: &ApiContext, error: String) {
        self.record(context, ObjectSight::Broken { error }).await;
    }

    async fn record(&self, context: &ApiContext, sight: ObjectSight) {
        let scope = match self.namespace.as_str() {
            "" => self.kind.name().to_owned(),
            namespace => format!("{} {namespace}", self.kind.name()),
        };
        let at_us = context.recorder.now_us();
        let record = ObjectWatchRecord { watch: self.watch, scope, at_us, sight };
        context.recorder.record(Record::ObjectWatch(record)).await;
    }
}
