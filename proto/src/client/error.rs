//! What a call can answer besides success.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

/// A failed call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The server answered with a `metav1.Status`.
    #[error("{}", .0.message.as_deref().unwrap_or("the server answered with an error and no message"))]
    Api(Box<Status>),
    /// No answer of the server itself: connection, TLS, deadline, or a proxy in between.
    #[error("cannot reach the apiserver: {}", .0.message())]
    Transport(Box<tonic::Status>),
    #[error("decode {what} as sent by the apiserver: {message}")]
    Decode { what: &'static str, message: String },
    #[error("encode {what} for the apiserver: {message}")]
    Encode { what: &'static str, message: String },
    #[error("client configuration: {0}")]
    Config(String),
}

impl Error {
    /// The Status travels as JSON in the gRPC details; without it the failure is the transport's.
    pub(super) fn from_grpc(status: tonic::Status) -> Self {
        match serde_json::from_slice::<Status>(status.details()) {
            Ok(body) => Self::Api(Box::new(body)),
            Err(_) => Self::Transport(Box::new(status)),
        }
    }

    /// `NotFound`, `AlreadyExists`, `Conflict`, …; empty for failures of the transport.
    pub fn reason(&self) -> &str {
        match self {
            Self::Api(status) => status.reason.as_deref().unwrap_or(""),
            Self::Transport(_) | Self::Decode { .. } | Self::Encode { .. } | Self::Config(_) => "",
        }
    }

    /// The HTTP code of the Status, if there is one.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Api(status) => status.code,
            Self::Transport(_) | Self::Decode { .. } | Self::Encode { .. } | Self::Config(_) => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    pub fn is_forbidden(&self) -> bool {
        self.reason() == "Forbidden"
    }

    pub fn is_invalid(&self) -> bool {
        self.reason() == "Invalid"
    }

    /// The requested history has been compacted away.
    pub fn is_gone(&self) -> bool {
        matches!(self.reason(), "Expired" | "Gone")
    }

    /// The namespace is being emptied; creating in it will not work again.
    pub fn is_namespace_terminating(&self) -> bool {
        self.is_forbidden()
            && matches!(self, Self::Api(status) if status.details.iter().flat_map(|details| details.causes.iter().flatten())
                .any(|cause| cause.reason.as_deref() == Some("NamespaceTerminating")))
    }
}
