//! The witness: one watch over all keys from the beginning of the run, which every run has.
//!
//! What it sees is the order of revisions that properties judge operations by. It is a client like others and may be
//! lied to: what other watches and answers say must agree with it.

use tokio::task::JoinSet;

use super::Context;
use super::watcher::Watcher;

/// Not the number of any other client.
pub const CLIENT: u32 = 9_999;

/// Of its watch, which begins anew as often as history was gone: no number of any other client's watch.
pub fn watch_number(again: u32) -> u32 {
    if again == 0 { CLIENT } else { u32::MAX - again }
}

pub fn start(context: &Context, clients: &mut JoinSet<()>) {
    let context = context.clone();
    clients.spawn(async move {
        let mut watcher = Watcher {
            client: CLIENT,
            watch: watch_number(0),
            prefix: String::new(),
            next_revision: 1,
            prev_kv: false,
            members: context.members.clone(),
        };
        let mut again = 0;
        while watcher.run(&context, None).await {
            // History was gone before it was seen: from now on there is a gap, which properties respect.
            again += 1;
            watcher.watch = watch_number(again);
            watcher.next_revision = 0;
        }
    });
}
