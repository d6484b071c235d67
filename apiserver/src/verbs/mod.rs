//! One verb per file, generic over kinds. Both doors (REST and gRPC) call these.

pub mod apply;
pub mod binding;
pub mod component_status;
pub mod create;
pub mod delete;
pub mod delete_collection;
pub mod eviction;
pub mod finalize;
pub mod get;
pub mod list;
pub mod patch;
pub mod scale;
pub mod select;
pub mod update;
pub mod watch;
