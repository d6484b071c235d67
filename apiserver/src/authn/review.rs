//! TokenReview (whose token is this?) and SelfSubjectReview (who am I?).

use serde_json::{Map, Value, json};

use super::Authenticator;
use crate::request::User;

impl Authenticator {
    /// A token that does not count is an answer, not an error.
    pub fn token_review(&self, mut review: Value) -> Value {
        let spec = &review["spec"];
        let token = spec["token"].as_str().unwrap_or_default().to_owned();
        let asked: Vec<String> = spec["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let audiences = if asked.is_empty() { &self.inner.tokens.api_audiences } else { &asked };
        review["status"] = match self.inner.tokens.authenticate_for(&token, audiences) {
            Some((user, audiences)) => {
                json!({"authenticated": true, "audiences": audiences, "user": user_info(&user)})
            }
            None if token.is_empty() => json!({"user": {}}),
            None => json!({"error": "invalid bearer token", "user": {}}),
        };
        review
    }

    pub fn self_subject_review(&self, user: &User, mut review: Value) -> Value {
        review["status"] = json!({"userInfo": user_info(user)});
        review
    }
}

fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    info.insert("username".into(), user.name.as_str().into());
    if !user.uid.is_empty() {
        info.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        info.insert("groups".into(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".into(), json!(user.extra));
    }
    Value::Object(info)
}
