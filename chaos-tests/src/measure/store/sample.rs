//! What one round of one row came to.

use std::time::Duration;

#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    pub operations: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub longest_ms: f64,
    /// Processor time of all three members per operation; filled in by whoever can see their processes.
    pub cpu_us: f64,
}

impl Sample {
    /// `latencies` in any order.
    pub fn of(mut latencies: Vec<Duration>, took: Duration) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let place = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
            latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        Sample {
            operations: latencies.len(),
            per_second: latencies.len() as f64 / took.as_secs_f64(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            longest_ms: at(1.0),
            cpu_us: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let latencies = (1..=100).rev().map(Duration::from_millis).collect();
        let sample = Sample::of(latencies, Duration::from_secs(2));
        assert_eq!((sample.per_second, sample.p50_ms, sample.p99_ms), (50.0, 51.0, 100.0));
        assert_eq!(Sample::of(Vec::new(), Duration::from_secs(1)).p99_ms, 0.0);
    }
}
