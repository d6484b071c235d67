//! Bounds of object fields, with unit and reason.

/// Annotation keys and values of one object together: keeps metadata lists cheap.
pub(super) const ANNOTATIONS_BYTES: usize = 256 * 1024;
/// Data of one ConfigMap or Secret: etcd's request limit (1.5 MiB) less room for metadata.
pub(super) const DATA_BYTES: usize = 1024 * 1024;
/// A DNS label (RFC 1123), and so every name that becomes a host name.
pub(super) const LABEL_BYTES: usize = 63;
/// A DNS name (RFC 1123), and so most object names.
pub(super) const SUBDOMAIN_BYTES: usize = 253;
/// An IANA service name (RFC 6335).
pub(super) const PORT_NAME_BYTES: usize = 15;
/// CronJobs append `-<minutes>`: eleven bytes of the 63 a Job's pods may have.
pub(super) const CRON_JOB_NAME_BYTES: usize = 52;
/// Addresses in one endpoint of a slice.
pub(super) const ENDPOINT_ADDRESSES: usize = 100;
/// Endpoints of one slice.
pub(super) const SLICE_ENDPOINTS: usize = 1000;
/// Ports of one slice.
pub(super) const SLICE_PORTS: usize = 20000;
/// One day, the longest stickiness of a service client.
pub(super) const AFFINITY_SECONDS: i64 = 86400;
/// User classes stay below the two system classes.
pub(super) const USER_PRIORITY: i64 = 1_000_000_000;
/// An event's note.
pub(super) const NOTE_BYTES: usize = 1024;
