//! From endpoints, certificates and a password to a connection.
//!
//! Endpoints are tried in turn until one takes a connection; a short command gives up when its time is over, as stock does,
//! a lasting one never. A connection belongs to one endpoint: what breaks it is told to the verb, which decides whether
//! asking again is safe.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use balsa_proto::etcd::etcdserverpb::AuthenticateRequest;
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as Certified};
use tonic::{Request, Status};

use super::failure::{BAD_ARGS, BAD_CONNECTION, ERROR, Failure};
use super::flags::Flags;
use super::tls;
use crate::config::{Address, Url};
use crate::error::Error;

const SOCKET_WITH_TLS: &str = "unixs://";
/// Before all endpoints are tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// As in stock: somewhat above what a server takes by default.
const DEFAULT_REQUEST_BYTES: usize = 2 << 20;

/// Every request on it carries the caller's token.
pub type Connection = InterceptedService<Channel, Token>;

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub password: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the server gave for a password; nothing while access is not controlled.
#[derive(Clone, Default)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

/// The first endpoint that takes a connection within the time of a command.
pub async fn any(flags: &Flags) -> Result<Connection, Failure> {
    let deadline = Instant::now() + flags.command_timeout;
    loop {
        match first_of(flags).await {
            Err(refused) if !is_final(&refused) && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(refused) if !is_final(&refused) => return Err(given_up(&refused)),
            done => return done,
        }
    }
}

/// As [`any`], for commands that last: it waits until an endpoint is there.
pub async fn patiently(flags: &Flags) -> Result<Connection, Failure> {
    loop {
        match first_of(flags).await {
            Err(refused) if !is_final(&refused) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

/// This endpoint and no other.
pub async fn one(flags: &Flags, endpoint: &str) -> Result<Connection, Failure> {
    let alone = Flags { endpoints: vec![endpoint.to_owned()], ..flags.clone() };
    any(&alone).await
}

/// Bad arguments and bad passwords stay bad, and another endpoint would not help.
fn is_final(failure: &Failure) -> bool {
    failure.code != ERROR
}

/// Stock says why in its log and gives the command one text for all; scripts match that text.
fn given_up(last: &Failure) -> Failure {
    let line =
        serde_json::json!({"level": "warn", "msg": "no endpoint takes a connection", "error": last.text});
    eprintln!("{line}");
    Failure::deadline()
}

async fn first_of(flags: &Flags) -> Result<Connection, Failure> {
    let mut failure = Failure::bad_args("no endpoint is given");
    for endpoint in &flags.endpoints {
        match open(flags, endpoint).await {
            Ok(connection) => {
                debug(flags, endpoint, "connected");
                return Ok(connection);
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                debug(flags, endpoint, &error.text);
                failure = error;
            }
        }
    }
    Err(failure)
}

fn debug(flags: &Flags, endpoint: &str, text: &str) {
    if flags.debug {
        eprintln!("{}", serde_json::json!({"level": "debug", "endpoint": endpoint, "msg": text}));
    }
}

async fn open(flags: &Flags, endpoint: &str) -> Result<Connection, Failure> {
    let channel = tokio::time::timeout(flags.dial_timeout, dial(target(flags, endpoint)?, endpoint))
        .await
        .map_err(|_| Failure::error(format!("connect to {endpoint}: no answer in time")))?
        .map_err(|error| Failure::error(format!("connect to {endpoint}: {}", root_cause(&error))))?;
    let token = log_in(flags, &channel).await?;
    Ok(InterceptedService::new(channel, token))
}

async fn dial(target: Endpoint, endpoint: &str) -> Result<Channel, tonic::transport::Error> {
    let Some(path) = endpoint.strip_prefix(SOCKET_WITH_TLS) else { return target.connect().await };
    let path = PathBuf::from(path);
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    target.connect_with_connector(connector).await
}

/// A wrong password is stock's exit code 2. A store that does not control access needs no password, and takes any.
async fn log_in(flags: &Flags, channel: &Channel) -> Result<Token, Failure> {
    if let Some(token) = flags.auth_jwt_token.as_ref().filter(|token| !token.is_empty()) {
        let token = token.parse().map_err(|_| Failure::bad_args("--auth-jwt-token is not a header"))?;
        return Ok(Token(Some(token)));
    }
    let Some(Identity { name, password }) = flags.identity.clone() else { return Ok(Token::default()) };
    let asked = AuthClient::new(channel.clone()).authenticate(AuthenticateRequest { name, password }).await;
    match asked {
        Ok(answer) => {
            let token = answer.into_inner().token.parse();
            let token =
                token.map_err(|_| Failure::new(BAD_CONNECTION, "the server's token is not a header"))?;
            Ok(Token(Some(token)))
        }
        Err(status) if status.message() == Error::AuthNotEnabled.text() => Ok(Token::default()),
        Err(status) if status.code() == tonic::Code::Unavailable => Err(status.into()),
        Err(status) => Err(Failure::new(BAD_CONNECTION, status.message())),
    }
}

fn target(flags: &Flags, endpoint: &str) -> Result<Endpoint, Failure> {
    let secure = is_secure(flags, endpoint);
    let target = match endpoint.split_once("://") {
        Some(("unix", _)) => Endpoint::from_shared(endpoint.to_owned()),
        // The certificate is for a host, which is this one unless the name of the socket says another.
        Some(("unixs", path)) => {
            let socket = Url { tls: true, address: Address::Socket(path.into()) };
            Endpoint::from_shared(uri(true, &socket.authority()))
        }
        Some(("http" | "https", address)) => Endpoint::from_shared(uri(secure, address)),
        Some((scheme, _)) => {
            let text =
                format!("{endpoint}: the scheme {scheme} is not known; use http, https, unix or unixs");
            return Err(Failure::bad_args(text));
        }
        None => Endpoint::from_shared(uri(secure, endpoint)),
    };
    let mut target = target
        .map_err(|error| Failure::bad_args(format!("the endpoint {endpoint} is not an address: {error}")))?
        .connect_timeout(flags.dial_timeout)
        .http2_keep_alive_interval(flags.keepalive_time)
        .keep_alive_timeout(flags.keepalive_timeout)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    if !secure {
        // Files that are named must be there, also where the endpoint does not use them.
        identity(flags)?;
        flags.cacert.as_deref().map(read).transpose()?;
    } else {
        let config = tls_config(flags)?;
        target = if flags.insecure_skip_tls_verify {
            target.tls_config_with_verifier(config, tls::anyone())
        } else {
            target.tls_config(config)
        }
        .map_err(|error| Failure::new(BAD_ARGS, root_cause(&error)))?;
    }
    Ok(target)
}

fn uri(secure: bool, address: &str) -> String {
    format!("{}://{address}", if secure { "https" } else { "http" })
}

/// A client of keys that keeps the flags' limits of size.
pub fn kv(flags: &Flags, connection: Connection) -> KvClient<Connection> {
    let (request, response) = sizes(flags);
    KvClient::new(connection).max_encoding_message_size(request).max_decoding_message_size(response)
}

/// Likewise, of watches.
pub fn watch(flags: &Flags, connection: Connection) -> WatchClient<Connection> {
    let (request, response) = sizes(flags);
    WatchClient::new(connection).max_encoding_message_size(request).max_decoding_message_size(response)
}

fn sizes(flags: &Flags) -> (usize, usize) {
    let or = |bytes: usize, default: usize| if bytes == 0 { default } else { bytes };
    (or(flags.max_request_bytes, DEFAULT_REQUEST_BYTES), or(flags.max_recv_bytes, usize::MAX))
}

/// What the server says within the command's time.
pub async fn ask<T>(
    flags: &Flags,
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Failure> {
    let answer =
        tokio::time::timeout(flags.command_timeout, answer).await.map_err(|_| Failure::deadline())?;
    Ok(answer.map_err(Failure::from)?.into_inner())
}

/// The scheme decides; without one, any certificate flag does, or a refusal to go without.
fn is_secure(flags: &Flags, endpoint: &str) -> bool {
    let certified = flags.cacert.is_some() || flags.cert.is_some() || flags.key.is_some();
    match endpoint.split_once("://") {
        Some((scheme, _)) => ["https", "unixs"].contains(&scheme),
        None => certified || flags.insecure_skip_tls_verify || !flags.insecure_transport,
    }
}

fn tls_config(flags: &Flags) -> Result<ClientTlsConfig, Failure> {
    let mut config = ClientTlsConfig::new();
    if !flags.insecure_skip_tls_verify {
        let bundle = match &flags.cacert {
            Some(path) => read(path)?,
            None => tls::system_bundle().ok_or_else(|| {
                Failure::bad_args("this machine has no bundle of certificate authorities: give --cacert")
            })?,
        };
        config = config.ca_certificate(Certificate::from_pem(bundle));
    }
    if let Some(identity) = identity(flags)? {
        config = config.identity(identity);
    }
    Ok(config)
}

fn identity(flags: &Flags) -> Result<Option<Certified>, Failure> {
    match (&flags.cert, &flags.key) {
        (Some(cert), Some(key)) => Ok(Some(Certified::from_pem(read(cert)?, read(key)?))),
        (None, None) => Ok(None),
        (cert, key) => {
            let word = |path: &Option<PathBuf>| {
                path.as_deref().map(|path| path.display().to_string()).unwrap_or_default()
            };
            let text = format!(
                "KeyFile and CertFile must both be present[key: {}, cert: {}]",
                word(key),
                word(cert)
            );
            Err(Failure::bad_args(text))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => error.to_string(),
        };
        Failure::bad_args(format!("open {}: {reason}", path.display()))
    })
}

pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
