//! The patch types that compute a new object from the old one and a patch: [`json`], [`merge`], [`strategic`].
//!
//! All three take the object as it is served and give the object as the patch leaves it, *unchecked*: the caller
//! passes the result through [`super::decode::patched`], which reports unknown members and wrong types.
//! Server-side apply is no patch of this sort; it is in [`super::managed_fields`].

mod directives;
mod json;
mod merge;
mod order;
mod strategic;

#[cfg(test)]
mod patch_test;

pub use json::json;
pub use merge::merge;
pub use strategic::strategic;

use crate::error::{ApiError, StatusCause, StatusDetails};

/// 422 for a well-formed patch that cannot be applied; the reason travels as a cause.
fn unprocessable(why: impl Into<String>) -> ApiError {
    let cause =
        StatusCause { reason: "UnexpectedServerResponse".into(), message: why.into(), field: String::new() };
    let details = StatusDetails { causes: vec![cause], ..Default::default() };
    ApiError::new(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        Some(details),
    )
}
