//! Service account tokens of pods, asked for once and renewed before they end.

use std::collections::HashMap;
use std::sync::Arc;

use balsa_proto::client::{self, ObjectKey};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccountTokenProjection};
use parking_lot::Mutex;

use crate::api_link::ApiLink;
use crate::limits;
use crate::pod::facts;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to fetch token: {0}")]
    Request(#[source] client::Error),
    #[error("failed to fetch token: the API server answered without one")]
    Empty,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub token: String,
    pub renew_at: Timestamp,
    expires_at: Timestamp,
}

/// By pod uid, volume and path.
type Key = (String, String, String);

pub struct Tokens {
    link: Arc<dyn ApiLink>,
    held: Mutex<HashMap<Key, Token>>,
}

impl Tokens {
    pub fn new(link: Arc<dyn ApiLink>) -> Self {
        Self { link, held: Mutex::default() }
    }

    /// A token that is still good is kept when the API server cannot renew it now.
    pub async fn get(
        &self,
        pod: &Pod,
        volume: &str,
        source: &ServiceAccountTokenProjection,
    ) -> Result<Token, Error> {
        let key = (facts::uid(pod).to_owned(), volume.to_owned(), source.path.clone());
        let held = self.held.lock().get(&key).cloned();
        let now = Timestamp::now();
        match held {
            Some(token) if token.renew_at > now => Ok(token),
            old => match (self.request(pod, source).await, old) {
                (Ok(token), _) => {
                    self.held.lock().insert(key, token.clone());
                    Ok(token)
                }
                (Err(_), Some(old)) if old.expires_at > now => {
                    let pause = SignedDuration::try_from(limits::VOLUME_BACKOFF.longest).unwrap_or_default();
                    Ok(Token { renew_at: now + pause, ..old })
                }
                (Err(error), _) => Err(error),
            },
        }
    }

    pub fn forget(&self, pod_uid: &str) {
        self.held.lock().retain(|(uid, _, _), _| uid != pod_uid);
    }

    async fn request(&self, pod: &Pod, source: &ServiceAccountTokenProjection) -> Result<Token, Error> {
        let spec = facts::spec(pod);
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        let seconds = source.expiration_seconds.unwrap_or(limits::TOKEN_SECONDS);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(source.audience.iter().cloned().collect()),
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(facts::name(pod).to_owned()),
                    uid: pod.metadata.uid.clone(),
                }),
            }),
            ..TokenRequest::default()
        };
        let key = ObjectKey::new(facts::namespace(pod), account);
        let answer = self.link.service_account_token(&key, &request).await.map_err(Error::Request)?;
        let status = answer.status.ok_or(Error::Empty)?;
        let now = Timestamp::now();
        let expires_at =
            status.expiration_timestamp.map_or(now + SignedDuration::from_secs(seconds), |t| t.0);
        Ok(Token {
            token: status.token.ok_or(Error::Empty)?,
            renew_at: renew_at(now, expires_at),
            expires_at,
        })
    }
}

fn renew_at(now: Timestamp, expires_at: Timestamp) -> Timestamp {
    let life = expires_at.duration_since(now).as_secs();
    let part = (life * limits::TOKEN_REFRESH_PERCENT / 100).min(limits::TOKEN_REFRESH_LONGEST_SECONDS);
    now + SignedDuration::from_secs(part.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_at_eighty_percent_and_daily_at_the_latest() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |seconds| renew_at(now, now + SignedDuration::from_secs(seconds)).as_second();
        assert_eq!([after(3600), after(600), after(365 * 86400)], [2880, 480, 86400]);
    }
}
