//! Asked to stop: control-C, or a polite kill.

use tokio::signal::unix::{SignalKind, signal};

pub async fn asked_to_stop() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(kinds[0]), signal(kinds[1])) else {
        // Without a handler a signal ends the process anyway.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
