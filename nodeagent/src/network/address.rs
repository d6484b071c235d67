//! An address of this host that no link has: the cluster DNS address lives on `lo`.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};

use super::Error;

const LOOPBACK_INDEX: u32 = 1;
/// netlink's EEXIST.
const EXISTS: i32 = -17;

/// Makes `address` local, as a /32. Does nothing if it is already there.
pub async fn ensure_local_address(address: Ipv4Addr) -> Result<(), Error> {
    if is_local(address).await {
        return Ok(());
    }
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Netlink)?;
    let connection = tokio::spawn(connection);
    let result = handle.address().add(LOOPBACK_INDEX, IpAddr::V4(address), 32).execute().await;
    connection.abort();
    match result {
        Ok(()) => Ok(()),
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == EXISTS => Ok(()),
        Err(source) => Err(Error::AddAddress(address, source)),
    }
}

/// Binding is only possible to addresses of this host.
async fn is_local(address: Ipv4Addr) -> bool {
    match tokio::net::UdpSocket::bind((address, 0)).await {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::AddrNotAvailable,
    }
}
