//! Ctrl-C and SIGTERM become one token.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The first signal asks for a clean stop; a second ends the process at once.
pub fn on_signal(shutdown: &CancellationToken) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        for asked in 1.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked == 2 {
                std::process::exit(130);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}
