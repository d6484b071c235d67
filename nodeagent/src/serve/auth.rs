//! Who asks, by certificate; and whether they may, by name or by a SubjectAccessReview.

use http::Method;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Context;

/// Subject of a certificate that the cluster's CA signed (the handshake has checked that).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
}

impl User {
    pub fn from_certificate(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der.as_ref()).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let organizations = subject.iter_organization().filter_map(|o| o.as_str().ok());
        Some(Self { name, groups: organizations.map(str::to_owned).collect() })
    }

    /// The API server's own client certificate has this name in every kubeadm cluster.
    fn is_trusted(&self) -> bool {
        self.name == "kube-apiserver-kubelet-client" || self.groups.iter().any(|g| g == "system:masters")
    }
}

/// The stock mapping of the agent's paths to subresources of `nodes`.
fn subresource(path: &str) -> &'static str {
    match path.trim_start_matches('/').split('/').next().unwrap_or_default() {
        "stats" => "stats",
        "metrics" => "metrics",
        "logs" => "log",
        "healthz" => "healthz",
        "pods" | "runningpods" => "pods",
        "configz" => "configz",
        _ => "proxy",
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

/// `Err`: the sentence of a 403.
pub async fn authorize(context: &Context, user: &User, method: &Method, path: &str) -> Result<(), String> {
    if user.is_trusted() {
        return Ok(());
    }
    let (verb, subresource) = (verb(method), subresource(path));
    let refused = format!(
        "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{subresource}])",
        user.name
    );
    let Some(link) = &context.link else { return Err(refused) };
    let review = SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        groups: Some(user.groups.iter().cloned().chain(["system:authenticated".to_owned()]).collect()),
        resource_attributes: Some(ResourceAttributes {
            verb: Some(verb.to_owned()),
            version: Some("v1".to_owned()),
            resource: Some("nodes".to_owned()),
            subresource: Some(subresource.to_owned()),
            name: Some(context.node_name.clone()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    };
    match link.is_allowed(review).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(refused),
    }
}
