//! What else is left on links: the cluster DNS address, which lives on `lo`, and the bridge.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::{AddressMessageBuilder, Handle};

use super::Error;
use super::cni::BRIDGE;

const LOOPBACK_INDEX: u32 = 1;
// netlink's EEXIST, ENODEV and EADDRNOTAVAIL.
const EXISTS: i32 = -17;
const NO_DEVICE: i32 = -19;
const NO_ADDRESS: i32 = -99;

/// Makes `address` local, as a /32. Does nothing if it is already there.
pub async fn ensure_local_address(address: Ipv4Addr) -> Result<(), Error> {
    if is_local(address).await {
        return Ok(());
    }
    let result = with_netlink(async |handle| {
        handle.address().add(LOOPBACK_INDEX, IpAddr::V4(address), 32).execute().await
    });
    unless(result.await?, EXISTS).map_err(|source| Error::AddAddress(address, source))
}

/// Undoes [`ensure_local_address`].
pub async fn remove_local_address(address: Ipv4Addr) -> Result<(), Error> {
    let message = AddressMessageBuilder::<Ipv4Addr>::new().index(LOOPBACK_INDEX).address(address, 32).build();
    let result = with_netlink(async |handle| handle.address().del(message).execute().await).await?;
    unless(result, NO_ADDRESS).map_err(|source| Error::RemoveAddress(address, source))
}

/// The CNI plugin makes the bridge with the first pod and never takes it away.
pub async fn remove_bridge() -> Result<(), Error> {
    let Ok(index) = nix::net::if_::if_nametoindex(BRIDGE) else { return Ok(()) };
    let result = with_netlink(async |handle| handle.link().del(index).execute().await).await?;
    unless(result, NO_DEVICE).map_err(Error::RemoveBridge)
}

async fn with_netlink(
    work: impl AsyncFnOnce(Handle) -> Result<(), rtnetlink::Error>,
) -> Result<Result<(), rtnetlink::Error>, Error> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Netlink)?;
    let connection = tokio::spawn(connection);
    let result = work(handle).await;
    connection.abort();
    Ok(result)
}

/// A refusal with `code` says that things are already as they should be.
fn unless(result: Result<(), rtnetlink::Error>, code: i32) -> Result<(), rtnetlink::Error> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == code => Ok(()),
        other => other,
    }
}

/// Binding is only possible to addresses of this host.
async fn is_local(address: Ipv4Addr) -> bool {
    match tokio::net::UdpSocket::bind((address, 0)).await {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::AddrNotAvailable,
    }
}
