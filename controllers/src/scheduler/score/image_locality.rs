//! ImageLocality: images that are on the node already need no download.

use super::{BEST, Normalize, Score};
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::NodeInfo;

pub const SCORE: Score = Score { name: "ImageLocality", weight: 1, of, normalize: Normalize::AsIs };

/// Bytes: less is not worth a thought; more, per container, counts as the most.
const LEAST_BYTES: i64 = 23 << 20;
const MOST_BYTES: i64 = 1000 << 20;

fn of(cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
    let Some(spec) = cycle.facts.spec() else { return 0 };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let images: Vec<String> =
        containers.filter_map(|container| container.image.as_deref().map(tagged)).collect();
    let present: i64 = images.iter().filter_map(|image| weighed_size(cycle, node, image)).sum();
    let most = MOST_BYTES * (images.len() as i64).max(1);
    BEST * (present.clamp(LEAST_BYTES, most) - LEAST_BYTES) / (most - LEAST_BYTES)
}

/// Smaller when few nodes have the image: otherwise all its pods would crowd on them.
fn weighed_size(cycle: &Cycle<'_>, node: &NodeInfo, image: &str) -> Option<i64> {
    let size = node.images.get(image)?;
    let nodes = cycle.snapshot.nodes().count().max(1) as f64;
    let having = cycle.snapshot.nodes().filter(|other| other.images.contains_key(image)).count() as f64;
    Some((*size as f64 * having / nodes) as i64)
}

/// The name with its tag, as nodes list it.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}
