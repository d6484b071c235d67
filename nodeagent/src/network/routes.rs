//! Routes to the pod ranges of the other nodes.
//!
//! [`wanted`] is pure; [`Routes`] knows what the kernel has of ours and applies the difference.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{Handle, RouteMessageBuilder};
use tokio::task::JoinHandle;

use super::Error;

/// Marks our routes; not one of the numbers that routing daemons use (/etc/iproute2/rt_protos).
const PROTOCOL: u8 = 98;

/// Pod range → address of its node.
pub type RouteTable = BTreeMap<Ipv4Net, Ipv4Addr>;

/// A route per other node that has both a pod range and an InternalIP.
pub fn wanted<'a>(nodes: impl Iterator<Item = &'a Node>, own_name: &str) -> RouteTable {
    nodes
        .filter(|node| node.metadata.name.as_deref() != Some(own_name))
        .filter_map(|node| Some((pod_cidr(node)?, internal_ip(node)?)))
        .collect()
}

pub fn pod_cidr(node: &Node) -> Option<Ipv4Net> {
    let spec = node.spec.as_ref()?;
    let all = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr);
    all.filter_map(|text| text.parse().ok()).next()
}

fn internal_ip(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    addresses
        .iter()
        .filter(|address| address.type_ == "InternalIP")
        .find_map(|address| address.address.parse().ok())
}

pub struct Routes {
    handle: Handle,
    connection: JoinHandle<()>,
    present: RouteTable,
}

impl Routes {
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Netlink)?;
        Ok(Self { handle, connection: tokio::spawn(connection), present: RouteTable::new() })
    }

    /// Finds our routes in the kernel, those of an earlier run included.
    pub async fn look(&mut self) -> Result<(), Error> {
        let listing = self.handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
        let found: Vec<RouteMessage> = listing.try_collect().await.map_err(Error::ListRoutes)?;
        self.present = found.iter().filter_map(ours).collect();
        Ok(())
    }

    /// Removes first, so that a range that moved to another node is never refused.
    pub async fn apply(&mut self, wanted: &RouteTable) -> Result<(), Error> {
        let stale: Vec<Ipv4Net> =
            self.present.keys().filter(|range| !wanted.contains_key(*range)).copied().collect();
        for destination in stale {
            let message = RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(destination.network(), destination.prefix_len())
                .protocol(RouteProtocol::Other(PROTOCOL))
                .build();
            let removed = self.handle.route().del(message).execute().await;
            removed.map_err(|source| Error::RemoveRoute { destination, source })?;
            self.present.remove(&destination);
        }
        for (destination, gateway) in wanted {
            if self.present.get(destination) != Some(gateway) {
                self.put(*destination, *gateway).await?;
            }
        }
        Ok(())
    }

    async fn put(&mut self, destination: Ipv4Net, gateway: Ipv4Addr) -> Result<(), Error> {
        let message = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(destination.network(), destination.prefix_len())
            .gateway(gateway)
            .protocol(RouteProtocol::Other(PROTOCOL))
            .build();
        let added = self.handle.route().add(message).replace().execute().await;
        added.map_err(|source| Error::AddRoute { destination, gateway, source })?;
        self.present.insert(destination, gateway);
        Ok(())
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn ours(message: &RouteMessage) -> Option<(Ipv4Net, Ipv4Addr)> {
    if message.header.protocol != RouteProtocol::Other(PROTOCOL) {
        return None;
    }
    let mut destination = None;
    let mut gateway = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = Some(*address),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            _ => {}
        }
    }
    Some((Ipv4Net::new(destination?, message.header.destination_prefix_length).ok()?, gateway?))
}
