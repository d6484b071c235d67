//! A lock and what it guards in the simulator: as `crate::workloads::lock` has them, with short leases. Some holders oversleep:
//! they act on when their lease has ended long ago.

use std::time::Duration;

use rand::RngExt;

use super::clients::Client;
use crate::history::{Reply, Request};
use crate::workloads::lock::{self, Held};

const SLOT: u32 = 0;
const TTL_SECONDS: i64 = 1;
/// One who waits for longer than his lease lives cannot get the lock.
const WAIT_MAX: Duration = Duration::from_millis(750);
const WRITE_EVERY: Duration = Duration::from_millis(30);
const OVERSLEEP: Duration = Duration::from_millis(1_500);
const OVERSLEEP_CHANCE: f64 = 0.25;

pub async fn run(mut client: Client) {
    let (mut turn, mut written) = (0, 0);
    while client.think().await {
        turn += 1;
        let lease = i64::from(client.number) * 1_000 + turn;
        if let Some(held) = acquire(&mut client, lease).await {
            hold(&mut client, held, &mut written).await;
        }
        // A request that was given up may still be granted.
        client.run(Request::LeaseRevoke { id: lease }).await;
    }
}

async fn acquire(client: &mut Client, lease: i64) -> Option<Held> {
    client.run(Request::LeaseGrant { id: lease, ttl_seconds: TTL_SECONDS }).await?.reply()?;
    let granted = client.run_within(WAIT_MAX, Request::Lock { name: lock::name(SLOT), lease }).await?;
    let Some(Reply::Lock { key }) = granted.reply() else { return None };
    let look = client.run(Request::Get { key: key.clone(), serializable: false }).await?;
    Held::of(lease, SLOT, &look)
}

async fn hold(client: &mut Client, held: Held, written: &mut u64) {
    for _ in 0..client.random.random_range(1..6) {
        if !client.desk.pause(WRITE_EVERY).await || !write(client, &held, written).await {
            break;
        }
    }
    if client.random.random_bool(OVERSLEEP_CHANCE) {
        client.desk.pause(OVERSLEEP).await;
        write(client, &held, written).await;
    } else if client.random.random_bool(0.5) {
        client.run(Request::Unlock { key: held.key }).await;
    }
}

async fn write(client: &mut Client, held: &Held, written: &mut u64) -> bool {
    *written += 1;
    let request = held.write(&format!("{}-{written}", client.number));
    client.run(request).await.is_some_and(|done| lock::may_be_written(&done.outcome))
}
