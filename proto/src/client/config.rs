//! Where the apiserver is and who we are: from a kubeconfig file or from values in memory.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What a [`Client`](super::Client) needs to connect.
#[derive(Clone)]
pub struct ClientConfig {
    /// `https://host:6443`
    pub server: String,
    /// PEM certificates that the server's chain must end in.
    pub ca_pem: Vec<u8>,
    pub credential: Credential,
    /// Also the field manager of writes, up to the first `/`.
    pub user_agent: String,
}

/// Who we are to the server.
#[derive(Clone)]
pub enum Credential {
    ClientCert { cert_pem: Vec<u8>, key_pem: Vec<u8> },
    Token(String),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConfig")
            .field("server", &self.server)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: give --kubeconfig a file that exists and that this user may read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not a kubeconfig: {message}")]
    Parse { path: PathBuf, message: String },
    #[error("{path}: {what} is missing: name it in the current context, or set one with kubectl config")]
    Missing { path: PathBuf, what: String },
    #[error("{path}: {what} is not valid base64")]
    Base64 { path: PathBuf, what: &'static str },
}

#[derive(Deserialize)]
struct Kubeconfig {
    #[serde(default, rename = "current-context")]
    current_context: String,
    #[serde(default)]
    clusters: Vec<Named<ClusterEntry>>,
    #[serde(default)]
    users: Vec<Named<UserEntry>>,
    #[serde(default)]
    contexts: Vec<Named<ContextEntry>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    entry: T,
}

#[derive(Deserialize)]
struct ClusterEntry {
    server: String,
    #[serde(rename = "certificate-authority-data")]
    ca_data: Option<String>,
    #[serde(rename = "certificate-authority")]
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct UserEntry {
    #[serde(rename = "client-certificate-data")]
    cert_data: Option<String>,
    #[serde(rename = "client-certificate")]
    cert_file: Option<PathBuf>,
    #[serde(rename = "client-key-data")]
    key_data: Option<String>,
    #[serde(rename = "client-key")]
    key_file: Option<PathBuf>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ContextEntry {
    cluster: String,
    user: String,
}

impl ClientConfig {
    /// The current context of a kubeconfig file. Paths in it are relative to the file.
    pub fn from_kubeconfig(path: &Path, user_agent: &str) -> Result<Self, ConfigError> {
        let file = KubeconfigFile::read(path)?;
        let context = file.pick(&file.parsed.contexts, &file.parsed.current_context, "context")?;
        let cluster = file.pick(&file.parsed.clusters, &context.cluster, "cluster")?;
        let user = file.pick(&file.parsed.users, &context.user, "user")?;
        let ca_pem = file.pem(&cluster.ca_data, &cluster.ca_file, "certificate-authority-data")?;
        Ok(Self {
            server: cluster.server.clone(),
            ca_pem,
            credential: file.credential(user)?,
            user_agent: user_agent.to_owned(),
        })
    }
}

struct KubeconfigFile {
    path: PathBuf,
    parsed: Kubeconfig,
}

impl KubeconfigFile {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let parsed = serde_saphyr::from_str(&text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string() })?;
        Ok(Self { path: path.to_owned(), parsed })
    }

    fn pick<'a, T>(&self, entries: &'a [Named<T>], name: &str, what: &str) -> Result<&'a T, ConfigError> {
        let found = entries.iter().find(|entry| entry.name == name);
        found.map(|named| &named.entry).ok_or_else(|| self.missing(&format!("{what} {name:?}")))
    }

    fn credential(&self, user: &UserEntry) -> Result<Credential, ConfigError> {
        if let Some(token) = &user.token {
            return Ok(Credential::Token(token.clone()));
        }
        if let Some(file) = &user.token_file {
            let token = self.read_beside(file)?;
            return Ok(Credential::Token(String::from_utf8_lossy(&token).trim().to_owned()));
        }
        Ok(Credential::ClientCert {
            cert_pem: self.pem(&user.cert_data, &user.cert_file, "client-certificate-data")?,
            key_pem: self.pem(&user.key_data, &user.key_file, "client-key-data")?,
        })
    }

    fn pem(
        &self,
        data: &Option<String>,
        file: &Option<PathBuf>,
        what: &'static str,
    ) -> Result<Vec<u8>, ConfigError> {
        match (data, file) {
            (Some(data), _) => STANDARD
                .decode(data.trim())
                .map_err(|_| ConfigError::Base64 { path: self.path.clone(), what }),
            (None, Some(file)) => self.read_beside(file),
            (None, None) => Err(self.missing(what)),
        }
    }

    fn read_beside(&self, file: &Path) -> Result<Vec<u8>, ConfigError> {
        let path = self.path.parent().unwrap_or(Path::new(".")).join(file);
        std::fs::read(&path).map_err(|source| ConfigError::Read { path, source })
    }

    fn missing(&self, what: &str) -> ConfigError {
        ConfigError::Missing { path: self.path.clone(), what: what.to_owned() }
    }
}
