//! Service account tokens: what they claim and when they count.
//!
//! A token counts while its signature, issuer, audience and times are right *and* what it is bound to still
//! exists with the same uid: the service account always, and the pod, secret or node it names. So a deleted pod's
//! token is dead at the revision that deleted the pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::{Validation, decode, decode_header};
use serde::{Deserialize, Serialize};

use super::add_authenticated;
use super::keys::TokenKeys;
use crate::authz::service_account_user;
use crate::cache::Reader;
use crate::kinds;
use crate::request::User;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub aud: Vec<String>,
    /// Unix seconds, as `iat` and `nbf`.
    pub exp: i64,
    pub iat: i64,
    pub iss: String,
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: KubernetesClaims,
    pub nbf: i64,
    pub sub: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KubernetesClaims {
    pub namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    pub serviceaccount: Reference,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

pub struct TokenVerifier {
    pub keys: TokenKeys,
    pub issuer: String,
    pub api_audiences: Vec<String>,
    pub reader: Arc<dyn Reader>,
}

impl TokenVerifier {
    /// For requests to this server.
    pub fn authenticate(&self, token: &str) -> Option<User> {
        self.authenticate_for(token, &self.api_audiences).map(|(user, _)| user)
    }

    /// The user, and which of `audiences` the token is for.
    pub fn authenticate_for(&self, token: &str, audiences: &[String]) -> Option<(User, Vec<String>)> {
        let claims = self.verified_claims(token, audiences)?;
        let bound = &claims.kubernetes;
        if claims.sub != service_account_user(&bound.namespace, &bound.serviceaccount.name)
            || !self.is_alive(bound)
        {
            return None;
        }
        let shared = audiences.iter().filter(|audience| claims.aud.contains(audience)).cloned().collect();
        Some((user_of(&claims), shared))
    }

    fn verified_claims(&self, token: &str, audiences: &[String]) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        self.keys.candidates(header.kid.as_deref()).find_map(|candidate| {
            let mut validation = Validation::new(candidate.algorithm);
            validation.set_audience(audiences);
            validation.set_issuer(&[&self.issuer]);
            validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
            validation.validate_nbf = true;
            decode::<Claims>(token, &candidate.key, &validation).ok().map(|data| data.claims)
        })
    }

    fn is_alive(&self, bound: &KubernetesClaims) -> bool {
        let namespace = bound.namespace.as_str();
        if !self.exists("serviceaccounts", namespace, &bound.serviceaccount) {
            return false;
        }
        if let Some(pod) = &bound.pod {
            return self.exists("pods", namespace, pod);
        }
        if let Some(secret) = &bound.secret {
            return self.exists("secrets", namespace, secret);
        }
        bound.node.as_ref().is_none_or(|node| self.exists("nodes", "", node))
    }

    fn exists(&self, plural: &str, namespace: &str, reference: &Reference) -> bool {
        kinds::lookup("", "v1", plural)
            .and_then(|kind| self.reader.get(kind, namespace, &reference.name))
            .is_some_and(|object| object.uid == reference.uid)
    }
}

fn user_of(claims: &Claims) -> User {
    let bound = &claims.kubernetes;
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: String| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    add("credential-id", format!("JTI={}", claims.jti));
    if let Some(pod) = &bound.pod {
        add("pod-name", pod.name.clone());
        add("pod-uid", pod.uid.clone());
    }
    if let Some(node) = &bound.node {
        add("node-name", node.name.clone());
        add("node-uid", node.uid.clone());
    }
    User {
        name: claims.sub.clone(),
        uid: bound.serviceaccount.uid.clone(),
        groups: service_account_groups(&bound.namespace),
        extra,
    }
}

pub fn service_account_groups(namespace: &str) -> Vec<String> {
    let mut groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    add_authenticated(&mut groups);
    groups
}
