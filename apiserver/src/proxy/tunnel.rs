//! Copies bytes both ways between two upgraded connections until both sides are done.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::limits;

/// Returns at once; the copying starts when both sides have switched protocols.
pub fn start(client: OnUpgrade, backend: OnUpgrade) {
    tokio::spawn(async move {
        let (client, backend) = match tokio::try_join!(client, backend) {
            Ok(sides) => sides,
            Err(error) => {
                tracing::debug!(%error, "an upgraded connection did not come about");
                return;
            }
        };
        let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
        let size = limits::TUNNEL_BUFFER_BYTES;
        if let Err(error) =
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, size, size).await
        {
            tracing::debug!(%error, "tunnel ended");
        }
    });
}
