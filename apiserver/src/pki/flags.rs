//! Which flag of which part names which file of a directory in kubeadm's layout: command lines are composed from it.

use std::path::Path;

/// Flag and file.
type Rows = [(&'static str, &'static str)];

const STORE: &Rows = &[
    ("cert-file", "etcd/server.crt"),
    ("key-file", "etcd/server.key"),
    ("trusted-ca-file", "etcd/ca.crt"),
    ("peer-cert-file", "etcd/peer.crt"),
    ("peer-key-file", "etcd/peer.key"),
    ("peer-trusted-ca-file", "etcd/ca.crt"),
];

const STORE_CLIENT: &Rows = &[
    ("etcd-cafile", "etcd/ca.crt"),
    ("etcd-certfile", "apiserver-etcd-client.crt"),
    ("etcd-keyfile", "apiserver-etcd-client.key"),
];

const APISERVER: &Rows = &[
    ("tls-cert-file", "apiserver.crt"),
    ("tls-private-key-file", "apiserver.key"),
    ("client-ca-file", "ca.crt"),
    ("service-account-key-file", "sa.pub"),
    ("service-account-signing-key-file", "sa.key"),
    ("kubelet-certificate-authority", "ca.crt"),
    ("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
    ("kubelet-client-key", "apiserver-kubelet-client.key"),
];

const NODEAGENT: &Rows = &[
    ("client-ca-file", "ca.crt"),
    ("tls-cert-file", "kubelet.crt"),
    ("tls-private-key-file", "kubelet.key"),
];

/// A part that reads files of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Store,
    /// The apiserver as a client of the store.
    StoreClient,
    Apiserver,
    Nodeagent,
}

impl Part {
    /// Its flags, without dashes, and the files that they name.
    pub fn flags(self, directory: &Path) -> impl Iterator<Item = (&'static str, String)> {
        let rows = match self {
            Part::Store => STORE,
            Part::StoreClient => STORE_CLIENT,
            Part::Apiserver => APISERVER,
            Part::Nodeagent => NODEAGENT,
        };
        rows.iter().map(move |(flag, file)| (*flag, directory.join(file).display().to_string()))
    }
}
