//! The two kinds of tokens, and `--auth-token`, which chooses between them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::SimpleTokens;
use super::jwt::{JwtError, JwtTokens};
use crate::ctl::duration;

/// What `--auth-token` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TokenOptions {
    #[default]
    Simple,
    Jwt(JwtOptions),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOptions {
    pub method: Algorithm,
    pub public_key: Option<PathBuf>,
    pub private_key: Option<PathBuf>,
    pub ttl: Duration,
}

/// etcd's, where the option `ttl` is not given.
const DEFAULT_JWT_TTL: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenOptionsError {
    #[error("--auth-token: {0:?} is neither `simple` nor `jwt`")]
    Kind(String),
    #[error("--auth-token: `simple` takes no options; --auth-token-ttl sets how long tokens live")]
    SimpleOption,
    #[error("--auth-token: {0:?} is not of the form option=value")]
    Form(String),
    #[error("--auth-token: the option {0:?} is given twice")]
    Twice(String),
    #[error("--auth-token: {0:?} is none of the options sign-method, pub-key, priv-key, ttl")]
    Unknown(String),
    #[error(
        "--auth-token: jwt needs sign-method=, one of HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA"
    )]
    Method,
    #[error("--auth-token: jwt needs pub-key= to verify tokens, or priv-key= to sign them, or both")]
    NoKey,
    #[error("--auth-token: ttl={0:?} is not a duration such as 5m")]
    Ttl(String),
}

impl TokenOptions {
    pub fn parse(text: &str) -> Result<Self, TokenOptionsError> {
        let mut words = text.split(',');
        match words.next().unwrap_or_default() {
            "simple" if words.next().is_some() => Err(TokenOptionsError::SimpleOption),
            "simple" => Ok(TokenOptions::Simple),
            "jwt" => parse_jwt(words).map(TokenOptions::Jwt),
            other => Err(TokenOptionsError::Kind(other.to_owned())),
        }
    }
}

fn parse_jwt<'a>(words: impl Iterator<Item = &'a str>) -> Result<JwtOptions, TokenOptionsError> {
    let (mut method, mut public_key, mut private_key, mut ttl) = (None, None, None, None);
    for word in words {
        let (option, value) = word.split_once('=').ok_or_else(|| TokenOptionsError::Form(word.to_owned()))?;
        let place = match option {
            "sign-method" => &mut method,
            "pub-key" => &mut public_key,
            "priv-key" => &mut private_key,
            "ttl" => &mut ttl,
            _ => return Err(TokenOptionsError::Unknown(option.to_owned())),
        };
        if place.replace(value).is_some() {
            return Err(TokenOptionsError::Twice(option.to_owned()));
        }
    }
    let method = method.and_then(|method| method.parse().ok()).ok_or(TokenOptionsError::Method)?;
    if public_key.is_none() && private_key.is_none() {
        return Err(TokenOptionsError::NoKey);
    }
    let ttl = match ttl {
        None => DEFAULT_JWT_TTL,
        Some(text) => duration::parse(text).map_err(|_| TokenOptionsError::Ttl(text.to_owned()))?,
    };
    Ok(JwtOptions {
        method,
        public_key: public_key.map(PathBuf::from),
        private_key: private_key.map(PathBuf::from),
        ttl,
    })
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub enum Tokens {
    Simple(SimpleTokens),
    Jwt(Arc<JwtTokens>),
}

impl Tokens {
    /// Reads key files. The simple tokens are those that apply gives out.
    pub fn open(options: &TokenOptions, simple: SimpleTokens) -> Result<Self, JwtError> {
        match options {
            TokenOptions::Simple => Ok(Tokens::Simple(simple)),
            TokenOptions::Jwt(options) => Ok(Tokens::Jwt(Arc::new(JwtTokens::open(options)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_flag_may_say() {
        let jwt = |method, public: Option<&str>, private: Option<&str>, seconds| {
            Ok(TokenOptions::Jwt(JwtOptions {
                method,
                public_key: public.map(PathBuf::from),
                private_key: private.map(PathBuf::from),
                ttl: Duration::from_secs(seconds),
            }))
        };
        let rows = [
            ("simple", Ok(TokenOptions::Simple)),
            ("simple,ttl=1m", Err(TokenOptionsError::SimpleOption)),
            ("", Err(TokenOptionsError::Kind(String::new()))),
            ("jwt,sign-method=RS256,priv-key=p", jwt(Algorithm::RS256, None, Some("p"), 300)),
            (
                "jwt,pub-key=a,priv-key=b,sign-method=ES384,ttl=10m",
                jwt(Algorithm::ES384, Some("a"), Some("b"), 600),
            ),
            ("jwt", Err(TokenOptionsError::Method)),
            ("jwt,sign-method=none,priv-key=p", Err(TokenOptionsError::Method)),
            ("jwt,sign-method=RS256", Err(TokenOptionsError::NoKey)),
            ("jwt,x", Err(TokenOptionsError::Form("x".into()))),
            ("jwt,x=y", Err(TokenOptionsError::Unknown("x".into()))),
            ("jwt,ttl=1m,ttl=2m", Err(TokenOptionsError::Twice("ttl".into()))),
            ("jwt,sign-method=RS256,priv-key=p,ttl=soon", Err(TokenOptionsError::Ttl("soon".into()))),
        ];
        for (text, want) in rows {
            assert_eq!(TokenOptions::parse(text), want, "{text}");
        }
    }
}
