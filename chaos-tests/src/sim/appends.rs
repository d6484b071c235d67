//! Append lists in the simulator: as `crate::workloads::append` has them, on few lists, so that clients meet.

use rand::RngExt;

use super::clients::Client;
use crate::workloads::append;

const LISTS: u64 = 2;

pub async fn run(mut client: Client) {
    let mut element = 0;
    while client.think().await {
        let generation = client.generation();
        let first = client.random.random_range(0..LISTS);
        let both = client.random.random_bool(0.5).then_some((first + 1) % LISTS);
        let lists = std::iter::once(first).chain(both);
        let keys: Vec<String> = lists.map(|list| format!("{}{list}/{generation}", append::PREFIX)).collect();
        let Some(read) = client.run(append::read(&keys)).await else { continue };
        let Some(seen) = append::seen(&read) else { continue };
        let successors = keys
            .iter()
            .enumerate()
            .map(|(place, key)| {
                element += 1;
                // The first is always written, so that the transaction is not a second read.
                let is_written = place == 0 || client.random.random_bool(0.6);
                let next = format!("{}-{element}", client.number);
                is_written.then(|| append::longer(seen.get(key.as_str()).copied(), &next))
            })
            .collect();
        client.run(append::write(&keys, &seen, successors)).await;
    }
}
