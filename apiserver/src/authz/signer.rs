//! Who may decide on certificate signing requests: approving and signing take a right on the signer besides the one
//! on the request.
//!
//! The right is verb `approve` or `sign` on `signers.certificates.k8s.io`, by the signer's name or by `domain/*`.
//! Source: admission plugins CertificateApproval and CertificateSigning of kube-apiserver (behaviour and texts).

use serde_json::Value;

use super::Authorizer;
use crate::error::{ApiError, GroupResource};
use crate::request::{RequestInfo, User};

const GROUP: &str = "certificates.k8s.io";

/// For changes of signing requests through `/approval` and `/status`; every other request passes.
pub fn check_signer(
    authorizer: &Authorizer,
    user: &User,
    request: &RequestInfo,
    new: &Value,
    old: &Value,
) -> Result<(), ApiError> {
    if request.api_group != GROUP || request.resource != "certificatesigningrequests" {
        return Ok(());
    }
    let verb = match request.subresource.as_str() {
        "approval" => "approve",
        "status" if is_signed_now(new, old) => "sign",
        _ => return Ok(()),
    };
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    let domain = signer.split('/').next().unwrap_or_default();
    let may = |name: String| {
        let asked = RequestInfo {
            is_resource_request: true,
            verb: verb.to_owned(),
            api_group: GROUP.to_owned(),
            api_version: "*".to_owned(),
            resource: "signers".to_owned(),
            name,
            ..RequestInfo::default()
        };
        authorizer.authorize(user, &asked).allowed
    };
    if may(signer.to_owned()) || may(format!("{domain}/*")) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName \"{signer}\"");
    Err(ApiError::forbidden(&GroupResource::new(GROUP, &request.resource), &request.name, &why))
}

fn is_signed_now(new: &Value, old: &Value) -> bool {
    let failed = |request: &Value| {
        request["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Failed")
    };
    new["status"]["certificate"] != old["status"]["certificate"] || failed(new) != failed(old)
}
