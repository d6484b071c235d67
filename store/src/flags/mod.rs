//! The command line in groups, where else settings come from, and flags of etcd that mean nothing here.
//!
//! A flag acts, or is refused with a sentence; none is taken and ignored. The list of etcd's flags is in
//! `testdata/stock-flags.txt`, those of 3.4 among them, and a test walks over it. What a member is told comes, as in etcd, from the flags and from
//! `ETCD_*` variables, or else from `--config-file` alone.

pub mod access;
pub mod environment;
pub mod file;
pub mod gates;
pub mod logging;
pub mod refused;
pub mod serving;
pub mod spelling;
pub mod tls;

pub use access::AccessFlags;
pub use logging::{LogFlags, LogFormat, LogOutput, LogSettings, Rotation};
pub use refused::Refused;
pub use serving::ServingFlags;
pub use spelling::OlderNames;
pub use tls::TlsFlags;
