//! The way to a member, which can be cut: connections break at once, and new ones are refused until it heals.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards bytes from a port of its own. What others send to the member goes through here; what it sends does not.
#[derive(Clone)]
pub struct Link {
    open: Arc<watch::Sender<bool>>,
}

impl Link {
    /// Serves on the current runtime for as long as that lives.
    pub fn start(from: SocketAddr, to: SocketAddr) -> Link {
        let open = Arc::new(watch::Sender::new(true));
        tokio::spawn(serve(from, to, open.subscribe()));
        Link { open }
    }

    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    pub fn heal(&self) {
        self.open.send_replace(true);
    }
}

async fn serve(from: SocketAddr, to: SocketAddr, open: watch::Receiver<bool>) {
    let listener = TcpListener::bind(from).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let mut cut = open.clone();
        if !*cut.borrow() {
            continue;
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = cut.wait_for(|open| !open) => {}
                () = forward(stream, to) => {}
            }
        });
    }
}

async fn forward(mut near: TcpStream, to: SocketAddr) {
    // The member may be starting.
    let Ok(Ok(mut far)) = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(to)).await else {
        return;
    };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    // Either end may go away.
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}
