//! The calls of the door, one function each: resolve, authorize, call the verb, encode.

use std::pin::Pin;

use balsa_proto::resources as pb;
use balsa_proto::resources::resources_server::Resources;
use bytes::Bytes;
use futures::Stream;
use serde_json::Value;
use tonic::{Request, Response, Status};

use super::{Door, admitted, to_status, user_of, watch};
use crate::cache::{CachedObject, encode};
use crate::error::ApiError;
use crate::http::render;
use crate::http::writing::product_of;
use crate::kinds;
use crate::limits;
use crate::pipeline::body::{self, Decoded};
use crate::pipeline::{Target, Writer, reviews};
use crate::request::User;
use crate::schema::FieldValidation;
use crate::schema::managed_fields::apply_body;
use crate::verbs::delete::DeleteOptions;
use crate::verbs::list::{ListOptions, Listed};
use crate::verbs::patch::{Patch, PatchType};
use crate::verbs::select::Selection;
use crate::verbs::{apply, binding, create, delete, eviction, finalize, get, list, patch, scale, update};

type Answer = Result<Response<pb::Object>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Resources for Door {
    type WatchStream = Streamed<pb::WatchResponse>;
    type ListStream = Streamed<pb::ListResponse>;

    async fn watch(
        &self,
        request: Request<tonic::Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let user = user_of(&request).map_err(|error| to_status(&error))?;
        let session = watch::Session::new(self.api.clone(), user, self.shutdown.clone());
        Ok(Response::new(Box::pin(session.run(request.into_inner()))))
    }

    async fn list(&self, request: Request<pb::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let user = user_of(&request).map_err(|error| to_status(&error))?;
        let message = request.into_inner();
        let (target, listed) = self.listed(&user, &message).await.map_err(|error| to_status(&error))?;
        let is_metadata = message.projection() == pb::Projection::Metadata;
        Ok(Response::new(Box::pin(list_chunks(target, listed, is_metadata))))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Answer {
        let user = user_of(&request).map_err(|error| to_status(&error))?;
        answered(self.get_object(&user, request.into_inner()).await)
    }

    async fn create(&self, request: Request<pb::CreateRequest>) -> Answer {
        let (user, agent) = caller(&request)?;
        answered(self.create_object(user, agent, request.into_inner()).await)
    }

    async fn update(&self, request: Request<pb::UpdateRequest>) -> Answer {
        let (user, agent) = caller(&request)?;
        answered(self.update_object(user, agent, request.into_inner()).await)
    }

    async fn patch(&self, request: Request<pb::PatchRequest>) -> Answer {
        let (user, agent) = caller(&request)?;
        answered(self.patch_object(user, agent, request.into_inner()).await)
    }

    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Answer {
        let (user, agent) = caller(&request)?;
        answered(self.delete_object(user, agent, request.into_inner()).await)
    }

    async fn discover(
        &self,
        _request: Request<pb::DiscoverRequest>,
    ) -> Result<Response<pb::DiscoverResponse>, Status> {
        // Each resource once: in the version of its group that is preferred.
        let preferred = kinds::all().iter().filter(|kind| {
            kinds::lookup_resource(kind.group, kind.plural).is_some_and(|first| first.version == kind.version)
        });
        let resources = preferred.map(|kind| pb::ResourceType {
            group: kind.group.to_owned(),
            version: kind.version.to_owned(),
            resource: kind.plural.to_owned(),
            kind: kind.kind.to_owned(),
            namespaced: kind.namespaced,
            verbs: kind.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        });
        Ok(Response::new(pb::DiscoverResponse { resources: resources.collect() }))
    }
}

/// JSON and warnings of an answer.
type Made = (Bytes, Vec<String>);

fn answered(outcome: Result<Made, ApiError>) -> Answer {
    match outcome {
        Ok((json, warnings)) => Ok(Response::new(pb::Object { json, warnings })),
        Err(error) => Err(to_status(&error)),
    }
}

fn caller<M>(request: &Request<M>) -> Result<(User, String), Status> {
    let user = user_of(request).map_err(|error| to_status(&error))?;
    let agent =
        request.metadata().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok((user, product_of(agent)))
}

fn writer(user: User, agent: String, field_manager: String, dry_run: bool) -> Writer {
    let manager = if field_manager.is_empty() { agent } else { field_manager };
    Writer { user, manager, dry_run }
}

fn json_of(target: &Target, object: &CachedObject) -> Bytes {
    render::object_json(target.kind, object)
}

impl Door {
    async fn listed(&self, user: &User, message: &pb::ListRequest) -> Result<(Target, Listed), ApiError> {
        let target = admitted(self, user, "list", message.target.clone())?;
        let selection = Selection::parse(&target, &message.label_selector, &message.field_selector)?;
        let listed = list::list(&self.api, &target, &selection, &ListOptions::default()).await?;
        Ok((target, listed))
    }

    async fn get_object(&self, user: &User, message: pb::GetRequest) -> Result<Made, ApiError> {
        let is_metadata = message.projection() == pb::Projection::Metadata;
        let target = admitted(self, user, "get", message.target)?;
        if target.subresource == "scale" {
            return Ok((encode::served(&scale::get(&self.api, &target).await?), Vec::new()));
        }
        let object = get::get(&self.api, &target, None).await?;
        let json = if is_metadata { render::metadata_json(&object) } else { json_of(&target, &object) };
        Ok((json, Vec::new()))
    }

    async fn create_object(
        &self,
        user: User,
        agent: String,
        message: pb::CreateRequest,
    ) -> Result<Made, ApiError> {
        let target = admitted(self, &user, "create", message.target)?;
        let writer = writer(user, agent, message.field_manager, message.dry_run);
        let value = match target.subresource.as_str() {
            "" => return self.create_main(&target, &writer, &message.json).await,
            "binding" => {
                let binding = body::plain(&message.json, "json", "Binding")?;
                binding::bind(&self.api, &target, &writer, &binding).await?;
                success()
            }
            "eviction" => {
                let eviction = body::plain(&message.json, "json", "Eviction")?;
                eviction::evict(&self.api, &target, &writer, &eviction).await?;
                success()
            }
            "token" => {
                let wish = body::plain(&message.json, "json", "TokenRequest")?;
                encode::served(&reviews::token(&self.api, &target, wish)?)
            }
            _ => return Err(ApiError::method_not_allowed()),
        };
        Ok((value, Vec::new()))
    }

    async fn create_main(&self, target: &Target, writer: &Writer, json: &[u8]) -> Result<Made, ApiError> {
        let Decoded { object, warnings } = body::decode(target.kind, json, "json", FieldValidation::Warn)?;
        if target.kind.prefix().is_none() {
            let (_, value) = reviews::answer(&self.api, target, writer, object).await?;
            return Ok((encode::served(&value), warnings));
        }
        let made = create::create(&self.api, target, writer, object).await?;
        Ok((json_of(target, &made), warnings))
    }

    async fn update_object(
        &self,
        user: User,
        agent: String,
        message: pb::UpdateRequest,
    ) -> Result<Made, ApiError> {
        let target = admitted(self, &user, "update", message.target)?;
        let writer = writer(user, agent, message.field_manager, message.dry_run);
        if target.subresource == "scale" {
            let wish = body::plain(&message.json, "json", "Scale")?;
            let value: Value = scale::update(&self.api, &target, &writer, &wish).await?;
            return Ok((encode::served(&value), Vec::new()));
        }
        let Decoded { object, warnings } =
            body::decode(target.kind, &message.json, "json", FieldValidation::Warn)?;
        let object = if target.subresource == "finalize" {
            finalize::finalize(&self.api, &target, &writer, &object).await?
        } else {
            update::update(&self.api, &target, &writer, object).await?.object
        };
        Ok((json_of(&target, &object), warnings))
    }

    async fn patch_object(
        &self,
        user: User,
        agent: String,
        message: pb::PatchRequest,
    ) -> Result<Made, ApiError> {
        let patch_type = match message.r#type() {
            pb::patch_request::Type::Json => Some(PatchType::Json),
            pb::patch_request::Type::Merge => Some(PatchType::Merge),
            pb::patch_request::Type::Strategic => Some(PatchType::Strategic),
            pb::patch_request::Type::Apply => None,
        };
        let target = admitted(self, &user, "patch", message.target)?;
        let writer = writer(user, agent, message.field_manager, message.dry_run);
        let Some(patch_type) = patch_type else {
            let (object, warnings) = apply_body(&message.body, FieldValidation::Warn)?;
            let wish = apply::Apply { object, force: message.force };
            let written = apply::apply(&self.api, &target, &writer, wish).await?;
            return Ok((json_of(&target, &written.object), warnings));
        };
        let patch = Patch { patch_type, body: &message.body, validation: FieldValidation::Warn };
        if target.subresource == "scale" {
            let value = scale::patch(&self.api, &target, &writer, &patch).await?;
            return Ok((encode::served(&value), Vec::new()));
        }
        let (object, warnings) = patch::patch(&self.api, &target, &writer, &patch).await?;
        Ok((json_of(&target, &object), warnings))
    }

    async fn delete_object(
        &self,
        user: User,
        agent: String,
        message: pb::DeleteRequest,
    ) -> Result<Made, ApiError> {
        let target = admitted(self, &user, "delete", message.target)?;
        let options = DeleteOptions::parse(&message.options)?;
        let writer = writer(user, agent, String::new(), !options.dry_run.is_empty());
        let deleted = delete::delete(&self.api, &target, &writer, &options).await?;
        Ok((json_of(&target, &deleted.object), Vec::new()))
    }
}

fn success() -> Bytes {
    Bytes::from(crate::error::Status::success(None).to_json())
}

/// Chunks of about a frame each; the last one says so, even when nothing is listed.
fn list_chunks(
    target: Target,
    listed: Listed,
    is_metadata: bool,
) -> impl Stream<Item = Result<pb::ListResponse, Status>> + Send {
    let revision = listed.revision;
    let mut items = listed.items.into_iter().peekable();
    let mut done = false;
    futures::stream::iter(std::iter::from_fn(move || {
        if done {
            return None;
        }
        let mut chunk = pb::ListResponse::default();
        let mut size_bytes = 0;
        while size_bytes < limits::LIST_CHUNK_BYTES
            && let Some(object) = items.next()
        {
            let json = if is_metadata { render::metadata_json(&object) } else { json_of(&target, &object) };
            size_bytes += json.len();
            chunk.items.push(json);
        }
        if items.peek().is_none() {
            done = true;
            chunk.last = true;
            chunk.resource_version = revision;
        }
        Some(Ok(chunk))
    }))
}
