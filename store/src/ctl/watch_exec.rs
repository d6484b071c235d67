//! `watch … -- COMMAND`: runs a command for each event, with the event in its environment.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use balsa_proto::etcd::etcdserverpb::WatchResponse;
use tokio::process::Command;

use super::failure::Failure;

pub async fn run(exec: &[String], response: &WatchResponse) -> Result<(), Failure> {
    let [program, args @ ..] = exec else { return Ok(()) };
    for event in &response.events {
        let Some(kv) = &event.kv else { continue };
        let kind = if event.r#type == 0 { "PUT" } else { "DELETE" };
        let mut command = Command::new(program);
        command
            .args(args)
            .env(
                "ETCD_WATCH_REVISION",
                response.header.as_ref().map_or(0, |header| header.revision).to_string(),
            )
            .env("ETCD_WATCH_EVENT_TYPE", format!("{kind:?}"))
            .env("ETCD_WATCH_KEY", quoted(&kv.key))
            .env("ETCD_WATCH_VALUE", quoted(&kv.value));
        match command.status().await {
            Ok(status) if status.success() => {}
            // The watch goes on: one bad event must not hide the next.
            Ok(status) => eprintln!("command {exec:?} error ({status})"),
            Err(error) => eprintln!("command {exec:?} error ({error})"),
        }
    }
    Ok(())
}

/// In quotes, as Go's `%q`; bytes that are not text stay as they are.
fn quoted(bytes: &[u8]) -> OsString {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}").into(),
        Err(_) => OsString::from_vec(bytes.to_vec()),
    }
}
