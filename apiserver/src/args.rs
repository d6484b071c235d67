//! kube-apiserver's flags, by their names; what is accepted here acts.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ArgAction;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// etcd servers to connect to (http://host:2379), comma separated
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
    pub etcd_servers: Vec<String>,
    /// CA file that etcd's certificates are checked against
    #[arg(long)]
    pub etcd_cafile: Option<PathBuf>,
    /// Client certificate for etcd
    #[arg(long, requires = "etcd_keyfile")]
    pub etcd_certfile: Option<PathBuf>,
    /// Key of the client certificate for etcd
    #[arg(long, requires = "etcd_certfile")]
    pub etcd_keyfile: Option<PathBuf>,
    /// Prefix of all keys in etcd
    #[arg(long, default_value = "/registry")]
    pub etcd_prefix: String,
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Address that members of the cluster reach this server at; found out if unset
    #[arg(long)]
    pub advertise_address: Option<IpAddr>,
    /// Port to serve HTTPS on
    #[arg(long, default_value_t = 6443)]
    pub secure_port: u16,
    /// Directory of certificates that are made when no files are given
    #[arg(long, default_value = "/var/run/kubernetes")]
    pub cert_dir: PathBuf,
    /// Serving certificate
    #[arg(long, requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Key of the serving certificate
    #[arg(long, requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// CAs of client certificates; that of --cert-dir if unset
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    /// Authorizers, in order
    #[arg(long, value_delimiter = ',', default_value = "Node,RBAC")]
    pub authorization_mode: Vec<String>,
    /// Whether requests without credentials may read health and version
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value_t = true)]
    pub anonymous_auth: bool,
    /// Issuer of service account tokens
    #[arg(long, default_value = "https://kubernetes.default.svc.cluster.local")]
    pub service_account_issuer: String,
    /// Keys that verify service account tokens, besides the signing key
    #[arg(long)]
    pub service_account_key_file: Vec<PathBuf>,
    /// Key that signs service account tokens; that of --cert-dir if unset
    #[arg(long)]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Audiences of the API; the issuer if unset
    #[arg(long, value_delimiter = ',')]
    pub api_audiences: Vec<String>,
    /// Range of ClusterIPs
    #[arg(long, default_value = "10.96.0.0/16")]
    pub service_cluster_ip_range: String,
    /// Range of node ports, both ends included
    #[arg(long, default_value = "30000-32767")]
    pub service_node_port_range: String,
    /// CA of kubelets' serving certificates; that of --client-ca-file if unset
    #[arg(long)]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// Client certificate for kubelets; one of --cert-dir's CA if unset
    #[arg(long, requires = "kubelet_client_key")]
    pub kubelet_client_certificate: Option<PathBuf>,
    /// Key of the client certificate for kubelets
    #[arg(long, requires = "kubelet_client_certificate")]
    pub kubelet_client_key: Option<PathBuf>,
    /// Which of a node's addresses to use, in order
    #[arg(long, value_delimiter = ',', default_value = "InternalIP,ExternalIP,Hostname")]
    pub kubelet_preferred_address_types: Vec<String>,
    /// Further names and addresses of the serving certificate that is made
    #[arg(long, value_delimiter = ',')]
    pub tls_san: Vec<String>,
}
