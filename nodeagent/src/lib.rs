//! The node agent: kubelet, service proxy and cluster DNS for one node

pub mod dns;
pub mod network;
pub mod proxy;
